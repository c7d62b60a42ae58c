# SPDX-License-Identifier: Apache-2.0
# verdict: WRONG_ANSWER
# Takes the longest word.
import sys

words = sys.stdin.read().split()
word = max(words, key=len)
print(word, words.count(word))
