// SPDX-License-Identifier: Apache-2.0
#include "client/blocking_unary_call.h"

#include <utility>

#include "client/grpc_access.h"
#include "client/service_client.h"
#include "grpccommon/status/convert.h"

namespace grpccommon::internal {

using google::protobuf::MessageLite;

BlockingUnaryCall::BlockingUnaryCall(ServiceClient& client,
                                     const ClientMethod& method,
                                     const CallOptions& options,
                                     const MessageLite& request)
    : BlockingCall(client, method, options, &request), request_(request) {}

BlockingUnaryCall::~BlockingUnaryCall() = default;

grpc::Status BlockingUnaryCall::Run(MessageLite& response) {
  grpc::Status status;
  if (absl::Status begun = run_.Begin(); !begun.ok()) {
    status = ToGrpcStatus(begun);
  } else if (const MessageLite* const answer = run_.answer()) {
    response.Clear();
    response.CheckTypeAndMergeFrom(*answer);
  } else {
    status = RunAttempts(response);
    StopListening();
  }
  return run_.Finish(std::move(status), attempt_.has_value() && attempt_->ended
                                            ? &*attempt_
                                            : nullptr);
}

grpc::Status BlockingUnaryCall::RunAttempts(MessageLite& response) {
  if (absl::Status entered = Enter(); !entered.ok()) {
    return ToGrpcStatus(entered);
  }
  grpc::Status status;
  PlanStep step = run_.plan().Start(run_.call().started_at());
  while (!step.finished) {
    if (!step.send) {
      if (!SleepUntil(*step.wake)) return Cancelled();
      step = run_.plan().OnTimer(client_.resources().clock->Now());
      continue;
    }
    attempt_.emplace();
    if (absl::Status started = PickAndStart(*attempt_); !started.ok()) {
      return ToGrpcStatus(started);
    }
    if (Watch(&attempt_->context())) {
      const PluckQueues::Lease queue(client_.resources().pluck_queues);
      status = PluckUnaryCall(*attempt_->pick.channel, run_.method().rpc,
                              attempt_->context(), request_, response, *queue);
    } else {
      status = Cancelled();
    }
    Watch(nullptr);
    const AttemptEnd end = run_.EndAttempt(*attempt_, status);
    step = run_.plan().OnAttemptEnd(end, attempt_->ended_at);
  }
  return status;
}

}  // namespace grpccommon::internal
