// SPDX-License-Identifier: Apache-2.0
// What a contestant's program writes, compared with what was expected.
#include <cstdint>
#include <string>

#include "fuzz/fuzz.h"
#include "services/execution/checker.h"

namespace platform::execution {
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using grpccommon::fuzz::Require;
  std::string_view input = grpccommon::fuzz::AsText(data, size);
  const std::string_view output = grpccommon::fuzz::TakeUntil('\0', input);
  const std::string_view expected = input;

  for (const Checker& checker :
       {Checker{.kind = CheckerKind::kTokens},
        Checker{.kind = CheckerKind::kLines},
        Checker{.kind = CheckerKind::kExact},
        Checker{.kind = CheckerKind::kNumbers},
        Checker{.kind = CheckerKind::kNumbers, .tolerance = 1e-6}}) {
    Require(Matches(checker, output, output));
    const bool matches = Matches(checker, output, expected);
    if (output == expected) Require(matches);
    // But for a tolerance relative to the expected number.
    if (checker.tolerance == 0) {
      Require(Matches(checker, expected, output) == matches);
    }
    // Some end of line more changes nothing, but for the strictest.
    if (checker.kind != CheckerKind::kExact) {
      Require(Matches(checker, std::string(output) + " \n\n", expected) ==
              matches);
    }
  }
  const bool lines = Matches({.kind = CheckerKind::kLines}, output, expected);
  const bool tokens = Matches({.kind = CheckerKind::kTokens}, output, expected);
  Require(!lines || tokens);
  Require(!tokens ||
          Matches({.kind = CheckerKind::kNumbers}, output, expected));
  return 0;
}

}  // namespace platform::execution
