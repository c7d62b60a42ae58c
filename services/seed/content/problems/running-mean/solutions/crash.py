# SPDX-License-Identifier: Apache-2.0
# verdict: RUNTIME_ERROR
# Reads beyond the end.
n, w = map(int, input().split())
numbers = list(map(float, input().split()))
for i in range(n):
    print(sum(numbers[i + j] for j in range(w)) / w)
