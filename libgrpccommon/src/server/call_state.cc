// SPDX-License-Identifier: Apache-2.0
#include "server/call_state.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "call/interceptor_fence.h"
#include "google/protobuf/message.h"
#include "grpc/byte_buffer.h"
#include "grpc/grpc.h"
#include "grpc/support/time.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/call/metadata_keys.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "grpcpp/server_context.h"
#include "server/grpc_access.h"
#include "server/malformed_request.h"

namespace grpccommon::internal {
namespace {

using grpc::experimental::InterceptionHookPoints;

// A client whose deadline passes cancels by its own clock, which the way here
// and gRPC's rounding of the timeout put a little before ours.
constexpr Clock::Duration kDeadlineSlack = std::chrono::milliseconds(10);
// A client that goes away within so little might as well have done it after
// the reply.
constexpr Clock::Duration kBrief = std::chrono::milliseconds(1);

thread_local std::size_t noted_request_bytes = 0;
thread_local absl::Status noted_fault;
// What gRPC's core says of the read that completes on this thread.
thread_local bool noted_read_ok = true;

#if GRPCCOMMON_GRPC_CALL_HOOK
void CompleteRead(grpc_completion_queue_functor* functor, int ok) {
  noted_read_ok = ok != 0;
  Complete(functor, ok);
  noted_read_ok = true;
}
#endif

// Whether the next read of `call` fails, whose last one brought nothing: it
// waits for nothing then, neither after the end nor after a failure.
bool NextReadFails(grpc_call* call, grpc_completion_queue* queue) {
  grpc_byte_buffer* nothing = nullptr;
  grpc_op op{};
  op.op = GRPC_OP_RECV_MESSAGE;
  op.data.recv_message.recv_message = &nothing;
  if (grpc_call_start_batch(call, &op, 1, &op, nullptr) != GRPC_CALL_OK) {
    return true;
  }
  const grpc_event event = grpc_completion_queue_pluck(
      queue, &op, gpr_inf_future(GPR_CLOCK_REALTIME), nullptr);
  return event.success == 0;
}

}  // namespace

[[gnu::hot]] void NoteRequest(std::size_t bytes) {
  noted_request_bytes = bytes;
}
void NoteUnread(absl::Status why) { noted_fault = std::move(why); }

[[gnu::hot]] CallState::~CallState() {
  ending_.Take();
  if (method_ != nullptr && !finished_) {
    // gRPC has ended the call without a status of the handler's: the client
    // went away before, or a message had made an end of the stream.
    const grpc::Status* const refusal =
        refusal_.load(std::memory_order_acquire);
    grpc::Status status =
        refusal != nullptr
            ? *refusal
            : grpc::Status(grpc::StatusCode::CANCELLED,
                           "the call ended before it was answered");
    Finish(status);
  }
  // Only now is everything sent.
  if (method_ != nullptr) environment_.running.Add(-1);
  ServerCallDriver::Unbind(call_);
  delete refusal_.load(std::memory_order_acquire);
}

[[gnu::hot]] CallState* CallState::Of(const grpc::ServerContextBase& context) {
  ServerCall* const call = ServerCall::Of(context);
  if (call == nullptr) return nullptr;
  // Every real call is the member of a CallState.
  return static_cast<CallState*>(ServerCallDriver::owner(*call));
}

[[gnu::hot]] void CallState::Begin(const GuardedMethod& method,
                                   std::string_view path, void* request) {
  method_ = &method;
  ServerCallDriver::Start(
      call_, method.method, path,
      method.raw ? nullptr : static_cast<google::protobuf::Message*>(request),
      environment_.clock, environment_.logger);
  environment_.running.Add(1);
  // gRPC forgets it when the client goes, and what observes calls names it.
  if (!method.steps.empty()) static_cast<void>(call_.peer());
  const std::optional<std::chrono::nanoseconds>& timeout =
      method.method.policy.timeout;
  if (timeout.has_value() &&
      *call_.deadline() == call_.started_at() + *timeout) {
    environment_.deadlines.Watch(deadline_, info_.server_context()->c_call(),
                                 *call_.deadline(), *timeout);
  }
  begun_.Pass();
  ending_.Pass();
}

absl::Status CallState::RunStart(const ChainStep& step) {
  return Fenced(call_, *step.interceptor,
                [&] { return step.interceptor->OnStart(call_); });
}

[[gnu::hot]] CallState::Verdict CallState::Admit(
    const std::function<void()>& resume) {
  if (awaited_ != nullptr) {
    const std::unique_ptr<absl::Status> status = std::move(awaited_);
    if (!status->ok()) {
      Refuse(method_->steps[started_ - 1].interceptor, *status);
      return Verdict::kRefused;
    }
  }
  while (started_ < method_->steps.size()) {
    const ChainStep& step = method_->steps[started_];
    ++started_;
    if (!step.hooks.start) continue;
    absl::Status status;
    if (step.async == nullptr || resume == nullptr) {
      status = RunStart(step);
    } else {
      // Whoever comes second goes on: this thread if the answer is there when
      // OnStartAsync returns, else the thread that brings it.
      struct Answer {
        std::atomic<bool> first_came{false};
        absl::Status status;
      };
      const auto answer = std::make_shared<Answer>();
      status = Fenced(call_, *step.interceptor, [&] {
        step.async->OnStartAsync(call_, [this, answer,
                                         resume](absl::Status decision) {
          answer->status = std::move(decision);
          if (!answer->first_came.exchange(true)) return;
          awaited_ = std::make_unique<absl::Status>(std::move(answer->status));
          resume();
        });
        return absl::OkStatus();
      });
      if (status.ok()) {
        if (!answer->first_came.exchange(true)) return Verdict::kWaiting;
        status = std::move(answer->status);
      }
    }
    if (!status.ok()) {
      Refuse(step.interceptor, status);
      return Verdict::kRefused;
    }
  }
  if (!method_->steps.empty()) {
    ServerCallDriver::set_admission_time(
        call_, environment_.clock.Now() - call_.started_at());
  }
  return Verdict::kAdmitted;
}

void CallState::RefuseUnread() {
  for (const ChainStep& step : method_->steps) {
    if (step.interceptor->stage() != Stage::kObserve) break;
    ++started_;
    // Observers cannot admit what nobody can read; their verdict is moot.
    if (step.hooks.start) RunStart(step).IgnoreError();
  }
  absl::Status why = std::exchange(noted_fault, absl::OkStatus());
  if (absl::IsCancelled(why) && IsLate()) {
    why = absl::DeadlineExceededError(
        "the deadline passed before the request had come");
  }
  Refuse(nullptr, why);
}

[[gnu::hot]] void CallState::Refuse(const ServerInterceptor* interceptor,
                                    const absl::Status& status) {
  grpc::Status* none = nullptr;
  auto refusal = std::make_unique<grpc::Status>(
      ServerCallDriver::StatusOfRefusal(call_, status));
  if (refusal_.compare_exchange_strong(none, refusal.get(),
                                       std::memory_order_acq_rel)) {
    static_cast<void>(refusal.release());  // refusal_ has it now
    ServerCallDriver::set_refused_by(call_, interceptor);
  }
}

[[gnu::hot]] grpc::Status CallState::FinishRefused() {
  grpc::Status status = std::move(*refusal_.load(std::memory_order_acquire));
  Finish(status);
  ending_.Pass();
  return status;
}

[[gnu::hot]] void CallState::Intercept(
    grpc::experimental::InterceptorBatchMethods* batch) {
  const bool received = batch->QueryInterceptionHookPoint(
      InterceptionHookPoints::POST_RECV_MESSAGE);
  if (received) reading_.Take();
  if (batch->QueryInterceptionHookPoint(
          InterceptionHookPoints::POST_RECV_INITIAL_METADATA)) {
    ServerCallDriver::Bind(call_, *info_.server_context(), this);
    if (received) {
      ServerCallDriver::CountReceived(call_,
                                      std::exchange(noted_request_bytes, 0));
    }
  } else {
    begun_.Take();
    if (batch->QueryInterceptionHookPoint(
            InterceptionHookPoints::POST_RECV_CLOSE)) {
      ending_.Take();
    }
    if (method_ != nullptr) {
      if (received) {
        Received(*batch);
      } else {
        BeforeRead(*batch);
      }
      BeforeSend(*batch);
    }
  }
  reading_.Pass();
  ending_.Pass();
  batch->Proceed();
}

[[gnu::hot]] grpc::internal::Call CallState::Hooked(
    const grpc::internal::Call& call) {
#if GRPCCOMMON_GRPC_CALL_HOOK
  if (environment_.send_hooks == SendHooks::kOurs) {
    return grpc::internal::Call(call.call(), this, call.cq(),
                                call.max_receive_message_size(), nullptr);
  }
#endif
  return call;
}

#if GRPCCOMMON_GRPC_CALL_HOOK
[[gnu::hot]] void CallState::PerformOpsOnCall(
    grpc::internal::CallOpSetInterface* ops, grpc::internal::Call* call) {
  const auto start = [ops](InlineCompletions* around,
                           grpc::internal::Call& on) {
    if (around != nullptr) {
      around->Start(*ops, on);
    } else {
      ops->FillOps(&on);
    }
  };
  switch (const OpsKind kind = KindOf(*ops); kind) {
    case OpsKind::kMessage:
      if (method_->callback &&
          message_tag_.load(std::memory_order_relaxed) == nullptr &&
          MayCompleteInline()) {
        message_tag_.store(ops->core_cq_tag(), std::memory_order_relaxed);
        InlineCompletions::Sustain(*ops);
      }
      [[fallthrough]];
    case OpsKind::kMessageAndStatus:
    case OpsKind::kStatus: {
      grpc::internal::InterceptorBatchMethodsImpl batch;
      DescribeSends(kind, *ops, batch);
      BeforeSend(batch);
      ending_.Pass();
      start(InlineCompletions::AroundSends(
                call->call(), message_tag_.load(std::memory_order_relaxed)),
            *call);
      return;
    }
    case OpsKind::kCompletion: {
      InlineCompletions* const around = InlineCompletions::Around(call->call());
      // It took a reference of the info, which it keeps only if intercepted;
      // the context, which outlives it here, has its own.
      UnrefInfo(info_);
      ending_.Pass();
      if (around != nullptr) {
        around->HoldBack(*ops, *call);
      } else {
        ops->FillOps(call);
      }
      return;
    }
    case OpsKind::kRead:
      if (method_->callback) {
        // Of a callback stream, all have the same tag.
        if (!watches_reads_.load(std::memory_order_relaxed)) {
          watches_reads_.store(true, std::memory_order_relaxed);
          RunBy(*ops, CompleteRead);
        }
      } else {
        read_queue_ = call->cq()->cq();
      }
      [[fallthrough]];
    case OpsKind::kOther:
      grpc::internal::Call intercepted(call->call(), this, call->cq(),
                                       call->max_receive_message_size(),
                                       &info_);
      start(InlineCompletions::Around(call->call()), intercepted);
      return;
  }
}
#endif

void CallState::BeforeRead(grpc::experimental::InterceptorBatchMethods& batch) {
  // Of a cancellation by the handler nothing else may be asked.
  if (method_->raw || batch.QueryInterceptionHookPoint(
                          InterceptionHookPoints::PRE_SEND_CANCEL)) {
    return;
  }
  // There is no hook for it; only a read has where to.
  if (void* const message = batch.GetRecvMessage(); message != nullptr) {
    reading_.Take();
    read_mark_.Put(*static_cast<google::protobuf::Message*>(message));
  }
}

void CallState::BeforeSend(grpc::experimental::InterceptorBatchMethods& batch) {
  if (batch.QueryInterceptionHookPoint(
          InterceptionHookPoints::PRE_SEND_STATUS)) {
    SendStatus(batch);
  } else if (batch.QueryInterceptionHookPoint(
                 InterceptionHookPoints::PRE_SEND_MESSAGE)) {
    Sent(batch);
  }
}

void CallState::Received(grpc::experimental::InterceptorBatchMethods& batch) {
  void* const message = batch.GetRecvMessage();
  if (message == nullptr) {
    NothingReceived();
    return;
  }
  read_mark_.Take();
  // Nobody may observe it any more, so nobody gets it.
  if (!EnterReceiving()) {
    FailRead(batch);
    return;
  }
  ReceivedMessage(batch, message);
  LeaveReceiving();
}

void CallState::ReceivedMessage(
    grpc::experimental::InterceptorBatchMethods& batch, void* message) {
  if (refusal_.load(std::memory_order_acquire) != nullptr) {
    ServerCallDriver::set_read_failed(call_);
    FailRead(batch);
    return;
  }
  const auto* const parsed =
      method_->raw ? nullptr
                   : static_cast<const google::protobuf::Message*>(message);
  const bool counted = !method_->steps.empty();
  ServerCallDriver::CountReceived(
      call_, !counted ? 0
             : parsed != nullptr
                 ? parsed->ByteSizeLong()
                 : static_cast<grpc::ByteBuffer*>(message)->Length());
  if (!method_->observes_received) return;
  for (const ChainStep& step : method_->steps) {
    if (!step.hooks.received) continue;
    const absl::Status status = Fenced(call_, *step.interceptor, [&] {
      return step.interceptor->OnReceived(call_, parsed);
    });
    if (!status.ok()) {
      Refuse(step.interceptor, status);
      ServerCallDriver::set_read_failed(call_);
      FailRead(batch);
      return;
    }
  }
}

bool CallState::EnterReceiving() {
  const MutexLock lock(receiving_mutex_);
  if (receiving_ended_) return false;
  receiving_thread_ = std::this_thread::get_id();
  return true;
}

void CallState::LeaveReceiving() {
  const MutexLock lock(receiving_mutex_);
  receiving_thread_ = std::thread::id();
}

// A callback handler may end its call while a read is outstanding: what that
// has brought is dealt with first, unless it is this that ends the call.
void CallState::EndReceiving() {
  while (true) {
    {
      const MutexLock lock(receiving_mutex_);
      receiving_ended_ = true;
      if (receiving_thread_ == std::thread::id() ||
          receiving_thread_ == std::this_thread::get_id()) {
        return;
      }
    }
    std::this_thread::yield();  // hooks do not block
  }
}

// The client has sent its last, or a read failed.
void CallState::NothingReceived() {
  const absl::Status why = WhyNothing();
  if (why.ok()) return;
  if (!EnterReceiving()) return;
  ServerCallDriver::set_read_failed(call_);
  if (absl::IsCancelled(why)) {
    ServerCallDriver::set_cancelled(call_);
  } else {
    Refuse(nullptr, why);
  }
  LeaveReceiving();
}

absl::Status CallState::WhyNothing() {
  if (!read_mark_.Take()) {
    return MalformedRequest(absl::StrCat("message ",
                                         call_.messages_received() + 1,
                                         " of the stream does not parse"));
  }
  grpc_call* const call = info_.server_context()->c_call();
  const auto gone = [call] {
    return grpc_call_failed_before_recv_message(call) != 0;
  };
  if (gone()) return absl::CancelledError();
  const bool failed = read_queue_ != nullptr ? NextReadFails(call, read_queue_)
                                             : !noted_read_ok;
  // The client may have gone before the next read only; and a deadline that
  // passes by our clock fails the read as a message that is too large does.
  if (gone() || (failed && IsLate())) return absl::CancelledError();
  if (!failed) return absl::OkStatus();
  // gRPC has told the client.
  return absl::ResourceExhaustedError(
      "a message of the stream is larger than max_receive_message_bytes, or "
      "cannot be decompressed");
}

[[gnu::hot]] void CallState::Sent(
    grpc::experimental::InterceptorBatchMethods& batch) {
  if (method_->steps.empty()) return;
  // Serialising, which gRPC would do next anyway, has it forget the handler's
  // message, which is there until the batch is done.
  const void* const message = batch.GetSendMessage();
  const std::size_t size = batch.GetSerializedSendMessage()->Length();
  if (size > environment_.max_send_message_bytes) {
    // gRPC ends a stream with the same code when it comes to the message.
    Refuse(nullptr,
           WithReason(
               absl::ResourceExhaustedError(absl::StrCat(
                   "a reply of ", size,
                   " bytes is larger than the server's max_send_message_bytes ",
                   environment_.max_send_message_bytes)),
               "RESPONSE_TOO_LARGE", kErrorDomain));
    return;
  }
  if (method_->observes_sent) {
    const auto* const parsed =
        method_->raw ? nullptr
                     : static_cast<const google::protobuf::Message*>(message);
    for (const ChainStep& step : method_->steps) {
      if (!step.hooks.sent) continue;
      Fenced(call_, *step.interceptor, [&] {
        step.interceptor->OnSent(call_, parsed);
        return absl::OkStatus();
      }).IgnoreError();
    }
  }
  ServerCallDriver::CountSent(call_, size);
}

[[gnu::hot]] void CallState::SendStatus(
    grpc::experimental::InterceptorBatchMethods& batch) {
  if (method_->method.client_streams()) EndReceiving();
  const bool has_message = batch.QueryInterceptionHookPoint(
      InterceptionHookPoints::PRE_SEND_MESSAGE);
  grpc::Status status = batch.GetSendStatus();
  // Nearly always OK and nothing else, as this is from the start.
  grpc::Status handler_status;
  if (!status.ok()) handler_status = status;
  if (has_message && status.ok() && call_.exception().empty() &&
      refusal_.load(std::memory_order_acquire) == nullptr) {
    Sent(batch);
  }
  if (grpc::Status* const refusal = refusal_.load(std::memory_order_acquire);
      refusal != nullptr) {
    // Others only look whether there is one.
    status = std::move(*refusal);
  } else if (!call_.exception().empty()) {
    call_.log().Error("handler threw", {{"grpc.method", call_.path()},
                                        {"exception", call_.exception()}});
    status = ToGrpcStatus(WithReason(
        absl::InternalError(absl::StrCat("internal error; request id ",
                                         ToAbsl(call_.request_id()))),
        "HANDLER_FAILED", kErrorDomain));
  }
  Finish(status);
  if (!status.ok()) {
    if (has_message) DropMessage(batch);
    // On errors only: a caller who reports one can name the call, and a good
    // call does not pay for it.
    if (auto* const trailers = batch.GetSendTrailingMetadata();
        trailers->count(std::string(metadata::kRequestId)) == 0) {
      trailers->emplace(metadata::kRequestId, call_.request_id());
    }
  }
  if (status.error_code() != handler_status.error_code() ||
      status.error_message() != handler_status.error_message() ||
      status.error_details() != handler_status.error_details()) {
    batch.ModifySendStatus(status);
  }
}

[[gnu::hot]] bool CallState::MayCompleteInline() const {
  return !environment_.in_process.load(std::memory_order_relaxed) ||
         call_.peer().starts_with("ipv") || call_.peer().starts_with("unix");
}

[[gnu::hot]] bool CallState::EndedBeforeReply() {
  InlineCompletions* const around =
      InlineCompletions::Around(info_.server_context()->c_call());
  if (around != nullptr && around->holds_back()) {
    const Clock::Duration taken = call_.duration();
    if (taken < kBrief) {
      return call_.deadline().has_value() &&
             *call_.deadline() <= call_.started_at() + taken;
    }
    around->Watch();
  }
  return call_.cancelled();
}

bool CallState::IsLate() const {
  return call_.deadline().has_value() && call_.remaining() <= kDeadlineSlack;
}

[[gnu::hot]] void CallState::Finish(grpc::Status& status) {
  finished_ = true;
  if (started_ > 0) {
    ServerCallDriver::set_ended_at(call_, environment_.clock.Now());
  }
  // What the client sees, the log shall too: not a handler's OK that comes too
  // late, and not its CANCELLED where it was the deadline that cancelled.
  const bool cancelled = status.error_code() == grpc::StatusCode::CANCELLED;
  if (started_ > 0 &&
      (cancelled ? IsLate() : status.ok() && EndedBeforeReply())) {
    status = cancelled || IsLate()
                 ? grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED,
                                "the deadline passed before the reply")
                 : grpc::Status(grpc::StatusCode::CANCELLED,
                                "the client cancelled before the reply");
  }
  for (std::size_t i = started_; i-- > 0;) {
    const ChainStep& step = method_->steps[i];
    if (!step.hooks.finish) continue;
    Fenced(call_, *step.interceptor, [&] {
      step.interceptor->OnFinish(call_, status);
      return absl::OkStatus();
    }).IgnoreError();
  }
}

}  // namespace grpccommon::internal
