// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "grpcpp/version_info.h"

/// Where the releases of gRPC differ that this library is written for, 1.51 to
/// 1.83. Nothing else in the library asks for a version.
/// docs/decisions/0010-grpc-internals.md lists what we use beyond gRPC's
/// documented interface, and in which releases it was read.

#define GRPCCOMMON_GRPC_AT_LEAST(major, minor) \
  (GRPC_CPP_VERSION_MAJOR > (major) ||         \
   (GRPC_CPP_VERSION_MAJOR == (major) && GRPC_CPP_VERSION_MINOR >= (minor)))

// Headers that moved, to be included by these names.
#if __has_include("grpcpp/impl/server_callback_handlers.h")
#define GRPCCOMMON_GRPC_CALLBACK_HANDLERS_H \
  "grpcpp/impl/server_callback_handlers.h"
#else
#define GRPCCOMMON_GRPC_CALLBACK_HANDLERS_H \
  "grpcpp/impl/codegen/server_callback_handlers.h"
#endif
#if __has_include("grpcpp/impl/proto_utils.h")
#define GRPCCOMMON_GRPC_PROTO_UTILS_H "grpcpp/impl/proto_utils.h"
#else
#define GRPCCOMMON_GRPC_PROTO_UTILS_H "grpcpp/impl/codegen/proto_utils.h"
#endif

namespace grpccommon::internal {

// Releases since 1.55 refuse metadata beyond GRPC_ARG_MAX_METADATA_SIZE by
// chance only, unless this says the same; earlier ones do not know it.
inline constexpr char kAbsoluteMaxMetadataSizeArgument[] =
    "grpc.absolute_max_metadata_size";

}  // namespace grpccommon::internal

// gRPC logs through gpr, and through Abseil since: 1.65 keeps gpr's functions
// without effect, 1.66 begins to remove them.
#define GRPCCOMMON_GRPC_GPR_LOG !GRPCCOMMON_GRPC_AT_LEAST(1, 65)
// protobuf logs through a handler of its own up to 21, and through Abseil
// since. Include google/protobuf/stubs/common.h where this is asked.
#define GRPCCOMMON_PROTOBUF_LOG (GOOGLE_PROTOBUF_VERSION < 4022000)

// Whether gRPC's handlers start what they do on a call through the hook of the
// Call that they are given. Newer ones start it directly, and a hook would see
// nothing, silently. When that came is not known to the release, so this ends
// with the last one that was read to be as 1.51. Without the hook, gRPC's own
// interception does the same at the price of a turn of the completion queue for
// each message; it may be chosen for any release by defining this to 0.
#ifndef GRPCCOMMON_GRPC_CALL_HOOK
#define GRPCCOMMON_GRPC_CALL_HOOK !GRPCCOMMON_GRPC_AT_LEAST(1, 66)
#endif
