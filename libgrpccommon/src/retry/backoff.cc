// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/retry/backoff.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/string_view.h"

namespace grpccommon {

using std::chrono::nanoseconds;

absl::Status CheckOptions(const BackoffOptions& options,
                          std::string_view prefix) {
  constexpr nanoseconds kLongest = std::chrono::hours(24);
  const auto name = [prefix](std::string_view option) {
    return absl::StrCat(ToAbsl(prefix), ToAbsl(option));
  };
  absl::Status valid = CheckRange(name("kind"), static_cast<int>(options.kind),
                                  0, static_cast<int>(BackoffKind::kGrpc));
  valid.Update(
      CheckRange(name("initial"), options.initial, nanoseconds(1), kLongest));
  valid.Update(CheckRange(name("max"), options.max, options.initial, kLongest));
  valid.Update(CheckRange(name("multiplier"), options.multiplier, 1, 100));
  return valid;
}

nanoseconds Backoff::Next(const Random& random) {
  const double uniform = random();
  const auto initial = static_cast<double>(options_->initial.count());
  const auto max = static_cast<double>(options_->max.count());
  double delay = 0;
  if (options_->kind == BackoffKind::kDecorrelated) {
    delay = std::min(max, initial + uniform * (3 * state_ - initial));
    state_ = delay;
  } else {
    const double cap = state_;
    state_ = std::min(max, cap * options_->multiplier);
    switch (options_->kind) {
      case BackoffKind::kEqualJitter:
        delay = cap / 2 + uniform * cap / 2;
        break;
      case BackoffKind::kGrpc:
        delay = cap * (0.8 + uniform * 0.4);
        break;
      default:
        delay = uniform * cap;
        break;
    }
  }
  return nanoseconds(static_cast<std::int64_t>(delay));
}

}  // namespace grpccommon
