// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "grpccommon/base/export.h"

namespace grpccommon {

/// Quantities as configurations write them. All of the text counts: blanks,
/// further characters and what is out of range make it none.

/// A number with a unit: "250ms", "1.5s", "5m"; ns, us, ms, s, m, h or d.
GRPCCOMMON_EXPORT std::optional<std::chrono::nanoseconds> ParseDuration(
    std::string_view text);

/// A whole number within 9e15 either way, or a size in bytes with its unit:
/// "4096", "512KiB", "1.5MiB"; B, KiB, MiB or GiB.
GRPCCOMMON_EXPORT std::optional<std::int64_t> ParseWhole(std::string_view text);

/// A finite number: "0.25", "1e-3".
GRPCCOMMON_EXPORT std::optional<double> ParseNumber(std::string_view text);

}  // namespace grpccommon
