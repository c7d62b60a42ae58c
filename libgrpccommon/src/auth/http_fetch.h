// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"

namespace grpccommon::internal {

struct HttpRequest {
  std::string url;
  bool allow_http = false;
  /// PEM; empty: the system's authorities.
  std::string ca_file;
  Clock::Duration timeout = std::chrono::seconds(5);
  std::size_t max_bytes = 256 << 10;
  /// A form to POST; none: GET.
  std::optional<std::string> form;
  /// For HTTP Basic, if the user is not empty.
  std::string user;
  std::string password;
};

struct HttpAnswer {
  long code = 0;
  std::string body;
  /// What is left of `max-age`, if the answer had one.
  std::optional<Clock::Duration> lifetime;
};

/// Errors: kInvalidArgument unless `url` is https, or http where allowed, and
/// holds no credentials; kInternal if libcurl is not usable.
absl::Status CheckFetch(std::string_view url, bool allow_http);

/// Blocks; returns early once `stop` is true. Follows no redirects.
/// Errors: kUnavailable, kInvalidArgument for an answer that is too large. An
/// answer of any code is none.
absl::StatusOr<HttpAnswer> Fetch(const HttpRequest& request,
                                 const std::atomic<bool>& stop);

/// `max-age` of a Cache-Control field, in seconds; zero for `no-store` and
/// `no-cache`; nothing if it says neither or cannot be read.
std::optional<std::int64_t> ParseMaxAge(std::string_view cache_control);

}  // namespace grpccommon::internal
