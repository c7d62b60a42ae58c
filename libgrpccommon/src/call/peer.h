// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>
#include <string_view>

namespace grpccommon::internal {

/// Undoes, in place, what some versions of gRPC do to the brackets of an IPv6
/// peer: they percent-encode them, and the percent sign of a zone.
[[gnu::hot]] inline void DecodePeer(char* peer) {
  char* to = std::strchr(peer, '%');
  if (to == nullptr) return;
  const char* from = to;
  while (*from != '\0') {
    const std::string_view rest(from);
    const char decoded = rest.starts_with("%5B")   ? '['
                         : rest.starts_with("%5D") ? ']'
                         : rest.starts_with("%25") ? '%'
                                                   : '\0';
    *to++ = decoded != '\0' ? decoded : *from;
    from += decoded != '\0' ? 3 : 1;
  }
  *to = '\0';
}

}  // namespace grpccommon::internal
