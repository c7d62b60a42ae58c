// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "client/blocking_call.h"

namespace grpccommon::internal {

/// A unary call of a caller that waits for it.
class BlockingUnaryCall : private BlockingCall {
 public:
  /// All arguments outlive this.
  BlockingUnaryCall(ServiceClient& client, const ClientMethod& method,
                    const CallOptions& options,
                    const google::protobuf::MessageLite& request);
  ~BlockingUnaryCall() override;

  /// Once. `response` is filled in with OK only.
  grpc::Status Run(google::protobuf::MessageLite& response);

 private:
  grpc::Status RunAttempts(google::protobuf::MessageLite& response);

  const google::protobuf::MessageLite& request_;
  // The latest, which the next one replaces.
  std::optional<RunningAttempt> attempt_;
};

}  // namespace grpccommon::internal
