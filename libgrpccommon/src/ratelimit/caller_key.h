// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "absl/container/inlined_vector.h"
#include "grpccommon/call/principal.h"

namespace grpccommon::internal {

/// The bytes that tell callers apart; no allocation for usual ones.
using CallerKey = absl::InlinedVector<char, 192>;

CallerKey KeyOfPrincipal(const Principal& principal);

/// `address` as ServerCall::peer_address gives it: a number, or a socket's
/// name.
CallerKey KeyOfPeer(std::string_view address);

}  // namespace grpccommon::internal
