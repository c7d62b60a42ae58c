// SPDX-License-Identifier: Apache-2.0
// verdict: ACCEPTED
#include <iostream>
#include <map>
#include <string>

int main() {
  std::map<std::string, int> counts;
  for (std::string word; std::cin >> word;) ++counts[word];
  const std::pair<const std::string, int>* best = nullptr;
  for (const auto& entry : counts) {
    if (best == nullptr || entry.second > best->second) best = &entry;
  }
  std::cout << best->first << ' ' << best->second << '\n';
}
