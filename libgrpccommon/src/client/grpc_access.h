// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "google/protobuf/message_lite.h"
#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/impl/channel_interface.h"
#include "grpcpp/impl/rpc_method.h"
#include "grpcpp/support/interceptor.h"
#include "grpcpp/support/status.h"

/// What channels need of gRPC C++ beyond its documented interface, in one
/// place, with a test that fails if a release changes what it relies on.
namespace grpccommon::internal {

/// Whether the response of the unary call that `batch` is about is a byte
/// buffer: a generic stub's call, whose messages must not be taken for
/// protobuf's.
bool IsGenericUnary(grpc::experimental::InterceptorBatchMethods& batch);

/// Performs a unary call and waits for its end on `queue`, which is for
/// plucking, has no other operations, and has none afterwards.
grpc::Status PluckUnaryCall(grpc::ChannelInterface& channel,
                            const grpc::internal::RpcMethod& method,
                            grpc::ClientContext& context,
                            const google::protobuf::MessageLite& request,
                            google::protobuf::MessageLite& response,
                            grpc::CompletionQueue& queue);

}  // namespace grpccommon::internal
