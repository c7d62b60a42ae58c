// SPDX-License-Identifier: Apache-2.0
// verdict: RUNTIME_ERROR, TIME_LIMIT, MEMORY_LIMIT
// Doubles until somebody stops it.
#include <unistd.h>

int main(void) {
  for (;;) fork();
}
