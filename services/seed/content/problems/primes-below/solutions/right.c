// SPDX-License-Identifier: Apache-2.0
// verdict: ACCEPTED
#include <stdio.h>

static char composite[2000001];

int main(void) {
  int n = 0, primes = 0;
  if (scanf("%d", &n) != 1) return 1;
  for (int i = 2; i < n; ++i) {
    if (composite[i]) continue;
    ++primes;
    for (long long j = 1LL * i * i; j < n; j += i) composite[j] = 1;
  }
  printf("%d\n", primes);
}
