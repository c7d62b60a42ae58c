// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "grpcpp/support/interceptor.h"

/// What channels need of gRPC C++ beyond its documented interface, in one
/// place, with a test that fails if a release changes what it relies on.
namespace grpccommon::internal {

/// Whether the response of the unary call that `batch` is about is a byte
/// buffer: a generic stub's call, whose messages must not be taken for
/// protobuf's.
bool IsGenericUnary(grpc::experimental::InterceptorBatchMethods& batch);

}  // namespace grpccommon::internal
