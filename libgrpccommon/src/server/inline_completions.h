// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <optional>

#include "absl/functional/function_ref.h"
#include "grpcpp/impl/call.h"
#include "grpcpp/impl/call_op_set_interface.h"
#include "server/long_handlers.h"

namespace grpccommon::internal {

/// Runs the reactions to what a callback handler completes at once on the
/// handler's own thread, when it has returned.
///
/// gRPC hands them to its completion queue, for which it wakes another thread
/// out of its poll, though this one will look there next: for a call that
/// finds the server idle, two switches of threads and a fifth of its time.
/// Here each batch is started with gRPC's thread-local cache of the queue,
/// which keeps one completion. So that a handler's reply and the end of its
/// call, which come in one go, are two such batches, the one that watches for
/// the end is held back until the handler has returned (or LongHandlers starts
/// it).
///
/// A stream's messages go on like that: what the reaction to one of them sends
/// on its call, and gRPC takes at once, is reacted to next, on the same thread.
///
/// On the stack around a handler, or what ends a call in its place, or the
/// reaction to a message, on a thread of gRPC's that calls back, which holds no
/// lock.
class InlineCompletions {
 public:
  /// Around what is no handler.
  InlineCompletions() { current = this; }
  /// Around the handler of `call`, which gRPC keeps until it has returned.
  /// `long_handlers` is borrowed and must outlive the call.
  InlineCompletions(const grpc_call* call, LongHandlers& long_handlers)
      : call_(call), long_handlers_(&long_handlers) {
    current = this;
  }
  ~InlineCompletions() { current = nullptr; }
  InlineCompletions(const InlineCompletions&) = delete;
  InlineCompletions& operator=(const InlineCompletions&) = delete;

  /// Whether this thread has one. A handler that is called then does without,
  /// or the next call's could come within its reactions, and so on up the
  /// stack. What is put back into the queue is not called so; a gRPC that calls
  /// back without a queue might.
  static bool OnThisThread() { return current != nullptr; }

  /// The one around the handler of `call` that this thread is in, or null.
  static InlineCompletions* Around(const grpc_call* call) {
    return current != nullptr && current->call_ == call ? current : nullptr;
  }

  /// The same, or the one around the reaction to a message of `call`, whose
  /// messages have the tag `message_tag` (null if none was sent yet).
  static InlineCompletions* AroundSends(const grpc_call* call,
                                        const void* message_tag);

  /// `ops` is the first message of a callback stream, not started yet. Wherever
  /// the reaction to it, or to one after it, is run, it has one of these around
  /// it.
  static void Sustain(grpc::internal::CallOpSetInterface& ops);

  /// Starts `ops`, and remembers the reaction if they complete at once.
  void Start(grpc::internal::CallOpSetInterface& ops,
             grpc::internal::Call& call);
  /// The same for a batch of the core's, which `start()` starts on `call`, with
  /// a functor for its tag.
  void Start(const grpc::internal::Call& call, const void* tag,
             absl::FunctionRef<void()> start);

  /// Holds back `ops`, the batch that watches for the end of the call.
  void HoldBack(grpc::internal::CallOpSetInterface& ops,
                const grpc::internal::Call& call);

  /// Whether nobody learns of the call's end yet.
  bool holds_back() const { return held_back_.has_value(); }

  /// Starts what is held back, and runs its reaction if that comes here: the
  /// call has ended.
  void Watch();

  /// Once, after the handler: starts what is held back and runs the reactions
  /// that have come here, and those to what they send. The call may be gone
  /// then.
  void Run();

 private:
  // A reaction, as the completion queue would have handed it out.
  struct Reaction {
    void* tag = nullptr;
    int ok = 0;
    void Run() const;
  };
  class OtherReaction;

  // A handler that has not returned keeps its call, and so does a batch whose
  // reaction is still to be run.
  bool KeepsCall() const { return call_ != nullptr || run_ != count_; }
  static void RunSustained(grpc_completion_queue_functor* tag, int ok);

  // Constant-initialised and of the library alone, so read without a guard.
  static constinit thread_local InlineCompletions* current;

  // Null once the handler has returned.
  const grpc_call* call_ = nullptr;
  // The tag of what is reacted to.
  const void* reacting_to_ = nullptr;
  // Around handlers.
  LongHandlers* long_handlers_ = nullptr;
  std::optional<HeldBatch> held_back_;
  // Those that wait, at most metadata, a message or a read, the status, and the
  // end; number n lies at n modulo the size.
  std::array<Reaction, 4> reactions_;
  std::size_t run_ = 0;
  std::size_t count_ = 0;
};

}  // namespace grpccommon::internal
