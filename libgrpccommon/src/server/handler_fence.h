// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "grpcpp/impl/rpc_service_method.h"

namespace grpccommon::internal {

/// Puts a fence around the application's function inside a gRPC handler: what
/// it throws is noted in the ServerCall (and so logged) before gRPC swallows it
/// and answers UNKNOWN or, for a callback method, UNIMPLEMENTED.
///
/// A handler of a type that gRPC's generated code does not use is left alone;
/// its exceptions then end as gRPC ends them. Doing it twice is harmless.
void FenceHandler(grpc::internal::RpcServiceMethod& method);

}  // namespace grpccommon::internal
