// SPDX-License-Identifier: Apache-2.0
// verdict: MEMORY_LIMIT, RUNTIME_ERROR
// Takes and touches all memory that it gets.
#include <cstring>

int main() {
  for (;;) std::memset(new char[1 << 24], 1, 1 << 24);
}
