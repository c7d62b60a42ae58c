// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"

namespace grpccommon {

inline constexpr std::size_t kUuidLength = 36;

/// Writes a new UUID, version 7 (RFC 9562: sorts by its millisecond of birth),
/// in lower-case hyphenated form into `out[0 … 35]`.
GRPCCOMMON_EXPORT void WriteUuidV7(Clock::WallTime now, char* out);

/// The same as a string.
GRPCCOMMON_EXPORT std::string UuidV7(const Clock& clock = SteadyClock());

/// Whether `text` is a hyphenated UUID of any version, in either case.
GRPCCOMMON_EXPORT bool IsUuid(std::string_view text);

}  // namespace grpccommon
