// SPDX-License-Identifier: Apache-2.0
// verdict: ACCEPTED
#include <iostream>
#include <vector>

int main() {
  int n = 0, primes = 0;
  std::cin >> n;
  std::vector<bool> composite(n);
  for (int i = 2; i < n; ++i) {
    if (composite[i]) continue;
    ++primes;
    for (long long j = 1LL * i * i; j < n; j += i) composite[j] = true;
  }
  std::cout << primes << '\n';
}
