// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "grpccommon/auth/token_provider.h"

namespace grpccommon::internal {

struct FetchedToken {
  std::string token;
  /// If the issuer said.
  std::optional<Clock::Duration> lifetime;
};

/// Fetches once; returns early once `stop` is true.
using FetchToken =
    std::function<absl::StatusOr<FetchedToken>(const std::atomic<bool>& stop)>;

/// CreateClientCredentials without the issuer. Requires valid options. Does not
/// wait for the first token.
std::shared_ptr<TokenProvider> CreateFetchedToken(
    FetchToken fetch, Scheduler& scheduler,
    const ClientCredentialsOptions& options, const Logger& logger,
    const Clock& clock, Random random);

/// Reads an answer of the token endpoint (RFC 6749, sections 5.1 and 5.2).
/// Errors: kUnavailable for any other answer, without its text.
absl::StatusOr<FetchedToken> ParseTokenAnswer(long http_code,
                                              std::string_view body);

}  // namespace grpccommon::internal
