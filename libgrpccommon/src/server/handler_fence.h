// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "grpcpp/impl/rpc_service_method.h"

namespace grpccommon::internal {

/// Puts a fence around the application's function inside a gRPC handler: what
/// it throws is noted in the ServerCall (and so logged) before gRPC swallows it
/// and answers UNKNOWN or, for a callback method, UNIMPLEMENTED.
///
/// Returns false, and leaves alone, a handler of a type that gRPC's generated
/// code does not use; its exceptions then end as gRPC ends them. Doing it twice
/// is harmless.
bool FenceHandler(grpc::internal::RpcServiceMethod& method);

}  // namespace grpccommon::internal
