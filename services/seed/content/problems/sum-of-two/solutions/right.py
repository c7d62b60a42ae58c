# SPDX-License-Identifier: Apache-2.0
# verdict: ACCEPTED
print(sum(map(int, input().split())))
