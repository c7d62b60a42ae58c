// SPDX-License-Identifier: Apache-2.0
#include "client/deadline_budget.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/status/details.h"

namespace grpccommon::internal {

absl::StatusOr<Clock::Duration> DeadlineBudget(const TimeWanted& wanted) {
  if (wanted.timeout.has_value()) {
    if (absl::Status valid = CheckRange("timeout", *wanted.timeout,
                                        Clock::Duration(1), kMaxTimeout);
        !valid.ok()) {
      return valid;
    }
  }
  const Clock::Duration own = wanted.timeout.value_or(
      wanted.contract_timeout.value_or(wanted.default_timeout));
  if (wanted.parent_remaining == Clock::Duration::max()) return own;

  const Clock::Duration left =
      wanted.parent_remaining -
      std::clamp(wanted.parent_remaining / kReserveDivisor,
                 Clock::Duration::zero(), kMaxReserve);
  if (left >= kMinUsefulTime) return std::min(own, left);
  return WithReason(
      absl::DeadlineExceededError(absl::StrCat(
          "nothing useful is left of the time of the call that this one is "
          "made for: ",
          wanted.parent_remaining.count() / 1000, " us")),
      "PARENT_DEADLINE_TOO_NEAR", kErrorDomain);
}

}  // namespace grpccommon::internal
