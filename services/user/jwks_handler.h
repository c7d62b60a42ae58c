// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include "grpccommon/http/message.h"
#include "services/user/key_ring.h"

namespace platform::user {

/// Answers with the published keys, which may be kept for `max_age`. The keys
/// are borrowed.
grpccommon::HttpHandler CreateJwksHandler(const KeyRing& keys,
                                          std::chrono::seconds max_age);

}  // namespace platform::user
