// SPDX-License-Identifier: Apache-2.0
#include "services/user/lockout.h"

#include <algorithm>

#include "grpccommon/base/check_range.h"

namespace platform::user {

using grpccommon::CheckRange;
using grpccommon::Clock;
using namespace std::chrono_literals;

absl::StatusOr<Lockout> Lockout::Create(const LockoutOptions& options) {
  absl::Status valid =
      CheckRange("failures_before_lock", options.failures_before_lock, 1, 100);
  valid.Update(CheckRange("first_lock", options.first_lock, 1s, 24h));
  valid.Update(CheckRange("longest_lock", options.longest_lock,
                          options.first_lock, 24h));
  valid.Update(CheckRange("forget_after", options.forget_after,
                          options.longest_lock, 30 * 24h));
  if (!valid.ok()) return valid;
  return Lockout(options);
}

bool Lockout::Locks(const LoginFailures& failures, Clock::WallTime now) const {
  return now < failures.locked_until;
}

LoginFailures Lockout::AfterFailure(LoginFailures failures,
                                    Clock::WallTime now) const {
  if (now - failures.last_at >= options_.forget_after) failures.count = 0;
  failures.last_at = now;
  ++failures.count;
  Clock::Duration lock = options_.first_lock;
  for (int i = options_.failures_before_lock;
       i < failures.count && lock < options_.longest_lock; ++i) {
    lock *= 2;
  }
  if (failures.count >= options_.failures_before_lock) {
    failures.locked_until = now + std::min(lock, options_.longest_lock);
  }
  return failures;
}

}  // namespace platform::user
