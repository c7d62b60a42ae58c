// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/quantity.h"

#include <charconv>
#include <cmath>

namespace grpccommon {
namespace {

// The factor is none for an unknown unit.
template <typename Factor>
std::optional<double> ParseQuantity(std::string_view text, Factor factor_of) {
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  const std::optional<double> factor =
      factor_of(text.substr(static_cast<std::size_t>(end - text.data())));
  if (!factor.has_value() || !std::isfinite(number * *factor)) {
    return std::nullopt;
  }
  return number * *factor;
}

std::optional<double> NanosecondsPer(std::string_view unit) {
  if (unit == "ns") return 1.0;
  if (unit == "us") return 1e3;
  if (unit == "ms") return 1e6;
  if (unit == "s") return 1e9;
  if (unit == "m") return 60e9;
  if (unit == "h") return 3600e9;
  if (unit == "d") return 86400e9;
  return std::nullopt;
}

std::optional<double> BytesPer(std::string_view unit) {
  if (unit.empty() || unit == "B") return 1.0;
  if (unit == "KiB") return 1024.0;
  if (unit == "MiB") return 1048576.0;
  if (unit == "GiB") return 1073741824.0;
  return std::nullopt;
}

std::optional<double> NoUnit(std::string_view unit) {
  return unit.empty() ? std::optional(1.0) : std::nullopt;
}

}  // namespace

std::optional<std::chrono::nanoseconds> ParseDuration(std::string_view text) {
  const std::optional<double> number = ParseQuantity(text, NanosecondsPer);
  if (!number.has_value() || std::abs(*number) > 9e18) return std::nullopt;
  return std::chrono::nanoseconds(static_cast<std::int64_t>(*number));
}

std::optional<std::int64_t> ParseWhole(std::string_view text) {
  const std::optional<double> number = ParseQuantity(text, BytesPer);
  if (!number.has_value() || *number != std::floor(*number) ||
      std::abs(*number) > 9e15) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(*number);
}

std::optional<double> ParseNumber(std::string_view text) {
  return ParseQuantity(text, NoUnit);
}

}  // namespace grpccommon
