// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/health/health_client.h"

#include <algorithm>
#include <cassert>
#include <optional>
#include <thread>
#include <utility>

#include "grpc/health/v1/health.pb.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/status/convert.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/client_callback.h"

namespace grpccommon {
namespace {

namespace proto = grpc::health::v1;

// Calls carry bytes, and answers are parsed here: gRPC 1.51 leaves a stream
// open, or ends the process, when a message does not parse.
grpc::ByteBuffer RequestFor(const std::string& service) {
  proto::HealthCheckRequest request;
  request.set_service(service);
  const grpc::Slice slice(request.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

std::optional<ServingStatus> Parse(grpc::ByteBuffer& bytes) {
  grpc::Slice slice;
  proto::HealthCheckResponse response;
  if (!bytes.DumpToSingleSlice(&slice).ok() ||
      !response.ParseFromArray(slice.begin(), static_cast<int>(slice.size()))) {
    return std::nullopt;
  }
  switch (response.status()) {
    case proto::HealthCheckResponse::SERVING:
      return ServingStatus::kServing;
    case proto::HealthCheckResponse::NOT_SERVING:
      return ServingStatus::kNotServing;
    case proto::HealthCheckResponse::SERVICE_UNKNOWN:
      return ServingStatus::kServiceUnknown;
    default:
      return ServingStatus::kUnknown;
  }
}

absl::Status NoAnswer() {
  return absl::DataLossError("the answer is not a HealthCheckResponse");
}

constexpr std::chrono::hours kMaxTimeout(24);

// A stream that was cancelled ends at once, unless all of gRPC's threads are
// waiting in destructors of watches.
constexpr std::chrono::seconds kMaxWaitForEnd(1);

HealthState StateOf(ServingStatus status) {
  switch (status) {
    case ServingStatus::kServing:
      return HealthState::kServing;
    case ServingStatus::kNotServing:
      return HealthState::kNotServing;
    case ServingStatus::kServiceUnknown:
      return HealthState::kServiceUnknown;
    case ServingStatus::kUnknown:
      break;
  }
  return HealthState::kUnknown;
}

}  // namespace

HealthClient::HealthClient(std::shared_ptr<grpc::Channel> channel)
    : channel_(std::move(channel)) {}

absl::StatusOr<ServingStatus> HealthClient::Check(
    const std::string& service, std::chrono::nanoseconds timeout) const {
  if (timeout <= std::chrono::nanoseconds(0)) {
    return absl::DeadlineExceededError("there is no time left to ask");
  }
  grpc::ClientContext context;
  // The longest of all timeouts would overflow the clock.
  const auto wait = std::min<std::chrono::nanoseconds>(timeout, kMaxTimeout);
  context.set_deadline(
      std::chrono::system_clock::now() +
      std::chrono::duration_cast<std::chrono::system_clock::duration>(wait));
  grpc::CompletionQueue queue;
  grpc::GenericStub stub(channel_);
  const auto call = stub.PrepareUnaryCall(
      &context, "/grpc.health.v1.Health/Check", RequestFor(service), &queue);
  call->StartCall();
  grpc::ByteBuffer answer;
  grpc::Status status;
  call->Finish(&answer, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
  if (status.error_code() == grpc::StatusCode::NOT_FOUND) {
    return ServingStatus::kServiceUnknown;
  }
  if (!status.ok()) return FromGrpcStatus(status);
  const std::optional<ServingStatus> parsed = Parse(answer);
  if (!parsed.has_value()) return NoAnswer();
  return *parsed;
}

std::string_view HealthStateName(HealthState state) {
  switch (state) {
    case HealthState::kServing:
      return "serving";
    case HealthState::kNotServing:
      return "not_serving";
    case HealthState::kServiceUnknown:
      return "service_unknown";
    case HealthState::kUnreachable:
      return "unreachable";
    case HealthState::kNotWatchable:
      return "not_watchable";
    case HealthState::kUnknown:
      break;
  }
  return "unknown";
}

absl::Status CheckOptions(const HealthWatchOptions& options) {
  using std::chrono::hours;
  using std::chrono::milliseconds;
  absl::Status valid = CheckRange("initial_backoff", options.initial_backoff,
                                  milliseconds(10), hours(1));
  if (valid.ok()) {
    valid = CheckRange("max_backoff", options.max_backoff,
                       options.initial_backoff, hours(1));
  }
  valid.Update(CheckRange("first_answer_timeout", options.first_answer_timeout,
                          milliseconds(1), hours(1)));
  return valid;
}

// The streams of a watch, one at a time, and what it learns from them. No call
// into gRPC, no callback and no wait for the scheduler happens under the lock.
//
// gRPC 1.51 may crash if the last reference to a channel goes on a thread of
// its own. So a stream dies only when the next one takes its place, on the
// scheduler's thread, or with the watch, which waits for the stream's end.
class HealthWatch::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(std::shared_ptr<grpc::Channel> channel, std::string service,
       Scheduler& scheduler, OnChange on_change,
       const HealthWatchOptions& options, Random random)
      : service_(std::move(service)),
        scheduler_(scheduler),
        options_(options),
        random_(std::move(random)),
        channel_(std::move(channel)),
        on_change_(std::move(on_change)),
        backoff_(options.initial_backoff) {}

  void Begin() {
    {
      const MutexLock lock(mutex_);
      first_answer_task_ = scheduler_.RunAfter(
          options_.first_answer_timeout, [weak = weak_from_this()] {
            if (const auto impl = weak.lock()) impl->OnFirstAnswerTimeout();
          });
    }
    // Fails without a connection, so that the first state is known soon. Later
    // attempts wait for the connection.
    Open(/*wait_for_ready=*/false);
  }

  void Stop() {
    Stream* stream;
    Scheduler::TaskId tasks[2];
    {
      const MutexLock lock(mutex_);
      stopped_ = true;
      // Stays, for no attempt begins any more.
      stream = open_ ? stream_.get() : nullptr;
      tasks[0] = first_answer_task_;
      tasks[1] = retry_task_;
    }
    if (stream != nullptr) stream->context.TryCancel();
    for (const Scheduler::TaskId task : tasks) {
      if (task != 0) scheduler_.Cancel(task);
    }
    std::unique_ptr<Stream> last;  // these go after the lock
    std::shared_ptr<grpc::Channel> channel;
    OnChange on_change;
    const MutexLock lock(mutex_);
    // The stream ends after the callback, which so cannot wait for it.
    if (telling_ && teller_ == std::this_thread::get_id()) return;
    while (telling_) idle_.Wait(mutex_);
    const auto end = std::chrono::steady_clock::now() + kMaxWaitForEnd;
    while (open_ && idle_.WaitUntil(mutex_, end)) {
    }
    if (open_) return;
    last = std::move(stream_);
    channel = std::move(channel_);
    on_change = std::move(on_change_);
  }

  HealthState state() const {
    const MutexLock lock(mutex_);
    return state_;
  }

  absl::Status last_error() const {
    const MutexLock lock(mutex_);
    return error_;
  }

 private:
  struct Stream : grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
    explicit Stream(std::shared_ptr<Impl> owner)
        : impl(std::move(owner)), request(RequestFor(impl->service_)) {}

    void OnReadDone(bool ok) override {
      if (!ok) return;  // the end follows
      const std::optional<ServingStatus> status = Parse(answer);
      if (!status.has_value()) {
        impl->OnGarbage();
        context.TryCancel();
        return;
      }
      impl->OnAnswer(StateOf(*status));
      StartRead(&answer);
    }

    // Afterwards this may be gone.
    void OnDone(const grpc::Status& status) override {
      const std::shared_ptr<Impl> owner = impl;
      owner->OnEnd(FromGrpcStatus(status));
    }

    // Keeps the watch's inside until the end, if the watch has gone in one of
    // its own callbacks.
    std::shared_ptr<Impl> impl;
    grpc::ClientContext context;
    grpc::ByteBuffer request;
    grpc::ByteBuffer answer;
  };

  void Open(bool wait_for_ready) {
    std::unique_ptr<Stream> ended;  // freed after the lock
    std::shared_ptr<grpc::Channel> channel;
    Stream* stream;
    {
      const MutexLock lock(mutex_);
      if (stopped_) return;
      ended = std::move(stream_);
      stream_ = std::make_unique<Stream>(shared_from_this());
      stream = stream_.get();
      open_ = true;
      answered_ = false;
      garbage_ = false;
      channel = channel_;
    }
    stream->context.set_wait_for_ready(wait_for_ready);
    grpc::GenericStub stub(std::move(channel));
    stub.PrepareBidiStreamingCall(&stream->context,
                                  "/grpc.health.v1.Health/Watch", {}, stream);
    stream->StartWriteLast(&stream->request, grpc::WriteOptions());
    stream->StartRead(&stream->answer);
    stream->StartCall();
  }

  void OnFirstAnswerTimeout() {
    {
      const MutexLock lock(mutex_);
      first_answer_task_ = 0;
      if (stopped_ || state_ != HealthState::kUnknown || answered_) return;
      state_ = HealthState::kUnreachable;
      error_ = absl::DeadlineExceededError("no answer yet");
    }
    Tell();
  }

  void OnAnswer(HealthState state) {
    Scheduler::TaskId first_answer_task;
    {
      const MutexLock lock(mutex_);
      if (stopped_) return;
      answered_ = true;
      backoff_ = options_.initial_backoff;
      state_ = state;
      // Not the one that has begun: it would be waited for, and may be waiting
      // for this thread. It does nothing more.
      first_answer_task = std::exchange(first_answer_task_, 0);
    }
    if (first_answer_task != 0) scheduler_.Cancel(first_answer_task);
    Tell();
  }

  void OnGarbage() {
    const MutexLock lock(mutex_);
    garbage_ = true;
  }

  void OnEnd(absl::Status error) {
    if (error.ok()) {
      error = absl::UnavailableError("the server ended the watch");
    }
    {
      const MutexLock lock(mutex_);
      open_ = false;
      stream_->impl = nullptr;  // whom the caller holds
      idle_.NotifyAll();
      if (stopped_) return;
      error_ = garbage_ ? NoAnswer() : std::move(error);
      if (absl::IsUnimplemented(error_)) {
        state_ = HealthState::kNotWatchable;
      } else {
        state_ = absl::IsNotFound(error_) ? HealthState::kServiceUnknown
                                          : HealthState::kUnreachable;
        PlanRetry();
      }
    }
    Tell();
  }

  void PlanRetry() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto pause = std::chrono::duration_cast<Clock::Duration>(
        backoff_ * std::clamp(random_(), 0.0, 1.0));
    backoff_ = std::min(2 * backoff_, options_.max_backoff);
    retry_task_ = scheduler_.RunAfter(pause, [weak = weak_from_this()] {
      if (const auto impl = weak.lock()) impl->Open(/*wait_for_ready=*/true);
    });
  }

  // One thread at a time tells, until nothing is left to tell.
  void Tell() {
    mutex_.Lock();
    while (!stopped_ && !telling_ && state_ != told_) {
      telling_ = true;
      teller_ = std::this_thread::get_id();
      const HealthState state = told_ = state_;
      mutex_.Unlock();
      on_change_(state);
      mutex_.Lock();
      telling_ = false;
      idle_.NotifyAll();
    }
    mutex_.Unlock();
  }

  const std::string service_;
  Scheduler& scheduler_;
  const HealthWatchOptions options_;
  const Random random_;

  mutable Mutex mutex_;
  CondVar idle_;
  std::shared_ptr<grpc::Channel> channel_ ABSL_GUARDED_BY(mutex_);
  // Used without the lock by the one that tells.
  OnChange on_change_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  HealthState state_ ABSL_GUARDED_BY(mutex_) = HealthState::kUnknown;
  HealthState told_ ABSL_GUARDED_BY(mutex_) = HealthState::kUnknown;
  bool telling_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread::id teller_ ABSL_GUARDED_BY(mutex_);
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
  // The latest; gRPC's while it is open.
  std::unique_ptr<Stream> stream_ ABSL_GUARDED_BY(mutex_);
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  // Of the latest stream.
  bool answered_ ABSL_GUARDED_BY(mutex_) = false;
  bool garbage_ ABSL_GUARDED_BY(mutex_) = false;
  Clock::Duration backoff_ ABSL_GUARDED_BY(mutex_);
  Scheduler::TaskId first_answer_task_ ABSL_GUARDED_BY(mutex_) = 0;
  Scheduler::TaskId retry_task_ ABSL_GUARDED_BY(mutex_) = 0;
};

HealthWatch::HealthWatch(std::shared_ptr<grpc::Channel> channel,
                         std::string service, Scheduler& scheduler,
                         OnChange on_change, const HealthWatchOptions& options,
                         Random random)
    : impl_(std::make_shared<Impl>(std::move(channel), std::move(service),
                                   scheduler, std::move(on_change), options,
                                   std::move(random))) {
  assert(CheckOptions(options).ok());
  impl_->Begin();
}

HealthWatch::~HealthWatch() { impl_->Stop(); }

HealthState HealthWatch::state() const { return impl_->state(); }

absl::Status HealthWatch::last_error() const { return impl_->last_error(); }

}  // namespace grpccommon
