// SPDX-License-Identifier: Apache-2.0
// verdict: ACCEPTED
#include <iostream>

int main() {
  long long a = 0, b = 0;
  std::cin >> a >> b;
  std::cout << a + b << '\n';
}
