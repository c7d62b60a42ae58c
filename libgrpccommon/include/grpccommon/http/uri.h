// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"

namespace grpccommon {

/// Decodes "%41" to "A", once. With `plus_is_space` (queries and forms), "+"
/// becomes a space as well.
/// Errors: kInvalidArgument for an incomplete or non-hexadecimal escape, and
/// for what decodes to a control character or to invalid UTF-8, so that no
/// caller has to fear a NUL or a line break in a path.
GRPCCOMMON_EXPORT absl::StatusOr<std::string> PercentDecode(
    std::string_view text, bool plus_is_space = false);

/// In order of appearance; a name may come several times.
using QueryParameters = std::vector<std::pair<std::string, std::string>>;

inline constexpr std::size_t kMaxQueryParameters = 256;

/// Parses "a=1&b=x%20y&flag" (application/x-www-form-urlencoded). A parameter
/// without "=" has an empty value; empty parts ("a=1&&b=2") are skipped. In
/// values, unlike in paths, line breaks and tabs are allowed, NUL is not.
/// Errors: kInvalidArgument for a bad escape, invalid UTF-8, or more than
/// `kMaxQueryParameters`.
GRPCCOMMON_EXPORT absl::StatusOr<QueryParameters> ParseQuery(
    std::string_view query);

/// The target of a request line, taken apart.
struct RequestTarget {
  static constexpr std::size_t kNoVerb = static_cast<std::size_t>(-1);

  /// As it came: percent-encoded, begins with "/". "*" for `OPTIONS *`.
  std::string path;
  /// Each decoded once. "/" has none; "/a/" has two, the last one empty.
  std::vector<std::string> segments;
  /// Where the last unescaped ":" of the last segment is in its decoded form,
  /// for patterns that end in a verb ("/v1/{name}:cancel").
  std::size_t verb_at = kNoVerb;
  QueryParameters query;
};

/// Takes the origin form ("/path?query") and the absolute form
/// ("http://host/path?query", whose host is ignored).
///
/// Nothing is normalised: a path that would need it is refused, because two
/// programs that normalise differently are a way around an access rule.
/// Errors: kInvalidArgument for any other form, a fragment, bytes that a
/// target may not have, what `PercentDecode` refuses, and for a segment that
/// is "." or "..", also one hidden in an escaped slash or backslash
/// ("..%2fetc") or before a verb ("..:get").
GRPCCOMMON_EXPORT absl::StatusOr<RequestTarget> ParseRequestTarget(
    std::string_view target);

}  // namespace grpccommon
