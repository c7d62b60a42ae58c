// SPDX-License-Identifier: Apache-2.0
// verdict: WRONG_ANSWER
// Overflows: the numbers need 64 bits.
#include <cstdint>
#include <iostream>

int main() {
  long long a = 0, b = 0;
  std::cin >> a >> b;
  const auto sum = static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b);
  std::cout << static_cast<std::int32_t>(sum) << '\n';
}
