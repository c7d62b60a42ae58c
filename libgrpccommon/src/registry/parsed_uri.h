// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace grpccommon::internal {

/// "scheme:path" or "scheme://authority/path".
struct ParsedUri {
  std::string scheme;
  /// None without "//".
  std::optional<std::string> authority;
  /// With the "/" that ends the authority.
  std::string path;
};

/// Errors: kInvalidArgument for a scheme that is none, for white space and
/// control characters, and for user information in the authority, which is not
/// repeated in the message.
absl::StatusOr<ParsedUri> ParseUri(std::string_view uri);

/// The "host:port,host:port" of an authority.
/// Errors: kInvalidArgument for none, more than 16, a malformed one, and one
/// that comes twice.
absl::StatusOr<std::vector<std::string>> EndpointsOf(const ParsedUri& uri);

/// "registry URI: <part>: <what>".
absl::Status UriError(std::string_view part, std::string_view what);

}  // namespace grpccommon::internal
