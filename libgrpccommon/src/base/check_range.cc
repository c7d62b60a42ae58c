// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/check_range.h"

#include "absl/strings/str_cat.h"
#include "grpccommon/base/string_view.h"

namespace grpccommon {

absl::Status CheckRange(std::string_view option, double value, double minimum,
                        double maximum) {
  if (value >= minimum && value <= maximum) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(ToAbsl(option),
                                                 " must be in [", minimum, ", ",
                                                 maximum, "], got ", value));
}

absl::Status CheckRange(std::string_view option, std::chrono::nanoseconds value,
                        std::chrono::nanoseconds minimum,
                        std::chrono::nanoseconds maximum) {
  if (value >= minimum && value <= maximum) return absl::OkStatus();
  const auto seconds = [](std::chrono::nanoseconds duration) {
    return std::chrono::duration<double>(duration).count();
  };
  return absl::InvalidArgumentError(
      absl::StrCat(ToAbsl(option), " must be in [", seconds(minimum), " s, ",
                   seconds(maximum), " s], got ", seconds(value), " s"));
}

}  // namespace grpccommon
