// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "grpccommon/tracing/span.h"

/// What the spans of the server's and of the client's calls have in common.
namespace grpccommon::internal {

/// "/pkg.Service/Method" as spans are called.
std::string_view RpcSpanName(std::string_view path);

/// `rpc.system`, and `rpc.service` and `rpc.method` of RpcSpanName's result.
void DescribeRpc(std::string_view name, Span& span);

/// `network.peer.address`, `network.transport` ("tcp", "unix" or left out if
/// empty) and, over TCP, `network.peer.port`. `peer` is the address with its
/// port.
void DescribePeer(std::string_view address, std::string_view peer,
                  std::string_view transport, Span& span);

/// `type` is "SENT" or "RECEIVED".
void AddMessageEvent(Span& span, const char* type, std::int64_t number);

}  // namespace grpccommon::internal
