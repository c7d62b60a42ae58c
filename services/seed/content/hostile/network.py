# SPDX-License-Identifier: Apache-2.0
# verdict: RUNTIME_ERROR
# Calls home, and this machine; answers only if somebody listens.
import socket
import sys

reached = 0
for address in (("192.0.2.1", 80), ("127.0.0.1", 50051), ("127.0.0.1", 50052),
                ("127.0.0.1", 50053), ("127.0.0.1", 50060), ("127.0.0.1", 22)):
    try:
        socket.create_connection(address, timeout=0.05).close()
        reached += 1
    except OSError:
        pass
if not reached:
    sys.exit(7)
print(sum(map(int, input().split())))
