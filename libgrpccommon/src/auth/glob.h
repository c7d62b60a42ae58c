// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace grpccommon::internal {

/// Whether `pattern` fits the whole of `text`: `*` stands for any run of
/// characters within a segment, `**` for any run at all, everything else for
/// itself. Segments end at slashes if the pattern has one, else at dots.
///
/// Linear but for backtracking to the latest wildcard: O(|pattern| × |text|).
bool GlobMatch(std::string_view pattern, std::string_view text);

}  // namespace grpccommon::internal
