# SPDX-License-Identifier: Apache-2.0
# verdict: WRONG_ANSWER
a, b = map(int, input().split())
print(a - b if a > 1000 else a + b)
