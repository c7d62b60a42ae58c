// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "grpcpp/impl/channel_interface.h"

namespace grpccommon::internal {

/// The path, "/pkg.Service/Method", of the one call that `call` makes on the
/// channel that it is given, blocking or not, of any kind; empty if it made
/// none. Nothing is sent: the call ends with CANCELLED at once.
std::string ProbePath(
    const std::function<
        void(const std::shared_ptr<grpc::ChannelInterface>& channel)>& call);

}  // namespace grpccommon::internal
