// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace platform::execution {

enum class CheckerKind {
  /// The same words; white space between them does not matter.
  kTokens,
  /// The same lines, but for white space at their ends and empty lines at the
  /// end.
  kLines,
  /// Byte for byte.
  kExact,
  /// As kTokens, but words that are finite decimal numbers on both sides may
  /// differ by the tolerance.
  kNumbers,
};

struct Checker {
  CheckerKind kind = CheckerKind::kTokens;
  /// For kNumbers: absolute, or relative to the expected number, whichever
  /// allows more. With 0, whole numbers must be equal whatever their size.
  double tolerance = 0.0;
};

/// Whether a program's output is the expected one. Both may be any bytes and as
/// large as memory: they are read once, side by side, and never copied. White
/// space is that of ASCII.
bool Matches(const Checker& checker, std::string_view output,
             std::string_view expected);

}  // namespace platform::execution
