// SPDX-License-Identifier: Apache-2.0
#include "client/pluck_queues.h"

#include "grpc/grpc.h"

namespace grpccommon::internal {

grpc::CompletionQueue* PluckQueues::New() {
  return new grpc::CompletionQueue(
      grpc_completion_queue_create_for_pluck(nullptr));
}

}  // namespace grpccommon::internal
