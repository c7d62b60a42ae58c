// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/server/server_options.h"

namespace grpccommon {

/// Options from a JSON object, over those of `base`:
///
///   {"grpc_address": "0.0.0.0:50051", "grace_period": "45s",
///    "tls": {"certificate_file": "…", "private_key_file": "…"}}
///
/// Members are named as in ServerOptions; nested structs are objects. Durations
/// are texts with a unit ("250ms", "30s", "5m", "1h"), sizes are numbers of
/// bytes or texts ("512KiB", "4MiB"), lists are arrays; `false` switches a part
/// of the chain off ("access_log": false). The member "app", an object, is left
/// to the application.
/// Errors: kInvalidArgument, naming the member: one that is unknown or written
/// twice, or whose value is of the wrong kind.
GRPCCOMMON_EXPORT absl::StatusOr<ServerOptions> ApplyJson(
    ServerOptions base, std::string_view json);

/// Options from environment variables, over those of `base`: GRPCCOMMON_ and
/// the member in capitals, two underscores for each step into an object
/// (GRPCCOMMON_TLS__CERTIFICATE_FILE); lists are separated by commas, or JSON
/// (["a", "b"]). GRPCCOMMON_CONFIG and GRPCCOMMON_APP_… are skipped.
/// `environment` is name and value. Errors: kInvalidArgument, naming the
/// variable.
GRPCCOMMON_EXPORT absl::StatusOr<ServerOptions> ApplyEnvironment(
    ServerOptions base, const std::map<std::string, std::string>& environment);

/// `defaults`, under the JSON file that GRPCCOMMON_CONFIG names, if it is set,
/// under this process's environment.
GRPCCOMMON_EXPORT absl::StatusOr<ServerOptions> LoadServerOptions(
    ServerOptions defaults);

}  // namespace grpccommon
