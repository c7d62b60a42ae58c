// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "services/common/database.h"
#include "services/user/lockout.h"

namespace platform::user {

/// Whose failures they are.
struct LoginKey {
  /// An account's id, or a pseudonym of a name that nobody has.
  std::string_view key;
  bool known = false;
};

struct LoginFailureOptions {
  /// Names that nobody has, of which the failures are kept: the latest.
  std::int64_t max_unknown = 100'000;
  /// As in LockoutOptions.
  grpccommon::Clock::Duration forget_after = std::chrono::hours(24);
};

/// The failed log-ins. Changes are made in a transaction. Errors of every
/// method: those of Database.
class LoginFailureTable {
 public:
  /// Database and clock are borrowed.
  LoginFailureTable(common::Database& database,
                    const LoginFailureOptions& options,
                    const grpccommon::Clock& clock)
      : database_(database), options_(options), clock_(clock) {}

  /// Zero if there are none.
  absl::StatusOr<LoginFailures> Get(const LoginKey& key);

  /// Notes an attempt, and the failures as they are after it. Costs the same
  /// whether they are others than before or not.
  absl::Status Put(const LoginKey& key, const LoginFailures& failures);

  absl::Status Clear(const LoginKey& key);

 private:
  void Prune(soci::session& sql, grpccommon::Clock::WallTime now);

  common::Database& database_;
  const LoginFailureOptions options_;
  const grpccommon::Clock& clock_;
  std::int64_t put_ = 0;
};

}  // namespace platform::user
