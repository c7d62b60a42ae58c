// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"

namespace platform::user {

struct LockoutOptions {
  /// The failure that locks for the first time, in [1, 100].
  int failures_before_lock = 5;
  /// The lock then, which each further failure doubles, in [1 s, 24 h].
  grpccommon::Clock::Duration first_lock = std::chrono::seconds(30);
  /// And never longer than this, in [first_lock, 24 h]: whoever fails on
  /// purpose keeps the user out for so long.
  grpccommon::Clock::Duration longest_lock = std::chrono::minutes(15);
  /// After so long without a failure they are forgotten, in
  /// [longest_lock, 30 d].
  grpccommon::Clock::Duration forget_after = std::chrono::hours(24);
};

/// The failed log-ins of one account, or under a name that nobody has.
struct LoginFailures {
  int count = 0;
  grpccommon::Clock::WallTime locked_until;
  grpccommon::Clock::WallTime last_at;
};

/// When failed log-ins lock out. An attempt during a lock is not looked at, so
/// it neither counts nor succeeds. Immutable.
/// Source: NIST SP 800-63B, section 5.2.2 (at most 100 failures in a row,
/// waiting times that grow).
class Lockout {
 public:
  /// Errors: kInvalidArgument, naming the option.
  static absl::StatusOr<Lockout> Create(const LockoutOptions& options = {});

  bool Locks(const LoginFailures& failures,
             grpccommon::Clock::WallTime now) const;

  /// With one more at `now`.
  LoginFailures AfterFailure(LoginFailures failures,
                             grpccommon::Clock::WallTime now) const;

  const LockoutOptions& options() const { return options_; }

 private:
  explicit Lockout(const LockoutOptions& options) : options_(options) {}

  LockoutOptions options_;
};

}  // namespace platform::user
