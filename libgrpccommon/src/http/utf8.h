// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace grpccommon::internal {

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsUtf8(std::string_view text);

}  // namespace grpccommon::internal
