// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "google/protobuf/descriptor.h"

namespace grpccommon::internal {

inline constexpr std::string_view kTypeUrlPrefix = "type.googleapis.com/";

/// The type URL under which google.protobuf.Any carries such a message.
inline std::string TypeUrl(const google::protobuf::Descriptor& type) {
  std::string url(kTypeUrlPrefix);
  url.append(type.full_name());
  return url;
}

}  // namespace grpccommon::internal
