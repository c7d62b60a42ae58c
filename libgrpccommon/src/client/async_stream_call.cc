// SPDX-License-Identifier: Apache-2.0
#include "client/async_stream_call.h"

#include <utility>

#include "client/message_traits.h"
#include "client/service_client.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/status/convert.h"

namespace grpccommon::internal {

using google::protobuf::MessageLite;

// The fields beside the reactor's are guarded by the call's lock.
class AsyncStreamCall::Attempt
    : public grpc::ClientBidiReactor<MessageLite, MessageLite> {
 public:
  explicit Attempt(std::shared_ptr<AsyncStreamCall> owner)
      : call(std::move(owner)) {}

  void OnReadInitialMetadataDone(bool ok) override { call->OnMetadata(ok); }
  void OnReadDone(bool ok) override { call->OnRead(*this, ok); }
  void OnWriteDone(bool ok) override { call->OnWrite(*this, ok); }
  void OnWritesDoneDone(bool ok) override { call->OnWritesDone(*this, ok); }
  void OnDone(const grpc::Status& status) override {
    const std::shared_ptr<Attempt> kept = std::move(self);
    const std::shared_ptr<AsyncStreamCall> owner = std::move(call);
    owner->OnAttemptDone(kept, status);
  }

  std::shared_ptr<AsyncStreamCall> call;  // both until OnDone
  std::shared_ptr<Attempt> self;
  RunningAttempt running;
  Clock::TimePoint writes_done_at;
  // The caller may start something outside of its reactions.
  bool held = true;
  // Takes nothing more: all that is left of it is its status.
  bool over = false;
  bool reading = false;
  bool writing = false;
  bool writes_done = false;
  std::size_t replayed = 0;
};

AsyncStreamCall::AsyncStreamCall(StreamInputs inputs,
                                 const ClientMethod& method,
                                 std::unique_ptr<StreamReactions> reactions)
    : KeptInputs(std::move(inputs)),
      InFlight::Entry(inputs_.client->resources().in_flight),
      run_(*inputs_.client, method, inputs_.options, inputs_.request.get()),
      reactions_(std::move(reactions)) {
  const AttemptPolicy& policy =
      inputs_.options.retry ? method.attempts : method.single_attempt;
  if (policy.retry.max_attempts < 2) sent_.Drop();
}

AsyncStreamCall::~AsyncStreamCall() { Leave(); }

AsyncStream* AsyncStreamCall::Open(StreamInputs inputs,
                                   const ClientMethod& method,
                                   std::unique_ptr<StreamReactions> reactions) {
  const std::shared_ptr<AsyncStreamCall> call(
      new AsyncStreamCall(std::move(inputs), method, std::move(reactions)));
  const MutexLock lock(call->mutex_);
  call->self_ = call;
  return call.get();
}

void AsyncStreamCall::StartCall() {
  // The reactor may be done, and with it this, before this returns.
  const std::shared_ptr<AsyncStreamCall> self = shared_from_this();
  if (absl::Status begun = run_.Begin(); !begun.ok()) {
    DecideLater(ToGrpcStatus(begun), nullptr);
    return;
  }
  if (inputs_.options.cancellation != nullptr) {
    cancellation_.emplace(inputs_.options.cancellation,
                          [weak = weak_from_this()] {
                            if (const auto call = weak.lock()) call->Cancel();
                          });
  }
  bool cancelled = false;
  {
    const MutexLock lock(mutex_);
    started_ = true;
    cancelled = cancelled_;
  }
  if (cancelled) {
    DecideLater(Cancelled(), nullptr);
    return;
  }
  ServiceResources& resources = inputs_.client->resources();
  if (resources.bulkhead == nullptr) {
    OnPlace(Bulkhead::Permit());
    return;
  }
  resources.bulkhead->AcquireAsync(
      run_.deadline(), *resources.scheduler,
      [self](absl::StatusOr<Bulkhead::Permit> permit) {
        self->OnPlace(std::move(permit));
      });
}

void AsyncStreamCall::OnPlace(absl::StatusOr<Bulkhead::Permit> permit) {
  if (!permit.ok()) {
    DecideLater(ToGrpcStatus(permit.status()), nullptr);
    return;
  }
  PlanStep step;
  {
    const MutexLock lock(mutex_);
    if (status_.has_value()) return;
    run_.bulkhead_permit = *std::move(permit);
    step = run_.plan().Start(inputs_.client->resources().clock->Now());
  }
  Act(step, grpc::Status::OK, nullptr);
}

void AsyncStreamCall::Act(const PlanStep& step, const grpc::Status& status,
                          const std::shared_ptr<Attempt>& last) {
  if (step.finished) {
    if (Decide(status, last)) Drain();
    return;
  }
  if (step.wake.has_value()) {
    ServiceResources& resources = inputs_.client->resources();
    resources.scheduler->RunAfter(*step.wake - resources.clock->Now(),
                                  [weak = weak_from_this(), status, last] {
                                    if (const auto call = weak.lock())
                                      call->OnTimer(status, last);
                                  });
  }
  if (step.send) RequestSend();
}

void AsyncStreamCall::OnTimer(const grpc::Status& status,
                              const std::shared_ptr<Attempt>& last) {
  PlanStep step;
  bool orphaned = false;
  {
    const MutexLock lock(mutex_);
    if (status_.has_value()) return;
    orphaned = run_.parent_cancelled();
    if (!orphaned) {
      step = run_.plan().OnTimer(inputs_.client->resources().clock->Now());
    }
  }
  if (orphaned) {
    Cancel();
  } else {
    Act(step, status, last);
  }
}

void AsyncStreamCall::RequestSend() {
  {
    const MutexLock lock(mutex_);
    send_wanted_ = true;
    if (sending_) return;
    sending_ = true;
  }
  bool cancelled = false;
  for (;;) {
    {
      const MutexLock lock(mutex_);
      if (status_.has_value() || !std::exchange(send_wanted_, false)) {
        sending_ = false;
        cancelled = cancelled_ && attempt_ == nullptr;
        break;
      }
    }
    SendOne();
  }
  if (cancelled) DecideLater(Cancelled(), nullptr);
}

void AsyncStreamCall::SendOne() {
  const auto attempt = std::make_shared<Attempt>(shared_from_this());
  absl::StatusOr<bool> picked = run_.TryPick(attempt->running);
  if (!picked.ok()) {
    DecideLater(ToGrpcStatus(picked.status()), nullptr);
  } else if (*picked) {
    Send(attempt);
  } else {
    inputs_.client->resources().endpoints->WaitAsync(
        run_.deadline(), [self = shared_from_this()](absl::Status status) {
          if (status.ok()) {
            self->RequestSend();
          } else {
            self->DecideLater(ToGrpcStatus(status), nullptr);
          }
        });
  }
}

void AsyncStreamCall::Send(const std::shared_ptr<Attempt>& attempt) {
  if (absl::Status started = run_.StartAttempt(attempt->running, false);
      !started.ok()) {
    DecideLater(ToGrpcStatus(started), nullptr);
    return;
  }
  if (inputs_.request != nullptr && attempt->running.info.number() == 1) {
    run_.OnMessageSent();
  }
  grpc::ClientContext& context = attempt->running.context();
  // The request then goes into one packet with the metadata.
  context.set_initial_metadata_corked(inputs_.request != nullptr);
  {
    const MutexLock lock(mutex_);
    if (!status_.has_value()) {
      attempt->self = attempt;
      attempt_ = attempt;
      grpc::internal::ClientCallbackReaderWriterFactory<
          MessageLite, MessageLite>::Create(attempt->running.pick.channel.get(),
                                            run_.method().rpc, &context,
                                            attempt.get());
      attempt->AddHold();
      if (inputs_.request != nullptr) {
        attempt->StartWriteLast(inputs_.request.get(), grpc::WriteOptions());
      }
      if (inputs_.response != nullptr) StartRead(*attempt);
      ForwardRead();
      ForwardWrites();
      attempt->StartCall();
      if (cancelled_) context.TryCancel();
      ReleaseIfQuiet();
      return;
    }
  }
  run_.EndAttempt(attempt->running, Cancelled(), true);
}

void AsyncStreamCall::ForwardRead() {
  if (attempt_ == nullptr || attempt_->over || attempt_->reading) return;
  if (read_ == nullptr) return;
  attempt_->reading = true;
  StartRead(*attempt_);
}

void AsyncStreamCall::StartRead(Attempt& attempt) {
  MessageLite* const message =
      inputs_.response != nullptr ? inputs_.response : read_;
  attempt.running.BeforeRead(*message);
  reading_.Pass();
  attempt.StartRead(message);
}

void AsyncStreamCall::ForwardWrites() {
  if (attempt_ == nullptr || attempt_->over || attempt_->writing) return;
  if (inputs_.request != nullptr) return;
  if (attempt_->replayed < sent_.size()) {
    attempt_->writing = true;
    attempt_->StartWrite(&sent_.at(attempt_->replayed++));
    return;
  }
  if (!sent_.complete()) sent_.Drop();
  if (write_ != nullptr && !write_sent_) {
    write_sent_ = true;
    write_kept_ = sent_.Keep(*write_);
    attempt_->writing = true;
    attempt_->StartWrite(write_, write_options_);
  } else if (writes_done_ && !attempt_->writes_done) {
    attempt_->writes_done = true;
    attempt_->StartWritesDone();
    attempt_->writes_done_at = inputs_.client->resources().clock->Now();
  }
  attempt_->replayed = sent_.size();
}

bool AsyncStreamCall::Quiet() const {
  return holds_ == 0 && read_ == nullptr && write_ == nullptr &&
         !writes_done_untold_;
}

// Nothing is started any more but from reactions, which hold the attempt
// themselves.
void AsyncStreamCall::ReleaseIfQuiet() {
  if (attempt_ == nullptr || !attempt_->held) return;
  if (!attempt_->over && !Quiet()) return;
  attempt_->held = false;
  attempt_->RemoveHold();
}

void AsyncStreamCall::Read(MessageLite* message) {
  const MutexLock lock(mutex_);
  read_ = message;
  if (status_.has_value()) {
    DrainLater();
  } else {
    ForwardRead();
  }
}

void AsyncStreamCall::Write(const MessageLite* message,
                            grpc::WriteOptions options) {
  const MutexLock lock(mutex_);
  write_ = message;
  write_sent_ = false;
  write_kept_ = false;
  if (options.is_last_message()) writes_done_ = true;
  write_options_ = options.clear_last_message();
  if (status_.has_value()) {
    DrainLater();
  } else {
    ForwardWrites();
  }
}

void AsyncStreamCall::WritesDone() {
  const MutexLock lock(mutex_);
  writes_done_ = true;
  writes_done_untold_ = true;
  if (status_.has_value()) {
    DrainLater();
  } else {
    ForwardWrites();
  }
}

void AsyncStreamCall::AddHold(int holds) {
  const MutexLock lock(mutex_);
  holds_ += holds;
}

void AsyncStreamCall::RemoveHold() {
  const MutexLock lock(mutex_);
  --holds_;
  if (status_.has_value()) {
    DrainLater();
  } else {
    ReleaseIfQuiet();
  }
}

void AsyncStreamCall::AfterReaction() {
  const MutexLock lock(mutex_);
  ReleaseIfQuiet();
}

void AsyncStreamCall::OnMetadata(bool ok) {
  {
    const MutexLock lock(mutex_);
    if (!ok || std::exchange(metadata_told_, true)) return;
  }
  reactions_->OnReadInitialMetadataDone(true);
  AfterReaction();
}

void AsyncStreamCall::OnReceived(Attempt& attempt) {
  if (!attempt.running.delivered) {
    {
      const MutexLock lock(mutex_);
      sent_.Close();
      // How long it was written to is the caller's matter.
      if (inputs_.response != nullptr && attempt.writes_done) {
        attempt.running.waiting_since = attempt.writes_done_at;
      }
    }
    run_.OnFirstMessage(attempt.running);
  }
  run_.OnMessageReceived();
}

void AsyncStreamCall::OnRead(Attempt& attempt, bool ok) {
  reading_.Take();
  if (attempt.running.AfterRead(ok)) {
    const MutexLock lock(mutex_);
    StartRead(attempt);
    return;
  }
  if (ok) OnReceived(attempt);
  {
    const MutexLock lock(mutex_);
    attempt.reading = false;
    if (inputs_.response != nullptr || !attempt.running.delivered) {
      // The response, or the end before anything came: what is left is the
      // status.
      attempt.over = true;
      ReleaseIfQuiet();
      return;
    }
    read_ = nullptr;
  }
  reactions_->OnReadDone(ok);
  AfterReaction();
}

void AsyncStreamCall::OnWrite(Attempt& attempt, bool ok) {
  if (inputs_.request != nullptr) return;
  {
    const MutexLock lock(mutex_);
    // Of an attempt that is over, the next one or the end tells the caller; of
    // a client stream whose write failed, the read that fails as well.
    if (attempt.over || (!ok && inputs_.response != nullptr)) return;
    attempt.writing = false;
    if (attempt.replayed < sent_.size() || write_ == nullptr || !write_sent_) {
      ForwardWrites();
      return;
    }
    // A server that has failed is found out by reading.
    ok = ok || (write_kept_ && sent_.complete());
    write_ = nullptr;
    ForwardWrites();
  }
  if (ok) run_.OnMessageSent();
  reactions_->OnWriteDone(ok);
  AfterReaction();
}

void AsyncStreamCall::OnWritesDone(Attempt& attempt, bool ok) {
  {
    const MutexLock lock(mutex_);
    if (attempt.over || (!ok && inputs_.response != nullptr)) return;
    if (!std::exchange(writes_done_untold_, false)) return;
    ok = ok || sent_.complete();
  }
  reactions_->OnWritesDoneDone(ok);
  AfterReaction();
}

void AsyncStreamCall::OnAttemptDone(const std::shared_ptr<Attempt>& attempt,
                                    const grpc::Status& told) {
  bool repeatable = false;
  {
    const MutexLock lock(mutex_);
    attempt->over = true;
    attempt->held = false;
    repeatable = sent_.complete() || inputs_.request != nullptr;
  }
  const grpc::Status status = attempt->running.Judged(told);
  AttemptEnd end = run_.EndAttempt(attempt->running, status);
  end.repeatable = repeatable;
  PlanStep step{.finished = true};
  bool cancelled = false;
  {
    const MutexLock lock(mutex_);
    if (!attempt->running.delivered) {
      step = run_.plan().OnAttemptEnd(end,
                                      inputs_.client->resources().clock->Now());
    }
    attempt_ = nullptr;
    cancelled = cancelled_;
  }
  if (cancelled && !step.finished) {
    if (Decide(Cancelled(), attempt)) Drain();
  } else {
    Act(step, status, attempt);
  }
}

void AsyncStreamCall::Cancel() {
  std::shared_ptr<Attempt> running;
  {
    const MutexLock lock(mutex_);
    cancelled_ = true;
    running = attempt_;
    // Who starts or sends looks after that.
    if (running == nullptr && (!started_ || sending_)) return;
  }
  if (running != nullptr) {
    running->running.context().TryCancel();
  } else {
    DecideLater(Cancelled(), nullptr);
  }
}

void AsyncStreamCall::CancelForShutdown() {
  // Not from here: the entry's lock is held.
  inputs_.client->resources().scheduler->RunAfter(
      Clock::Duration::zero(), [weak = weak_from_this()] {
        if (const auto call = weak.lock()) call->Cancel();
      });
}

bool AsyncStreamCall::Decide(grpc::Status status,
                             std::shared_ptr<Attempt> last) {
  const MutexLock lock(mutex_);
  if (status_.has_value()) return false;
  status_ = std::move(status);
  last_ = std::move(last);
  return true;
}

// Not from within what the caller has called.
void AsyncStreamCall::DecideLater(grpc::Status status,
                                  std::shared_ptr<Attempt> last) {
  if (Decide(std::move(status), std::move(last))) DrainLater();
}

void AsyncStreamCall::DrainLater() {
  inputs_.client->resources().scheduler->RunAfter(
      Clock::Duration::zero(), [weak = weak_from_this()] {
        if (const auto call = weak.lock()) call->Drain();
      });
}

void AsyncStreamCall::Drain() {
  {
    const MutexLock lock(mutex_);
    if (std::exchange(draining_, true)) return;
  }
  for (;;) {
    void (StreamReactions::*reaction)(bool) = nullptr;
    {
      const MutexLock lock(mutex_);
      if (!std::exchange(metadata_told_, true)) {
        reaction = &StreamReactions::OnReadInitialMetadataDone;
      } else if (std::exchange(read_, nullptr) != nullptr) {
        reaction = &StreamReactions::OnReadDone;
      } else if (std::exchange(write_, nullptr) != nullptr) {
        reaction = &StreamReactions::OnWriteDone;
      } else if (std::exchange(writes_done_untold_, false)) {
        reaction = &StreamReactions::OnWritesDoneDone;
      } else if (holds_ > 0) {
        draining_ = false;
        return;
      } else {
        break;
      }
    }
    (reactions_.get()->*reaction)(false);
  }
  Complete();
}

void AsyncStreamCall::Complete() {
  cancellation_.reset();
  std::shared_ptr<AsyncStreamCall> self;
  std::shared_ptr<Attempt> last;
  grpc::Status status;
  {
    const MutexLock lock(mutex_);
    status = *status_;
    last = std::move(last_);
    self = std::move(self_);
  }
  status = run_.Finish(std::move(status),
                       last != nullptr ? &last->running : nullptr);
  run_.bulkhead_permit.Release();
  last.reset();
  Leave();
  reactions_->OnDone(status);
}

}  // namespace grpccommon::internal
