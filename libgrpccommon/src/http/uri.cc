// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/http/uri.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/utf8.h"

namespace grpccommon {
namespace {

std::optional<int> HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

enum class Controls { kRefuse, kAllowWhitespace };

absl::StatusOr<std::string> Decode(std::string_view text, bool plus_is_space,
                                   Controls controls) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const std::optional<int> high =
          i + 2 < text.size() ? HexDigit(text[i + 1]) : std::nullopt;
      const std::optional<int> low =
          high.has_value() ? HexDigit(text[i + 2]) : std::nullopt;
      if (!low.has_value()) {
        return absl::InvalidArgumentError("malformed percent escape");
      }
      c = static_cast<char>(*high * 16 + *low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    const bool control = static_cast<std::uint8_t>(c) < 0x20 || c == 0x7f;
    const bool whitespace = c == '\t' || c == '\n' || c == '\r';
    if (control && !(whitespace && controls == Controls::kAllowWhitespace)) {
      return absl::InvalidArgumentError("control character");
    }
    decoded.push_back(c);
  }
  if (!IsUtf8(decoded)) return absl::InvalidArgumentError("invalid UTF-8");
  return decoded;
}

// A segment is one name; "..%2f.." would be three once a handler joins paths.
bool HasDotSegment(std::string_view segment) {
  while (true) {
    const std::size_t end = segment.find_first_of("/\\");
    const std::string_view part = segment.substr(0, end);
    if (part == "." || part == "..") return true;
    if (end == std::string_view::npos) return false;
    segment.remove_prefix(end + 1);
  }
}

}  // namespace

absl::StatusOr<std::string> PercentDecode(std::string_view text,
                                          bool plus_is_space) {
  return Decode(text, plus_is_space, Controls::kRefuse);
}

absl::StatusOr<QueryParameters> ParseQuery(std::string_view query) {
  QueryParameters parameters;
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view part = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (part.empty()) continue;
    if (parameters.size() == kMaxQueryParameters) {
      return absl::InvalidArgumentError("too many query parameters");
    }
    const std::size_t equals = std::min(part.find('='), part.size());
    absl::StatusOr<std::string> name =
        Decode(part.substr(0, equals), true, Controls::kRefuse);
    if (!name.ok()) return name.status();
    absl::StatusOr<std::string> value =
        Decode(part.substr(std::min(equals + 1, part.size())), true,
               Controls::kAllowWhitespace);
    if (!value.ok()) return value.status();
    parameters.emplace_back(*std::move(name), *std::move(value));
  }
  return parameters;
}

absl::StatusOr<RequestTarget> ParseRequestTarget(std::string_view target) {
  for (const char c : target) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '#' || c == '\\') {
      return absl::InvalidArgumentError(
          "the request target has a byte that must be escaped");
    }
  }
  RequestTarget parsed;
  if (target == "*") {
    parsed.path = "*";
    return parsed;
  }
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!absl::StartsWithIgnoreCase(ToAbsl(target), ToAbsl(scheme))) continue;
    target.remove_prefix(scheme.size());
    const std::size_t authority =
        std::min(target.find_first_of("/?"), target.size());
    if (authority == 0) {
      return absl::InvalidArgumentError("the request target has no host");
    }
    target.remove_prefix(authority);
    // "http://host?query" has an empty path, which means "/".
    if (target.empty() || target.front() == '?') parsed.path = "/";
    break;
  }
  const std::size_t question = std::min(target.find('?'), target.size());
  std::string_view path = target.substr(0, question);
  if (parsed.path.empty()) parsed.path = path;
  if (parsed.path.empty() || parsed.path.front() != '/') {
    return absl::InvalidArgumentError("the request target must begin with /");
  }
  path = parsed.path;
  path.remove_prefix(1);
  while (parsed.path.size() > 1) {
    const std::size_t slash = path.find('/');
    const std::string_view raw = path.substr(0, slash);
    absl::StatusOr<std::string> segment = PercentDecode(raw);
    if (!segment.ok()) {
      return absl::InvalidArgumentError(
          "path: " + std::string(ToStd(segment.status().message())));
    }
    const bool last = slash == std::string_view::npos;
    const std::size_t colon = last ? raw.rfind(':') : std::string_view::npos;
    if (colon != std::string_view::npos) {
      parsed.verb_at = PercentDecode(raw.substr(0, colon))->size();
    }
    // A route with a verb sees what is before it.
    if (HasDotSegment(*segment) ||
        HasDotSegment(std::string_view(*segment).substr(0, parsed.verb_at))) {
      return absl::InvalidArgumentError("path: has a . or .. segment");
    }
    parsed.segments.push_back(*std::move(segment));
    if (last) break;
    path.remove_prefix(slash + 1);
  }
  absl::StatusOr<QueryParameters> query =
      ParseQuery(target.substr(std::min(question + 1, target.size())));
  if (!query.ok()) {
    return absl::InvalidArgumentError(
        "query: " + std::string(ToStd(query.status().message())));
  }
  parsed.query = *std::move(query);
  return parsed;
}

}  // namespace grpccommon
