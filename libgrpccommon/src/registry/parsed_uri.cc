// SPDX-License-Identifier: Apache-2.0
#include "registry/parsed_uri.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "grpccommon/base/string_view.h"
#include "registry/address.h"

namespace grpccommon::internal {
namespace {

constexpr std::size_t kMaxUriBytes = 4096;
constexpr std::size_t kMaxEndpoints = 16;

}  // namespace

absl::Status UriError(std::string_view part, std::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("registry URI: ", ToAbsl(part), ": ", ToAbsl(what)));
}

absl::StatusOr<ParsedUri> ParseUri(std::string_view uri) {
  if (uri.size() > kMaxUriBytes) {
    return UriError("length", absl::StrCat("more than ", kMaxUriBytes));
  }
  if (std::any_of(uri.begin(), uri.end(), [](char c) {
        return static_cast<unsigned char>(c) <= ' ' || c == 0x7f;
      })) {
    return UriError("characters", "white space and control characters");
  }
  const std::size_t colon = uri.find(':');
  const std::string_view scheme = colon == std::string_view::npos
                                      ? std::string_view()
                                      : uri.substr(0, colon);
  if (scheme.empty() || !std::all_of(scheme.begin(), scheme.end(), [](char c) {
        return c >= 'a' && c <= 'z';
      })) {
    return UriError("scheme", "must be lower-case letters before a colon");
  }

  ParsedUri parsed{.scheme = std::string(scheme)};
  std::string_view rest = uri.substr(colon + 1);
  if (rest.starts_with("//")) {
    rest.remove_prefix(2);
    const std::string_view authority = rest.substr(0, rest.find('/'));
    if (authority.find('@') != std::string_view::npos) {
      return UriError("authority",
                      "must have no user or password; credentials are options");
    }
    parsed.authority = std::string(authority);
    rest.remove_prefix(authority.size());
  }
  parsed.path = std::string(rest);
  return parsed;
}

absl::StatusOr<std::vector<std::string>> EndpointsOf(const ParsedUri& uri) {
  if (!uri.authority.has_value() || uri.authority->empty()) {
    return UriError("authority",
                    absl::StrCat("missing: ", uri.scheme, "://host:port"));
  }
  std::vector<std::string> endpoints = absl::StrSplit(*uri.authority, ',');
  if (endpoints.size() > kMaxEndpoints) {
    return UriError("authority",
                    absl::StrCat("more than ", kMaxEndpoints, " endpoints"));
  }
  for (auto endpoint = endpoints.begin(); endpoint != endpoints.end();
       ++endpoint) {
    if (const auto parsed = ParseHostPort(*endpoint); !parsed.ok()) {
      return UriError(absl::StrCat("endpoint ", Quoted(*endpoint)),
                      ToStd(parsed.status().message()));
    }
    if (std::find(endpoints.begin(), endpoint, *endpoint) != endpoint) {
      return UriError(absl::StrCat("endpoint ", Quoted(*endpoint)),
                      "comes twice");
    }
  }
  return endpoints;
}

}  // namespace grpccommon::internal
