// SPDX-License-Identifier: Apache-2.0
// verdict: COMPILE_ERROR
#include <stdio.h>

int main(void) {
  printf("%d\n", primes_below(n);
}
