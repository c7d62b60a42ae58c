// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace grpccommon::internal {

/// Code points in `text`; none if it is not well-formed UTF-8.
std::optional<std::size_t> CountCodePoints(std::string_view text);

/// A "valid e-mail address" of the WHATWG HTML standard, section 4.10.5.1.5.
bool IsEmail(std::string_view text);

/// A host name of RFC 1123, section 2.1: labels of 1 to 63 letters, digits and
/// inner hyphens, 253 characters in all, the last label not a number (that
/// would be an address). No final dot.
bool IsHostname(std::string_view text);

/// An absolute URI of RFC 3986 with a scheme and an authority whose host is not
/// empty: "https://user@host:8080/path?query#fragment".
bool IsUri(std::string_view text);

}  // namespace grpccommon::internal
