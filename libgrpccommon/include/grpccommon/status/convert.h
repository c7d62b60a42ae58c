// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

#include "absl/status/status.h"
#include "grpccommon/base/export.h"
#include "grpcpp/support/status.h"

namespace grpccommon {

/// Carries code, message and every `google.rpc` detail over. A detail is a
/// payload of the absl::Status whose type URL is the detail's, so nothing is
/// lost in either direction; payloads of other types are kept as well, and so
/// are several of one type (under "<type URL>#2", "#3" …).
///
/// gRPC sends the details in a header of limited size. They go in a fixed order
/// of importance (ErrorInfo, RetryInfo, QuotaFailure, PreconditionFailure,
/// BadRequest, ResourceInfo, RequestInfo, LocalizedMessage, Help, other types,
/// DebugInfo), and one that would not fit into `kMaxDetailsBytes` any more is
/// left out; of BadRequest, the first violations stay. A too long message is
/// cut at a character, and what is not UTF-8 in it becomes U+FFFD, so the
/// status itself always arrives. Neither is done to an OK status, which carries
/// nothing.
GRPCCOMMON_EXPORT grpc::Status ToGrpcStatus(const absl::Status& status);

/// The reverse. Details that do not parse, and those after the 128th, are kept
/// out; code and message stay. A code that gRPC does not know becomes kUnknown.
GRPCCOMMON_EXPORT absl::Status FromGrpcStatus(const grpc::Status& status);

/// The serialised google.rpc.Status, and the message as gRPC encodes it for the
/// wire (three bytes for each that is not printable ASCII), take at most this,
/// since gRPC refuses more than 8 KiB of metadata by default.
inline constexpr std::size_t kMaxDetailsBytes = 5120;
inline constexpr std::size_t kMaxMessageBytes = 1024;

/// "NOT_FOUND" for absl::StatusCode::kNotFound; "UNKNOWN" outside the enum.
GRPCCOMMON_EXPORT std::string_view CodeName(grpc::StatusCode code);

/// The HTTP status for a gRPC code, by the mapping of google.rpc.Code:
/// 200, 400, 401, 403, 404, 409, 429, 499, 500, 501, 503, 504.
GRPCCOMMON_EXPORT int HttpStatusFromCode(grpc::StatusCode code);

/// The gRPC code for an HTTP status of something that does not speak gRPC, by
/// gRPC's "HTTP to gRPC Status Code Mapping".
GRPCCOMMON_EXPORT grpc::StatusCode CodeFromHttpStatus(int http_status);

}  // namespace grpccommon
