// SPDX-License-Identifier: Apache-2.0
#include "client/blocking_unary_call.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "client/message_traits.h"
#include "client/service_client.h"
#include "grpccommon/status/convert.h"
#include "grpcpp/impl/client_unary_call.h"

namespace grpccommon::internal {
namespace {

using google::protobuf::MessageLite;

// How soon a wait notices that the parent was cancelled, which tells nobody.
constexpr Clock::Duration kParentCheck = std::chrono::milliseconds(10);

grpc::Status Cancelled() {
  return {grpc::StatusCode::CANCELLED, "the call was cancelled"};
}

}  // namespace

BlockingUnaryCall::BlockingUnaryCall(ServiceClient& client,
                                     const ClientMethod& method,
                                     const CallOptions& options,
                                     const MessageLite& request)
    : InFlight::Entry(client.resources().in_flight),
      client_(client),
      request_(request),
      run_(client, method, options, &request) {}

BlockingUnaryCall::~BlockingUnaryCall() { Leave(); }

grpc::Status BlockingUnaryCall::Run(MessageLite& response) {
  grpc::Status status;
  if (absl::Status begun = run_.Begin(); !begun.ok()) {
    status = ToGrpcStatus(begun);
  } else if (const MessageLite* const answer = run_.answer()) {
    response.Clear();
    response.CheckTypeAndMergeFrom(*answer);
  } else {
    if (run_.options().cancellation != nullptr) {
      cancellation_.emplace(run_.options().cancellation, [this] { Cancel(); });
    }
    status = RunAttempts(response);
    cancellation_.reset();
  }
  return run_.Finish(std::move(status), attempt_.has_value() && attempt_->ended
                                            ? &*attempt_
                                            : nullptr);
}

grpc::Status BlockingUnaryCall::RunAttempts(MessageLite& response) {
  if (absl::Status placed = TakePlace(); !placed.ok()) {
    return ToGrpcStatus(placed);
  }
  grpc::Status status;
  PlanStep step = run_.plan().Start(run_.call().started_at());
  while (!step.finished) {
    if (!step.send) {
      if (!SleepUntil(*step.wake)) return Cancelled();
      step = run_.plan().OnTimer(client_.resources().clock->Now());
      continue;
    }
    if (absl::Status started = PickAndStart(); !started.ok()) {
      return ToGrpcStatus(started);
    }
    if (Watch(&attempt_->context())) {
      status = grpc::internal::BlockingUnaryCall<MessageLite, MessageLite>(
          attempt_->pick.channel.get(), run_.method().rpc, &attempt_->context(),
          request_, &response);
    } else {
      status = Cancelled();
    }
    Watch(nullptr);
    const AttemptEnd end = run_.EndAttempt(*attempt_, status);
    step = run_.plan().OnAttemptEnd(end, client_.resources().clock->Now());
  }
  return status;
}

absl::Status BlockingUnaryCall::TakePlace() {
  Bulkhead* const bulkhead = client_.resources().bulkhead.get();
  if (bulkhead == nullptr) return absl::OkStatus();
  absl::StatusOr<Bulkhead::Permit> permit = bulkhead->Acquire(run_.deadline());
  if (!permit.ok()) return permit.status();
  run_.bulkhead_permit = *std::move(permit);
  return absl::OkStatus();
}

absl::Status BlockingUnaryCall::PickAndStart() {
  attempt_.emplace();
  for (;;) {
    absl::StatusOr<bool> picked = run_.TryPick(*attempt_);
    if (!picked.ok()) return picked.status();
    if (*picked) return run_.StartAttempt(*attempt_, false);
    if (absl::Status waited = WaitForEndpoint(); !waited.ok()) return waited;
  }
}

absl::Status BlockingUnaryCall::WaitForEndpoint() {
  // The answer may come when this call has been cancelled and is gone.
  struct Answer {
    Mutex mutex;
    CondVar arrived;
    std::optional<absl::Status> status ABSL_GUARDED_BY(mutex);
  };
  const auto answer = std::make_shared<Answer>();
  client_.resources().endpoints->WaitAsync(
      run_.deadline(), [answer](absl::Status status) {
        const MutexLock lock(answer->mutex);
        answer->status = std::move(status);
        answer->arrived.NotifyAll();
      });
  for (;;) {
    {
      const MutexLock lock(answer->mutex);
      if (!answer->status.has_value()) {
        answer->arrived.WaitUntil(
            answer->mutex, std::chrono::steady_clock::now() + kParentCheck);
      }
      if (answer->status.has_value()) return *answer->status;
    }
    const MutexLock lock(mutex_);
    if (cancelled_ || run_.parent_cancelled()) {
      return FromGrpcStatus(Cancelled());
    }
  }
}

bool BlockingUnaryCall::SleepUntil(Clock::TimePoint time) {
  const auto until = std::chrono::steady_clock::now() +
                     (time - client_.resources().clock->Now());
  const bool has_parent = run_.options().parent != nullptr;
  const MutexLock lock(mutex_);
  while (!cancelled_ && !run_.parent_cancelled()) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= until) return true;
    wake_.WaitUntil(mutex_,
                    has_parent ? std::min(until, now + kParentCheck) : until);
  }
  return false;
}

// Lets Cancel find the attempt; false if it has come already.
bool BlockingUnaryCall::Watch(grpc::ClientContext* context) {
  const MutexLock lock(mutex_);
  context_ = context;
  return !cancelled_;
}

void BlockingUnaryCall::Cancel() {
  const MutexLock lock(mutex_);
  cancelled_ = true;
  if (context_ != nullptr) context_->TryCancel();
  wake_.NotifyAll();
}

}  // namespace grpccommon::internal
