# SPDX-License-Identifier: Apache-2.0
# verdict: TIME_LIMIT
# Tries every divisor.
n = int(input())
print(sum(all(i % j for j in range(2, i)) for i in range(2, n)))
