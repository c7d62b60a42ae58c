// SPDX-License-Identifier: Apache-2.0
#include "client/blocking_stream_call.h"

#include <utility>

#include "client/message_traits.h"
#include "client/service_client.h"
#include "grpccommon/status/convert.h"

namespace grpccommon::internal {

using google::protobuf::MessageLite;

BlockingStreamCall::BlockingStreamCall(StreamInputs inputs,
                                       const ClientMethod& method)
    : KeptInputs(std::move(inputs)),
      BlockingCall(*inputs_.client, method, inputs_.options,
                   inputs_.request.get()) {
  {
    const MutexLock lock(mutex_);
    const AttemptPolicy& policy =
        inputs_.options.retry ? method.attempts : method.single_attempt;
    if (policy.retry.max_attempts < 2) sent_.Drop();
    writes_done_ = inputs_.request != nullptr;
  }
  if (absl::Status opened = Open(); !opened.ok()) {
    Decide(ToGrpcStatus(opened), nullptr);
  } else if (Proceed(run_.plan().Start(run_.call().started_at()),
                     grpc::Status::OK, nullptr) &&
             inputs_.request != nullptr) {
    run_.OnMessageSent();
  }
}

BlockingStreamCall::~BlockingStreamCall() {
  if (finished_) return;
  StopListening();
  Watch(nullptr);
  std::shared_ptr<Attempt> dropped;
  grpc::Status status = {grpc::StatusCode::CANCELLED,
                         "the stream was dropped before its end"};
  {
    const MutexLock lock(mutex_);
    dropped = std::move(current_);
    if (status_.has_value()) status = *std::move(status_);
  }
  if (dropped != nullptr) {
    dropped->running.context().TryCancel();
    run_.EndAttempt(dropped->running, status, true);
  } else {
    const MutexLock lock(mutex_);
    dropped = last_;
  }
  run_.Finish(std::move(status),
              dropped != nullptr ? &dropped->running : nullptr);
}

absl::Status BlockingStreamCall::Open() {
  absl::Status begun = run_.Begin();
  return begun.ok() ? Enter() : begun;
}

bool BlockingStreamCall::Proceed(PlanStep step, const grpc::Status& status,
                                 const std::shared_ptr<Attempt>& last) {
  while (!step.send) {
    if (step.finished || !SleepUntil(*step.wake)) {
      Decide(step.finished ? status : Cancelled(), last);
      return false;
    }
    step = run_.plan().OnTimer(client_.resources().clock->Now());
  }
  auto attempt = std::make_shared<Attempt>();
  if (absl::Status started = PickAndStart(attempt->running); !started.ok()) {
    Decide(ToGrpcStatus(started), nullptr);
    return false;
  }
  Send(attempt);
  return true;
}

// Sends what the caller has sent so far, and makes the attempt the current one
// when there is no more of it.
void BlockingStreamCall::Send(const std::shared_ptr<Attempt>& attempt) {
  grpc::ClientContext& context = attempt->running.context();
  // The request then goes into one packet with the metadata.
  context.set_initial_metadata_corked(inputs_.request != nullptr);
  // A call that was cancelled before it began begins as a cancelled one.
  if (!Watch(&context)) context.TryCancel();
  attempt->stream.reset(
      grpc::internal::ClientReaderWriterFactory<
          MessageLite, MessageLite>::Create(attempt->running.pick.channel.get(),
                                            run_.method().rpc, &context));
  // What fails here is found out by whoever reads.
  if (inputs_.request != nullptr) {
    attempt->stream->WriteLast(*inputs_.request, grpc::WriteOptions());
  }
  for (std::size_t i = 0;; ++i) {
    const MessageLite* next = nullptr;
    {
      const MutexLock lock(mutex_);
      if (i < sent_.size()) {
        next = &sent_.at(i);
      } else if (!writes_done_ || inputs_.request != nullptr) {
        current_ = attempt;
        settled_.NotifyAll();
        return;
      }
    }
    if (next == nullptr) break;
    attempt->stream->Write(*next, grpc::WriteOptions());
  }
  attempt->stream->WritesDone();
  const MutexLock lock(mutex_);
  current_ = attempt;
  settled_.NotifyAll();
}

std::shared_ptr<BlockingStreamCall::Attempt> BlockingStreamCall::Current() {
  const MutexLock lock(mutex_);
  return current_;
}

bool BlockingStreamCall::ReadNext(Attempt& attempt, MessageLite& message) {
  bool read = false;
  do {
    attempt.running.BeforeRead(message);
    read = attempt.stream->Read(&message);
  } while (attempt.running.AfterRead(read));
  if (read) OnReceived(attempt);
  return read;
}

void BlockingStreamCall::OnReceived(Attempt& attempt) {
  if (!attempt.running.delivered) {
    run_.OnFirstMessage(attempt.running);
    const MutexLock lock(mutex_);
    sent_.Drop();
  }
  run_.OnMessageReceived();
}

bool BlockingStreamCall::Settle(const std::shared_ptr<Attempt>& attempt) {
  if (inputs_.response != nullptr) ReadNext(*attempt, *inputs_.response);
  const grpc::Status status =
      attempt->running.Judged(attempt->stream->Finish());
  Watch(nullptr);
  bool repeatable = false;
  {
    const MutexLock lock(mutex_);
    current_ = nullptr;
    repeatable = sent_.complete() || inputs_.request != nullptr;
  }
  AttemptEnd end = run_.EndAttempt(attempt->running, status);
  if (!attempt->running.delivered) {
    end.repeatable = repeatable;
    const PlanStep step =
        run_.plan().OnAttemptEnd(end, client_.resources().clock->Now());
    return Proceed(step, status, attempt);
  }
  Decide(status, attempt);
  return false;
}

void BlockingStreamCall::Decide(grpc::Status status,
                                std::shared_ptr<Attempt> attempt) {
  const MutexLock lock(mutex_);
  status_ = std::move(status);
  last_ = std::move(attempt);
  settled_.NotifyAll();
}

void BlockingStreamCall::WaitForInitialMetadata() {
  const std::shared_ptr<Attempt> attempt = Current();
  if (attempt == nullptr || attempt->has_metadata) return;
  attempt->has_metadata = true;
  attempt->stream->WaitForInitialMetadata();
}

bool BlockingStreamCall::NextMessageSize(std::uint32_t* size) {
  const std::shared_ptr<Attempt> attempt = Current();
  return attempt != nullptr && attempt->stream->NextMessageSize(size);
}

bool BlockingStreamCall::Read(MessageLite& message) {
  while (const std::shared_ptr<Attempt> attempt = Current()) {
    attempt->has_metadata = true;
    if (ReadNext(*attempt, message)) return true;
    if (attempt->running.delivered || !Settle(attempt)) return false;
  }
  return false;
}

// How long a client stream is written to is the caller's matter, and only from
// here on the server's.
void BlockingStreamCall::OnWritesDone(Attempt& attempt) {
  if (inputs_.response == nullptr) return;
  attempt.running.waiting_since = client_.resources().clock->Now();
}

bool BlockingStreamCall::Write(const MessageLite& message,
                               grpc::WriteOptions options) {
  const bool last = options.is_last_message();
  std::shared_ptr<Attempt> attempt;
  bool kept = false;
  {
    const MutexLock lock(mutex_);
    while (current_ == nullptr && !status_.has_value()) {
      settled_.Wait(mutex_);
    }
    if (status_.has_value()) return false;
    kept = sent_.Keep(message);
    if (last) writes_done_ = true;
    attempt = current_;
  }
  if (last) OnWritesDone(*attempt);
  if (!attempt->stream->Write(message, options)) {
    // A client stream has nobody else who would find out.
    if (inputs_.response != nullptr ? !Settle(attempt) : !kept) return false;
  }
  run_.OnMessageSent();
  return true;
}

bool BlockingStreamCall::WritesDone() {
  std::shared_ptr<Attempt> attempt;
  bool kept = false;
  {
    const MutexLock lock(mutex_);
    while (current_ == nullptr && !status_.has_value()) {
      settled_.Wait(mutex_);
    }
    if (status_.has_value()) return false;
    writes_done_ = true;
    kept = sent_.complete();
    attempt = current_;
  }
  OnWritesDone(*attempt);
  return attempt->stream->WritesDone() || kept;
}

grpc::Status BlockingStreamCall::Finish() {
  bool writing = false;
  {
    const MutexLock lock(mutex_);
    writing = !writes_done_ && !status_.has_value();
  }
  // "Can be declared implicitly by calling this", as gRPC's interface says.
  if (writing) WritesDone();
  while (const std::shared_ptr<Attempt> attempt = Current()) {
    Settle(attempt);
  }
  StopListening();
  grpc::Status status;
  std::shared_ptr<Attempt> last;
  {
    const MutexLock lock(mutex_);
    status = *status_;
    last = last_;
  }
  finished_ = true;
  status = run_.Finish(std::move(status),
                       last != nullptr ? &last->running : nullptr);
  run_.bulkhead_permit.Release();
  Leave();
  return status;
}

}  // namespace grpccommon::internal
