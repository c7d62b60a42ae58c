// SPDX-License-Identifier: Apache-2.0
#include "auth/audit.h"

#include <string>

#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"

namespace grpccommon::internal {

void AuditRefusal(const Logger& logger, const ServerCall& call,
                  const absl::Status& status) {
  if (!logger.Enabled(LogLevel::kWarning)) return;
  const std::string reason = ReasonOf(status);
  logger.Warning("access denied",
                 {{"grpc.method", call.path()},
                  {"grpc.code",
                   CodeName(static_cast<grpc::StatusCode>(status.raw_code()))},
                  {"reason", reason},
                  {"principal", call.principal().subject},
                  {"issuer", call.principal().issuer},
                  {"peer", call.peer()},
                  {"request_id", call.request_id()}});
}

}  // namespace grpccommon::internal
