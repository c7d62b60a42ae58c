// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/client/deadline_budget.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/status/details.h"

namespace grpccommon {
namespace {

constexpr int kReserveDivisor = 20;
constexpr Clock::Duration kMaxTimeout = std::chrono::hours(24);

absl::Status CheckTimeout(std::string_view name, Clock::Duration timeout) {
  return CheckRange(name, timeout, Clock::Duration(1), kMaxTimeout);
}

}  // namespace

absl::Status CheckOptions(const DeadlineBudgetOptions& options) {
  const Clock::Duration zero = Clock::Duration::zero();
  absl::Status valid =
      CheckTimeout("deadline.default_timeout", options.default_timeout);
  valid.Update(CheckTimeout("deadline.default_stream_timeout",
                            options.default_stream_timeout));
  valid.Update(CheckRange("deadline.max_reserve", options.max_reserve, zero,
                          std::chrono::seconds(1)));
  valid.Update(CheckRange("deadline.min_useful", options.min_useful, zero,
                          std::chrono::seconds(1)));
  return valid;
}

absl::StatusOr<Clock::Duration> DeadlineBudget(
    const WantedTime& wanted, const DeadlineBudgetOptions& options) {
  if (wanted.timeout.has_value()) {
    if (absl::Status valid = CheckTimeout("timeout", *wanted.timeout);
        !valid.ok()) {
      return valid;
    }
  }
  if (wanted.unbounded && (!wanted.stream || wanted.timeout.has_value())) {
    return absl::InvalidArgumentError(
        wanted.stream ? "a call is either unbounded or has a timeout"
                      : "only streams can be unbounded");
  }
  const Clock::Duration own =
      wanted.unbounded
          ? Clock::Duration::max()
          : wanted.timeout.value_or(wanted.contract_timeout.value_or(
                wanted.stream ? options.default_stream_timeout
                              : options.default_timeout));
  if (wanted.parent_remaining == Clock::Duration::max()) return own;

  const Clock::Duration zero = Clock::Duration::zero();
  const Clock::Duration left =
      wanted.parent_remaining -
      std::clamp(wanted.parent_remaining / kReserveDivisor, zero,
                 options.max_reserve);
  if (left > zero && left >= options.min_useful) return std::min(own, left);
  return WithReason(
      absl::DeadlineExceededError(absl::StrCat(
          "nothing useful is left of the time of the call that this one is "
          "made for: ",
          wanted.parent_remaining.count() / 1000, " us")),
      "PARENT_DEADLINE_TOO_NEAR", kErrorDomain);
}

}  // namespace grpccommon
