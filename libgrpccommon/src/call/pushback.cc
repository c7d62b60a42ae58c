// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/call/pushback.h"

#include <algorithm>
#include <cassert>
#include <string>

#include "grpccommon/call/metadata_keys.h"
#include "grpccommon/call/server_call.h"

namespace grpccommon {

void AddRetryPushback(ServerCall& call, std::chrono::nanoseconds delay) {
  assert(delay.count() >= 0);
  // gRPC reads it as a 32-bit number.
  constexpr std::chrono::milliseconds kLongest(2'147'483'647);
  const std::chrono::milliseconds rounded =
      delay >= kLongest ? kLongest
                        : std::chrono::ceil<std::chrono::milliseconds>(delay);
  call.AddTrailingMetadata(metadata::kRetryPushback,
                           std::to_string(rounded.count()));
}

}  // namespace grpccommon
