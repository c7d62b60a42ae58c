// SPDX-License-Identifier: Apache-2.0
// verdict: TIME_LIMIT
// Tries every divisor.
#include <iostream>

int main() {
  int n = 0, primes = 0;
  std::cin >> n;
  for (int i = 2; i < n; ++i) {
    bool prime = true;
    for (int j = 2; j < i; ++j) prime &= i % j != 0;
    primes += prime;
  }
  std::cout << primes << '\n';
}
