// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "grpccommon/base/export.h"

namespace grpccommon {

/// U+FFFD, which stands for what was not UTF-8.
inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

/// The length in bytes, 1 to 4, of the character that `text` begins with; 0 if
/// it is empty or does not begin with a well-formed one (RFC 3629: nothing
/// overlong, no surrogates, nothing above U+10FFFF).
GRPCCOMMON_EXPORT std::size_t Utf8CharacterSize(std::string_view text);

/// Whether all of `text` is well-formed.
GRPCCOMMON_EXPORT bool IsUtf8(std::string_view text);

/// Puts U+FFFD in the place of each byte that belongs to no well-formed
/// character.
GRPCCOMMON_EXPORT std::string RepairUtf8(std::string_view text);

/// The longest beginning of at most `max_bytes` that splits no character.
/// `text` need not be well-formed.
GRPCCOMMON_EXPORT std::string_view TruncateUtf8(std::string_view text,
                                                std::size_t max_bytes);

}  // namespace grpccommon
