// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "absl/strings/string_view.h"

namespace grpccommon {

/// Crosses over to Abseil's string_view, which on Debian 12 is a type of its
/// own without conversion from the standard one.
inline absl::string_view ToAbsl(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

/// And back; takes anything with data() and size(), grpc::string_ref included.
template <typename StringLike>
std::string_view ToStd(const StringLike& text) {
  return std::string_view(text.data(), text.size());
}

}  // namespace grpccommon
