// SPDX-License-Identifier: Apache-2.0
#include "client/async_unary_call.h"

#include <algorithm>
#include <utility>

#include "client/message_traits.h"
#include "client/service_client.h"
#include "grpccommon/status/convert.h"
#include "grpcpp/support/client_callback.h"

namespace grpccommon::internal {
namespace {

using google::protobuf::MessageLite;

// The messages of a caller that waits. A hedge may just be sent when another
// attempt's answer lets the caller go, so the request is a copy.
class WaitingMessages : public AsyncMessages {
 public:
  struct Outcome {
    Mutex mutex;
    CondVar ended;
    std::optional<absl::Status> status ABSL_GUARDED_BY(mutex);
  };

  WaitingMessages(const MessageLite& request, MessageLite& response,
                  MoveMessage move, std::shared_ptr<Outcome> outcome)
      : request_(request.New()),
        response_(response),
        move_(move),
        outcome_(std::move(outcome)) {
    request_->CheckTypeAndMergeFrom(request);
  }

  const MessageLite& request() const override { return *request_; }
  MessageLite& response() override { return response_; }
  void MoveResponse(MessageLite& from) override { move_(from, response_); }
  void Done(absl::Status status) override {
    const MutexLock lock(outcome_->mutex);
    outcome_->status = std::move(status);
    outcome_->ended.NotifyAll();
  }

 private:
  const std::unique_ptr<MessageLite> request_;
  MessageLite& response_;  // touched before Done only
  const MoveMessage move_;
  const std::shared_ptr<Outcome> outcome_;
};

}  // namespace

absl::Status CallAndWait(ServiceClient& client, const ClientMethod& method,
                         const CallOptions& options, const MessageLite& request,
                         MessageLite& response, MoveMessage move) {
  const auto outcome = std::make_shared<WaitingMessages::Outcome>();
  client.CallAsync(
      method, options,
      std::make_unique<WaitingMessages>(request, response, move, outcome));
  const MutexLock lock(outcome->mutex);
  while (!outcome->status.has_value()) outcome->ended.Wait(outcome->mutex);
  return *std::move(outcome->status);
}

AsyncUnaryCall::AsyncUnaryCall(Private /*for Start only*/,
                               std::shared_ptr<ServiceClient> client,
                               const ClientMethod& method, CallOptions options,
                               std::unique_ptr<AsyncMessages> messages)
    : InFlight::Entry(client->resources().in_flight),
      client_(std::move(client)),
      options_(std::move(options)),
      messages_(std::move(messages)),
      run_(*client_, method, options_, &messages_->request()) {}

AsyncUnaryCall::~AsyncUnaryCall() { Leave(); }

void AsyncUnaryCall::Start(std::shared_ptr<ServiceClient> client,
                           const ClientMethod& method, CallOptions options,
                           std::unique_ptr<AsyncMessages> messages) {
  std::make_shared<AsyncUnaryCall>(Private(), std::move(client), method,
                                   std::move(options), std::move(messages))
      ->Begin();
}

void AsyncUnaryCall::Begin() {
  if (absl::Status begun = run_.Begin(); !begun.ok()) {
    Complete(ToGrpcStatus(begun), nullptr);
    return;
  }
  if (const MessageLite* const answer = run_.answer()) {
    messages_->response().Clear();
    messages_->response().CheckTypeAndMergeFrom(*answer);
    Complete(grpc::Status::OK, nullptr);
    return;
  }
  if (options_.cancellation != nullptr) {
    cancellation_.emplace(options_.cancellation, [self = weak_from_this()] {
      if (const auto call = self.lock()) call->Cancel();
    });
  }
  ServiceResources& resources = client_->resources();
  if (resources.bulkhead == nullptr) {
    OnPlace(Bulkhead::Permit(), run_.call().started_at());
    return;
  }
  resources.bulkhead->AcquireAsync(
      run_.deadline(), *resources.scheduler,
      [self = shared_from_this()](absl::StatusOr<Bulkhead::Permit> permit) {
        self->OnPlace(std::move(permit),
                      self->client_->resources().clock->Now());
      });
}

void AsyncUnaryCall::OnPlace(absl::StatusOr<Bulkhead::Permit> permit,
                             Clock::TimePoint now) {
  if (!permit.ok()) {
    Complete(ToGrpcStatus(permit.status()), nullptr);
    return;
  }
  PlanStep step;
  {
    const MutexLock lock(mutex_);
    if (completed_) return;
    run_.bulkhead_permit = *std::move(permit);
    step = run_.plan().Start(now);
  }
  Act(step);
}

void AsyncUnaryCall::Act(const PlanStep& step) {
  if (step.finished) {
    grpc::Status status;
    std::shared_ptr<Attempt> last;
    {
      const MutexLock lock(mutex_);
      status = last_status_;
      last = last_;
    }
    Complete(std::move(status), last);
    return;
  }
  if (step.wake.has_value()) SetTimer(*step.wake);
  if (step.send) RequestSend();
}

void AsyncUnaryCall::SetTimer(Clock::TimePoint time) {
  Scheduler& scheduler = *client_->resources().scheduler;
  std::uint64_t number = 0;
  Scheduler::TaskId replaced = 0;
  {
    const MutexLock lock(mutex_);
    number = ++timer_number_;
    replaced = std::exchange(timer_, 0);
  }
  if (replaced != 0) scheduler.Cancel(replaced);
  const Scheduler::TaskId timer = scheduler.RunAfter(
      time - client_->resources().clock->Now(),
      [self = shared_from_this(), number] { self->OnTimer(number); });
  bool late = false;
  {
    const MutexLock lock(mutex_);
    late = completed_ || timer_number_ != number;
    if (!late) timer_ = timer;
  }
  if (late) scheduler.Cancel(timer);
}

void AsyncUnaryCall::OnTimer(std::uint64_t number) {
  PlanStep step;
  bool orphaned = false;
  {
    const MutexLock lock(mutex_);
    if (completed_ || timer_number_ != number) return;
    orphaned = run_.parent_cancelled();
    if (!orphaned) {
      step = run_.plan().OnTimer(client_->resources().clock->Now());
    }
  }
  if (orphaned) {
    Cancel();
  } else {
    Act(step);
  }
}

void AsyncUnaryCall::RequestSend() {
  bool hedged = false;
  {
    const MutexLock lock(mutex_);
    ++sends_wanted_;
    if (sending_ || !TakeSend(hedged)) return;
  }
  for (;;) {
    SendOne(hedged);
    const MutexLock lock(mutex_);
    if (!TakeSend(hedged)) return;
  }
}

// Whether the thread that asks is to send; beside other attempts, if `hedged`.
bool AsyncUnaryCall::TakeSend(bool& hedged) {
  sending_ = !completed_ && sends_wanted_ > 0;
  if (sending_) --sends_wanted_;
  hedged = !attempts_.empty();
  return sending_;
}

void AsyncUnaryCall::SendOne(bool hedged) {
  auto attempt = std::make_shared<Attempt>();
  absl::StatusOr<bool> picked = run_.TryPick(attempt->running);
  if (!picked.ok()) {
    OnLocalFailure(picked.status());
    return;
  }
  if (*picked) {
    Send(std::move(attempt), hedged);
    return;
  }
  client_->resources().endpoints->WaitAsync(
      run_.deadline(), [self = shared_from_this()](const absl::Status& status) {
        if (status.ok()) {
          self->RequestSend();
        } else {
          self->OnLocalFailure(status);
        }
      });
}

void AsyncUnaryCall::Send(std::shared_ptr<Attempt> attempt, bool hedged) {
  if (absl::Status started = run_.StartAttempt(attempt->running, hedged);
      !started.ok()) {
    OnLocalFailure(started);
    return;
  }
  const ClientMethod& method = run_.method();
  if (method.attempts.hedging.has_value()) {
    attempt->response.reset(messages_->response().New());
  }
  bool late = false;
  {
    const MutexLock lock(mutex_);
    late = completed_;
    if (!late) attempts_.push_back(attempt);
  }
  if (late) {
    run_.EndAttempt(attempt->running, Cancelled(), true);
    return;
  }
  Attempt& sent = *attempt;
  sent.call = shared_from_this();
  sent.self = std::move(attempt);
  grpc::internal::CallbackUnaryCall<MessageLite, MessageLite>(
      sent.running.pick.channel.get(), method.rpc, &sent.running.context(),
      &messages_->request(),
      sent.response != nullptr ? sent.response.get() : &messages_->response(),
      [&sent](const grpc::Status& status) {
        const std::shared_ptr<AsyncUnaryCall> call = std::move(sent.call);
        const std::shared_ptr<Attempt> done = std::move(sent.self);
        call->OnAttemptDone(done, status);
      });
}

// An attempt that could not be made. It ends the call, unless others go on.
void AsyncUnaryCall::OnLocalFailure(const absl::Status& status) {
  PlanStep step;
  bool alone = false;
  grpc::Status failure = ToGrpcStatus(status);
  {
    const MutexLock lock(mutex_);
    if (completed_) return;
    alone = attempts_.empty();
    if (!alone) {
      step = run_.plan().OnAttemptEnd({.code = grpc::StatusCode::UNAVAILABLE,
                                       .certainly_not_processed = true},
                                      client_->resources().clock->Now());
    }
  }
  if (alone) {
    Complete(std::move(failure), nullptr);
  } else {
    Act(step);
  }
}

void AsyncUnaryCall::OnAttemptDone(const std::shared_ptr<Attempt>& attempt,
                                   const grpc::Status& status) {
  bool superseded = false;
  {
    const MutexLock lock(mutex_);
    superseded = attempt->superseded;
    attempts_.erase(std::find(attempts_.begin(), attempts_.end(), attempt));
  }
  const AttemptEnd end = run_.EndAttempt(attempt->running, status, superseded);
  PlanStep step;
  Leftovers leftovers;
  {
    const MutexLock lock(mutex_);
    if (completed_) return;
    step = run_.plan().OnAttemptEnd(end, attempt->running.ended_at);
    if (step.finished) {
      leftovers = TakeLeftovers();
    } else {
      last_ = attempt;
      last_status_ = status;
    }
  }
  if (step.finished) {
    Conclude(leftovers, status, attempt);
  } else {
    Act(step);
  }
}

void AsyncUnaryCall::Cancel() { Complete(Cancelled(), nullptr); }

void AsyncUnaryCall::CancelForShutdown() {
  // Not from here: gRPC may call back at once, and the entry's lock is held.
  client_->resources().scheduler->RunAfter(Clock::Duration::zero(),
                                           [self = weak_from_this()] {
                                             if (const auto call = self.lock())
                                               call->Cancel();
                                           });
}

void AsyncUnaryCall::Complete(grpc::Status status,
                              const std::shared_ptr<Attempt>& attempt) {
  Leftovers leftovers;
  {
    const MutexLock lock(mutex_);
    if (completed_) return;
    leftovers = TakeLeftovers();
  }
  Conclude(leftovers, std::move(status), attempt);
}

AsyncUnaryCall::Leftovers AsyncUnaryCall::TakeLeftovers() {
  completed_ = true;
  for (const auto& other : attempts_) other->superseded = true;
  last_.reset();
  return {.attempts = attempts_, .timer = std::exchange(timer_, 0)};
}

void AsyncUnaryCall::Conclude(const Leftovers& leftovers, grpc::Status status,
                              const std::shared_ptr<Attempt>& attempt) {
  for (const auto& other : leftovers.attempts) {
    other->running.context().TryCancel();
  }
  if (leftovers.timer != 0) {
    client_->resources().scheduler->Cancel(leftovers.timer);
  }
  if (status.ok() && attempt != nullptr && attempt->response != nullptr) {
    messages_->MoveResponse(*attempt->response);
  }
  status = run_.Finish(std::move(status),
                       attempt != nullptr ? &attempt->running : nullptr);
  run_.bulkhead_permit.Release();
  cancellation_.reset();
  messages_->Done(status.ok() ? absl::OkStatus() : FromGrpcStatus(status));
}

}  // namespace grpccommon::internal
