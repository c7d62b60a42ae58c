// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/call/pushback.h"

#include <algorithm>
#include <cassert>
#include <string>

#include "call/server_call_driver.h"
#include "grpccommon/call/metadata_keys.h"
#include "grpccommon/status/refusal.h"

namespace grpccommon {

[[gnu::hot]] void AddRetryPushback(ServerCall& call,
                                   std::chrono::nanoseconds delay) {
  assert(delay.count() >= 0);
  // gRPC reads it as a 32-bit number.
  constexpr std::chrono::milliseconds kLongest(2'147'483'647);
  const std::chrono::milliseconds rounded =
      delay >= kLongest ? kLongest
                        : std::chrono::ceil<std::chrono::milliseconds>(delay);
  call.AddTrailingMetadata(metadata::kRetryPushback,
                           std::to_string(rounded.count()));
}

[[gnu::hot]] absl::Status RefuseFor(ServerCall& call, const Refusal& refusal,
                                    std::chrono::nanoseconds delay) {
  AddRetryPushback(call, delay);
  internal::ServerCallDriver::set_refusal(call, refusal, delay);
  return refusal.status();
}

}  // namespace grpccommon
