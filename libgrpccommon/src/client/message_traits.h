// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/grpc_compat.h"

/// How gRPC reads and writes messages whose type is known at run time only: its
/// traits for google::protobuf::MessageLite.
#include GRPCCOMMON_GRPC_PROTO_UTILS_H
