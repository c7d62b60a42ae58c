// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace grpccommon::internal {

/// Bytes that one byte of text takes at most: \u001f.
inline constexpr std::size_t kLongestJsonEscape = 6;

/// Writes `text` up to `end`, or up to three bytes further where a character
/// straddles that, as the inside of a JSON string; returns where in `text` it
/// got to. Control characters are escaped and invalid UTF-8 becomes U+FFFD.
/// `out` has room for the worst case and is moved behind what was written.
std::size_t WriteJsonText(std::string_view text, std::size_t end, char*& out);

/// Appends `text` as a JSON string, quotes included.
void AppendJsonText(std::string_view text, std::string& out);

}  // namespace grpccommon::internal
