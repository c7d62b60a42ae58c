# SPDX-License-Identifier: Apache-2.0
# verdict: RUNTIME_ERROR, TIME_LIMIT, MEMORY_LIMIT
# Doubles until somebody stops it.
import os

while True:
    os.fork()
