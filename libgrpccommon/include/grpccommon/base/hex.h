// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "grpccommon/base/export.h"

namespace grpccommon {

/// Writes `bytes` in lower-case hexadecimal, as ids are written in logs, in
/// metadata and by exporters: exactly two digits a byte to `out`, no zero byte
/// after them.
GRPCCOMMON_EXPORT void WriteHex(std::span<const std::uint8_t> bytes, char* out);

/// The same as a text.
GRPCCOMMON_EXPORT std::string ToHex(std::span<const std::uint8_t> bytes);

}  // namespace grpccommon
