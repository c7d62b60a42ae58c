# SPDX-License-Identifier: Apache-2.0
# verdict: WRONG_ANSWER, RUNTIME_ERROR
# Leaves a process behind.
import os
import time

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 3)
        time.sleep(600)
    os._exit(0)
print("gone")
