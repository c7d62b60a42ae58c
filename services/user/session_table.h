// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "services/common/database.h"

namespace platform::user {

struct SessionOptions {
  /// From the log-in on, however often it is refreshed; at least 1 s.
  grpccommon::Clock::Duration lifetime = std::chrono::hours(30 * 24);
  /// Of one user; the oldest ends when there would be more. At least 1.
  int max_per_user = 100;
};

struct Session {
  std::string user_id;
  /// "<session>.<256 random bits>"; known to the client only.
  std::string refresh_token;
  grpccommon::Clock::WallTime expires_at;
};

/// The sessions: families of refresh tokens, each with the one that is in
/// force. Another token of the family was in force before, so that whoever
/// shows it, or whoever has used it, has stolen it: the session ends. Since a
/// token names its session, used ones need not be kept.
///
/// Changes are made in a transaction. Errors of every method: those of
/// Database.
class SessionTable {
 public:
  /// Database and clock are borrowed.
  SessionTable(common::Database& database, const SessionOptions& options,
               const grpccommon::Clock& clock)
      : database_(database), options_(options), clock_(clock) {}

  absl::StatusOr<Session> Open(std::string_view user_id);

  /// Uses up a refresh token, and makes the next. None if it is not in force;
  /// the session whose token it was, if any, then ends with the transaction.
  absl::StatusOr<std::optional<Session>> Refresh(
      std::string_view refresh_token);

  /// Ends the session of a refresh token, in force or not, if there is one.
  absl::Status Close(std::string_view refresh_token);
  absl::Status CloseAllOf(std::string_view user_id);

 private:
  common::Database& database_;
  const SessionOptions options_;
  const grpccommon::Clock& clock_;
  std::int64_t opened_ = 0;
};

}  // namespace platform::user
