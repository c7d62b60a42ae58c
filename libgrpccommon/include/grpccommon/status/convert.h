// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "grpccommon/base/export.h"
#include "grpcpp/support/status.h"

namespace grpccommon {

/// Carries code, message and every `google.rpc` detail over. A detail is a
/// payload of the absl::Status whose type URL is the detail's, so nothing is
/// lost in either direction; payloads of other types are kept as well.
///
/// gRPC sends the details in a header of limited size: those that would not fit
/// into `kMaxDetailsBytes` are left out, last first, and a too long message is
/// cut at a character (the status itself always arrives).
GRPCCOMMON_EXPORT grpc::Status ToGrpcStatus(const absl::Status& status);

/// The reverse. Details that do not parse are kept out, code and message stay.
GRPCCOMMON_EXPORT absl::Status FromGrpcStatus(const grpc::Status& status);

/// Serialised google.rpc.Status and message each stay below this, since gRPC
/// refuses more than 8 KiB of metadata by default.
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
