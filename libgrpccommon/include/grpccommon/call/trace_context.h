// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace grpccommon {

/// Where a call stands in its trace (W3C Trace Context, level 1).
struct TraceContext {
  std::array<std::uint8_t, 16> trace_id{};
  /// The span of this call; outgoing calls name it as their parent.
  std::array<std::uint8_t, 8> span_id{};
  /// The caller's span; all zero at the root.
  std::array<std::uint8_t, 8> parent_span_id{};
  bool sampled = false;
  /// Passed on as received.
  std::string state;

  bool valid() const {
    return trace_id != decltype(trace_id){} && span_id != decltype(span_id){};
  }
};

}  // namespace grpccommon
