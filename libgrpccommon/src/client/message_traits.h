// SPDX-License-Identifier: Apache-2.0
#pragma once

/// How gRPC reads and writes messages whose type is known at run time only: its
/// traits for google::protobuf::MessageLite, whose header has moved.
#if __has_include("grpcpp/impl/proto_utils.h")
#include "grpcpp/impl/proto_utils.h"
#else
#include "grpcpp/impl/codegen/proto_utils.h"
#endif
