// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/grpc_compat.h"
#include "call/read_mark.h"
#include "call/server_call_driver.h"
#include "grpccommon/base/baton.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/base/thread_slot.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/call/server_interceptor.h"
#include "grpcpp/impl/call.h"
#include "grpcpp/support/server_interceptor.h"
#include "server/deadline_watch.h"
#include "server/inline_completions.h"
#include "server/long_handlers.h"
#if GRPCCOMMON_GRPC_CALL_HOOK
#include "grpcpp/impl/call_hook.h"
#endif

namespace grpccommon::internal {

/// One place in a method's chain.
struct ChainStep {
  ServerInterceptor* interceptor = nullptr;
  /// The same object if its decision may have to wait.
  AsyncServerInterceptor* async = nullptr;
  Hooks hooks;
};

/// A method with everything that its calls need, made at registration.
struct GuardedMethod {
  Method method;
  /// In order of stage, then of addition.
  std::vector<ChainStep> steps;
  bool observes_received = false;
  bool observes_sent = false;
  /// Callback API: must not block.
  bool callback = false;
  /// Some step may have to wait.
  bool waits = false;
  /// Requests and replies are byte buffers: nobody parses them.
  bool raw = false;
};

/// Calls from the start of their chain until all of their reply is sent,
/// counted so that threads do not disturb each other.
class RunningCalls {
 public:
  void Add(std::int64_t change) {
    shards_[ThreadSlot() % shards_.size()].count.fetch_add(
        change, std::memory_order_relaxed);
  }
  std::int64_t Count() const {
    std::int64_t sum = 0;
    for (const Shard& shard : shards_) {
      sum += shard.count.load(std::memory_order_relaxed);
    }
    return sum;
  }

 private:
  struct alignas(kCacheLineBytes) Shard {
    std::atomic<std::int64_t> count{0};
  };
  std::array<Shard, 16> shards_;
};

/// Who runs a chain's hooks before a handler's reply is sent.
enum class SendHooks {
  /// We, where the handler starts the sending; only if gRPC lets us.
  kOurs,
  /// gRPC's interception.
  kGrpc,
};
#if GRPCCOMMON_GRPC_CALL_HOOK
inline constexpr SendHooks kSendHooks = SendHooks::kOurs;
using CallHookBase = grpc::internal::CallHook;
#else
inline constexpr SendHooks kSendHooks = SendHooks::kGrpc;
struct CallHookBase {};
#endif

/// What all calls of a server share. Outlives them.
struct CallEnvironment {
  CallEnvironment(const Clock& c, Logger l, SendHooks s)
      : CallEnvironment(c, std::move(l), s, CreateScheduler()) {}

  RunningCalls running;
  const Clock& clock;
  const Logger logger;
  DeadlineWatch deadlines;
  LongHandlers long_handlers;
  const SendHooks send_hooks;
  /// gRPC's own limit, which is set before the server starts.
  std::size_t max_send_message_bytes = std::numeric_limits<std::size_t>::max();
  /// Some calls may come from within the process.
  std::atomic<bool> in_process{false};

 private:
  CallEnvironment(const Clock& c, Logger l, SendHooks s,
                  std::unique_ptr<Scheduler> own)
      : clock(c),
        logger(std::move(l)),
        deadlines(c, *own),
        long_handlers(c, *own),
        send_hooks(s),
        scheduler_(std::move(own)) {}

  // Destroyed first, with what the others have planned.
  const std::unique_ptr<Scheduler> scheduler_;
};

/// One call on its way through: the gRPC interceptor that gRPC makes for it,
/// with the ServerCall inside. The guarded handler runs the start of the chain,
/// gRPC's hooks run the rest.
///
/// Where gRPC intercepts a batch, it starts a second, empty one when that is
/// done, so that interceptors could wait: once more through the completion
/// queue for each message of a stream. Ours never wait before a send, so where
/// gRPC lets it be (SendHooks), the handler gets its call with a hook that runs
/// them there and then sends as if there were none.
class CallState : public grpc::experimental::Interceptor, private CallHookBase {
 public:
  CallState(grpc::experimental::ServerRpcInfo& info,
            CallEnvironment& environment)
      : info_(info), environment_(environment) {}
  ~CallState() override;

  /// The state of the call that `context` belongs to.
  static CallState* Of(const grpc::ServerContextBase& context);

  /// Says what call this is, and begins to account for it.
  void Begin(const GuardedMethod& method, std::string_view path, void* request);

  enum class Verdict { kAdmitted, kRefused, kWaiting };

  /// Runs the chain's start hooks, from where it stands. With `resume`, may
  /// return kWaiting: then `resume` is called later, on another thread, to call
  /// Admit again. Without it, waits on this thread.
  Verdict Admit(const std::function<void()>& resume);

  /// Refuses the call because its request could not be read: only observers
  /// see it.
  void RefuseUnread();

  /// Runs the finish hooks of a call that was refused before its handler, and
  /// returns the status to send.
  grpc::Status FinishRefused();

  void set_exception(std::string_view text) {
    ServerCallDriver::set_exception(call_, text);
  }

  /// The call as the wrapped handler is to have it; may refer to this.
  grpc::internal::Call Hooked(const grpc::internal::Call& call);

  /// Whether InlineCompletions may be around the handler. Calls from within the
  /// process may not: gRPC's transport for them drops a reply that is sent
  /// before someone watches for the end.
  bool MayCompleteInline() const;
  LongHandlers& long_handlers() { return environment_.long_handlers; }

  ServerCall& call() { return call_; }

  // gRPC's hooks.
  void Intercept(grpc::experimental::InterceptorBatchMethods* batch) override;

 private:
#if GRPCCOMMON_GRPC_CALL_HOOK
  void PerformOpsOnCall(grpc::internal::CallOpSetInterface* ops,
                        grpc::internal::Call* call) override;
#endif
  void Refuse(const ServerInterceptor* interceptor, const absl::Status& status);
  absl::Status RunStart(const ChainStep& step);
  void Received(grpc::experimental::InterceptorBatchMethods& batch);
  void ReceivedMessage(grpc::experimental::InterceptorBatchMethods& batch,
                       void* message);
  void NothingReceived();
  // True unless the end has begun, which then waits for LeaveReceiving.
  bool EnterReceiving();
  void LeaveReceiving();
  void EndReceiving();
  absl::Status WhyNothing();
  void BeforeRead(grpc::experimental::InterceptorBatchMethods& batch);
  void BeforeSend(grpc::experimental::InterceptorBatchMethods& batch);
  void Sent(grpc::experimental::InterceptorBatchMethods& batch);
  void SendStatus(grpc::experimental::InterceptorBatchMethods& batch);
  bool EndedBeforeReply();
  bool IsLate() const;
  void Finish(grpc::Status& status);

  grpc::experimental::ServerRpcInfo& info_;
  CallEnvironment& environment_;
  ServerCall call_{ServerCallDriver::Key()};
  const GuardedMethod* method_ = nullptr;
  // Steps whose OnStart ran; those finish.
  std::size_t started_ = 0;
  bool finished_ = false;
  // Of a callback stream, once one was sent; all of its messages have the same.
  std::atomic<const void*> message_tag_{nullptr};
  // The reading side's: whether its tag was made to tell what the core says,
  // what it reads into, and, of a synchronous call, the queue that tells what
  // became of it.
  std::atomic<bool> watches_reads_{false};
  ReadMark read_mark_;
  grpc_completion_queue* read_queue_ = nullptr;
  // Of a client stream: what a message does to the call is done before the end,
  // or not at all.
  Mutex receiving_mutex_;
  bool receiving_ended_ ABSL_GUARDED_BY(receiving_mutex_) = false;
  std::thread::id receiving_thread_ ABSL_GUARDED_BY(receiving_mutex_);
  // Set by the reading side of a stream, read by the sending side.
  std::atomic<grpc::Status*> refusal_{nullptr};
  DeadlineWatch::Entry deadline_;
  // The answer of an asynchronous step, handed over by it.
  std::unique_ptr<absl::Status> awaited_;
  // From the start to all, from one read to the next, from all to the end.
  Baton begun_;
  Baton reading_;
  Baton ending_;
};

class CallStateFactory
    : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  /// `environment` is borrowed and must outlive the server.
  explicit CallStateFactory(CallEnvironment& environment)
      : environment_(environment) {
    set_up_.Pass();
  }
  [[gnu::hot]] grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    set_up_.Take();
    return new CallState(*info, environment_);
  }

 private:
  CallEnvironment& environment_;
  // From what was made before the server to its calls, which may come on a
  // thread that gRPC has had for longer than that.
  Baton set_up_;
};

/// What a guarded handler's Deserialize learns of a request, for the CallState
/// that gRPC calls next on this thread: its size, and why there is none.
void NoteRequest(std::size_t bytes);
void NoteUnread(absl::Status why);

}  // namespace grpccommon::internal
