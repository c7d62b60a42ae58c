// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace grpccommon::testing {

/// Makes texts that match a pattern as a whole: one step of the regular
/// expression after the other, with the plainest character that each allows.
///
/// Knows the part of RE2's syntax that contracts use: literals, escapes,
/// classes, groups, alternatives and repetitions. What it makes is meant to be
/// looked at by RE2, which has the last word.
class PatternSampler {
 public:
  /// Errors: kUnimplemented, naming what it does not know; kInvalidArgument for
  /// what is no pattern.
  static absl::StatusOr<PatternSampler> Create(std::string_view pattern);

  /// `variant` chooses among alternatives and characters; different ones may
  /// give the same text. Every outermost repetition is `extra` times longer
  /// than it has to be, as far as it may be.
  std::string Sample(std::size_t variant, std::size_t extra) const;

 private:
  friend class PatternParser;

  struct Node {
    enum class Kind { kEmpty, kCharacter, kSequence, kAlternatives, kRepeat };
    Kind kind = Kind::kEmpty;
    /// Of kCharacter: some of those that match, the plainest first.
    std::vector<char32_t> characters;
    std::vector<Node> children;
    /// Of kRepeat.
    std::size_t minimum = 0;
    std::size_t maximum = 0;
  };

  static void Emit(const Node& node, std::size_t& variant, std::size_t extra,
                   std::string& text);

  Node root_;
};

}  // namespace grpccommon::testing
