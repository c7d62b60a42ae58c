// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "grpccommon/base/string_view.h"

namespace platform::common {

/// An id as it is stored, compared and answered. A UUID is the same in either
/// case (RFC 9562, section 4), so what comes in goes through here.
inline std::string CanonicalId(std::string_view id) {
  return absl::AsciiStrToLower(grpccommon::ToAbsl(id));
}

}  // namespace platform::common
