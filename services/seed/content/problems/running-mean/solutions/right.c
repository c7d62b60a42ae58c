// SPDX-License-Identifier: Apache-2.0
// verdict: ACCEPTED
#include <stdio.h>

static double numbers[100000];

int main(void) {
  int n = 0, w = 0;
  if (scanf("%d %d", &n, &w) != 2) return 1;
  double sum = 0;
  for (int i = 0; i < n; ++i) {
    if (scanf("%lf", &numbers[i]) != 1) return 1;
    sum += numbers[i];
    if (i + 1 < w) continue;
    printf("%.9f\n", sum / w);
    sum -= numbers[i + 1 - w];
  }
}
