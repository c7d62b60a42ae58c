// SPDX-License-Identifier: Apache-2.0
#include "services/user/session_table.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "grpccommon/auth/api_key.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/uuid.h"
#include "services/common/query.h"

namespace platform::user {
namespace {

using common::Query;
using grpccommon::Clock;
using grpccommon::ToAbsl;

// Deleting expired sessions costs a little, so it is done once in so many.
constexpr std::int64_t kPruneInterval = 256;

// The session that a token names, if it is one by its form.
std::optional<std::string> SessionIdOf(std::string_view token) {
  const std::string_view id = token.substr(0, token.find('.'));
  if (id.size() == token.size() || !grpccommon::IsUuid(id)) return std::nullopt;
  return std::string(id);
}

absl::StatusOr<std::string> NewToken(std::string_view session_id) {
  // A refresh token is like an API key: random, and kept by its hash.
  const absl::StatusOr<std::string> secret = grpccommon::GenerateApiKey();
  if (!secret.ok()) return secret.status();
  return absl::StrCat(ToAbsl(session_id), ".", *secret);
}

void Delete(soci::session& sql, std::string_view session_id) {
  Query(sql, "DELETE FROM sessions WHERE id = :id")
      .Bind("id", session_id)
      .Run();
}

}  // namespace

absl::StatusOr<Session> SessionTable::Open(std::string_view user_id) {
  return database_.Run([&](soci::session& sql) -> absl::StatusOr<Session> {
    const Clock::WallTime now = clock_.WallNow();
    if (opened_++ % kPruneInterval == 0) {
      Query(sql, "DELETE FROM sessions WHERE expires_at <= :now")
          .Bind("now", now)
          .Run();
    }
    Query(sql,
          "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE "
          "user_id = :user_id ORDER BY created_at DESC, id DESC "
          "LIMIT 1000000 OFFSET :kept)")
        .Bind("user_id", user_id)
        .Bind("kept", options_.max_per_user - 1)
        .Run();
    const std::string id = grpccommon::UuidV7(clock_);
    absl::StatusOr<std::string> token = NewToken(id);
    if (!token.ok()) return token.status();
    Session session{.user_id = std::string(user_id),
                    .refresh_token = *std::move(token),
                    .expires_at = now + options_.lifetime};
    Query(sql,
          "INSERT INTO sessions (id, user_id, token_hash, created_at, "
          "expires_at) VALUES (:id, :user_id, :token_hash, :created_at, "
          ":expires_at)")
        .Bind("id", id)
        .Bind("user_id", session.user_id)
        .Bind("token_hash", grpccommon::HashApiKey(session.refresh_token))
        .Bind("created_at", now)
        .Bind("expires_at", session.expires_at)
        .Run();
    return session;
  });
}

absl::StatusOr<std::optional<Session>> SessionTable::Refresh(
    std::string_view refresh_token) {
  return database_.Run(
      [&](soci::session& sql) -> absl::StatusOr<std::optional<Session>> {
        const std::optional<std::string> id = SessionIdOf(refresh_token);
        if (!id.has_value()) return std::nullopt;
        Session session;
        std::string token_hash;
        Query query(sql,
                    "SELECT user_id, token_hash, expires_at FROM sessions "
                    "WHERE id = :id");
        query.Bind("id", *id).Into(session.user_id, token_hash,
                                   session.expires_at);
        if (!query.Next()) return std::nullopt;
        if (session.expires_at <= clock_.WallNow() ||
            token_hash != grpccommon::HashApiKey(refresh_token)) {
          Delete(sql, *id);
          return std::nullopt;
        }
        absl::StatusOr<std::string> next = NewToken(*id);
        if (!next.ok()) return next.status();
        session.refresh_token = *std::move(next);
        Query(sql, "UPDATE sessions SET token_hash = :hash WHERE id = :id")
            .Bind("hash", grpccommon::HashApiKey(session.refresh_token))
            .Bind("id", *id)
            .Run();
        return session;
      });
}

absl::Status SessionTable::Close(std::string_view refresh_token) {
  return database_.Run([&](soci::session& sql) -> absl::Status {
    const std::optional<std::string> id = SessionIdOf(refresh_token);
    if (id.has_value()) Delete(sql, *id);
    return absl::OkStatus();
  });
}

absl::Status SessionTable::CloseAllOf(std::string_view user_id) {
  return database_.Run([&](soci::session& sql) -> absl::Status {
    Query(sql, "DELETE FROM sessions WHERE user_id = :user_id")
        .Bind("user_id", user_id)
        .Run();
    return absl::OkStatus();
  });
}

}  // namespace platform::user
