// SPDX-License-Identifier: Apache-2.0
// verdict: TIME_LIMIT
// Counts.
#include <iostream>

int main() {
  long long a = 0, b = 0;
  std::cin >> a >> b;
  volatile long long sum = a;
  for (; b != 0; b += b > 0 ? -1 : 1) sum = sum + (b > 0 ? 1 : -1);
  std::cout << sum << '\n';
}
