# SPDX-License-Identifier: Apache-2.0
# verdict: ACCEPTED
n, w = map(int, input().split())
numbers = list(map(float, input().split()))
total = sum(numbers[:w - 1])
for i in range(w - 1, n):
    total += numbers[i]
    print(total / w)
    total -= numbers[i - w + 1]
