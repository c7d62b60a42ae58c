// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "grpccommon/base/export.h"

namespace grpccommon {

/// base64url without padding (RFC 4648, section 5), as JOSE uses it.
GRPCCOMMON_EXPORT std::string Base64UrlEncode(std::string_view bytes);

/// Strict: no padding, no white space, no other alphabet, and no set bits
/// beyond the last byte (so that every value has one spelling). Empty on error.
GRPCCOMMON_EXPORT std::optional<std::string> Base64UrlDecode(
    std::string_view text);

}  // namespace grpccommon
