// SPDX-License-Identifier: Apache-2.0
// verdict: ACCEPTED
#include <stdio.h>

int main(void) {
  long long a = 0, b = 0;
  if (scanf("%lld %lld", &a, &b) != 2) return 1;
  printf("%lld\n", a + b);
}
