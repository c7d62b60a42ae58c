# SPDX-License-Identifier: Apache-2.0
# verdict: TIME_LIMIT
# Counts.
a, b = map(int, input().split())
step = 1 if b > 0 else -1
while b:
    a += step
    b -= step
print(a)
