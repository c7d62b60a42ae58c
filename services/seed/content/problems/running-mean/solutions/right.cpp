// SPDX-License-Identifier: Apache-2.0
// verdict: ACCEPTED
#include <cstdio>
#include <iostream>
#include <vector>

int main() {
  std::size_t n = 0, w = 0;
  std::cin >> n >> w;
  std::vector<double> numbers(n);
  for (double& number : numbers) std::cin >> number;
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    sum += numbers[i];
    if (i + 1 < w) continue;
    std::printf("%.9f\n", sum / static_cast<double>(w));
    sum -= numbers[i + 1 - w];
  }
}
