# SPDX-License-Identifier: Apache-2.0
# verdict: WRONG_ANSWER
# Forgets that n itself does not count.
n = int(input()) + 2
sieve = bytearray([1]) * n
sieve[:2] = bytes(2)
for i in range(2, int(n**0.5) + 1):
    if sieve[i]:
        sieve[i * i::i] = bytes(len(range(i * i, n, i)))
print(sum(sieve[:-1]))
