// SPDX-License-Identifier: Apache-2.0
// verdict: WRONG_ANSWER
// Rounds.
#include <iostream>
#include <vector>

int main() {
  std::size_t n = 0, w = 0;
  std::cin >> n >> w;
  std::vector<double> numbers(n);
  for (double& number : numbers) std::cin >> number;
  for (std::size_t i = 0; i + w <= n; ++i) {
    double sum = 0;
    for (std::size_t j = i; j < i + w; ++j) sum += numbers[j];
    std::cout << static_cast<long long>(sum / static_cast<double>(w)) << '\n';
  }
}
