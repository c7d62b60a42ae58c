// SPDX-License-Identifier: Apache-2.0
#include "services/user/login_failure_table.h"

#include "services/common/query.h"

namespace platform::user {
namespace {

using common::Query;
using grpccommon::Clock;

// Deleting old rows costs a little, so it is done once in so many attempts.
constexpr std::int64_t kPruneInterval = 256;

}  // namespace

absl::StatusOr<LoginFailures> LoginFailureTable::Get(const LoginKey& key) {
  return database_.Run(
      [&](soci::session& sql) -> absl::StatusOr<LoginFailures> {
        LoginFailures failures;
        Query query(sql,
                    "SELECT failures, locked_until, failed_at FROM "
                    "login_failures WHERE key = :key");
        query.Bind("key", key.key)
            .Into(failures.count, failures.locked_until, failures.last_at);
        if (!query.Next()) return LoginFailures();
        return failures;
      });
}

absl::Status LoginFailureTable::Put(const LoginKey& key,
                                    const LoginFailures& failures) {
  return database_.Run([&](soci::session& sql) -> absl::Status {
    const Clock::WallTime now = clock_.WallNow();
    Query(sql,
          "INSERT INTO login_failures (key, known, failures, locked_until, "
          "failed_at, attempted_at) VALUES (:key, :known, :failures, "
          ":locked_until, :failed_at, :attempted_at) ON CONFLICT (key) DO "
          "UPDATE SET failures = excluded.failures, "
          "locked_until = excluded.locked_until, "
          "failed_at = excluded.failed_at, "
          "attempted_at = excluded.attempted_at")
        .Bind("key", key.key)
        .Bind("known", key.known)
        .Bind("failures", failures.count)
        .Bind("locked_until", failures.locked_until)
        .Bind("failed_at", failures.last_at)
        .Bind("attempted_at", now)
        .Run();
    if (put_++ % kPruneInterval == 0) Prune(sql, now);
    return absl::OkStatus();
  });
}

void LoginFailureTable::Prune(soci::session& sql, Clock::WallTime now) {
  Query(sql, "DELETE FROM login_failures WHERE attempted_at <= :time")
      .Bind("time", now - options_.forget_after)
      .Run();
  // Those of accounts are kept: whoever makes up names must not get rid of
  // them.
  Query(sql,
        "DELETE FROM login_failures WHERE key IN (SELECT key FROM "
        "login_failures WHERE known = 0 ORDER BY attempted_at DESC, key "
        "LIMIT 1000000 OFFSET :kept)")
      .Bind("kept", options_.max_unknown)
      .Run();
}

absl::Status LoginFailureTable::Clear(const LoginKey& key) {
  return database_.Run([&](soci::session& sql) -> absl::Status {
    Query(sql, "DELETE FROM login_failures WHERE key = :key")
        .Bind("key", key.key)
        .Run();
    return absl::OkStatus();
  });
}

}  // namespace platform::user
