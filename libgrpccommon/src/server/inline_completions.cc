// SPDX-License-Identifier: Apache-2.0
#include "server/inline_completions.h"

#include <memory>

#include "grpc/grpc.h"
#include "grpcpp/completion_queue.h"
#include "server/grpc_access.h"

namespace grpccommon::internal {
namespace {

// Then others get their turn on the thread.
constexpr std::size_t kMostReactions = 64;

}  // namespace

constinit thread_local InlineCompletions* InlineCompletions::current = nullptr;

// What gRPC completed on the way, of any call, or the start of one. It goes to
// the queue after all: nobody knows for how long this thread will be busy, or
// whether with waiting for just that.
class InlineCompletions::OtherReaction : public grpc_completion_queue_functor {
 public:
  /// By way of the queue of `call`.
  static void PutBack(const Reaction& reaction, grpc_call* call) {
    auto* const other = new OtherReaction(reaction);
    // An empty batch is complete when it is started.
    grpc_call_start_batch(call, nullptr, 0,
                          static_cast<grpc_completion_queue_functor*>(other),
                          nullptr);
  }

 private:
  explicit OtherReaction(const Reaction& reaction)
      : grpc_completion_queue_functor{}, reaction_(reaction) {
    functor_run = [](grpc_completion_queue_functor* self, int /*ok*/) {
      const std::unique_ptr<OtherReaction> other(
          static_cast<OtherReaction*>(self));
      other->reaction_.Run();
    };
  }

  const Reaction reaction_;
};

[[gnu::hot]] void InlineCompletions::Reaction::Run() const {
  auto* const functor = static_cast<grpc_completion_queue_functor*>(tag);
  functor->functor_run(functor, ok);
}

[[gnu::hot]] void InlineCompletions::Start(
    grpc::internal::CallOpSetInterface& ops, grpc::internal::Call& call) {
  Start(call, ops.core_cq_tag(), [&] { ops.FillOps(&call); });
}

[[gnu::hot]] void InlineCompletions::Start(const grpc::internal::Call& call,
                                           const void* tag,
                                           absl::FunctionRef<void()> start) {
  if (count_ - run_ == reactions_.size() || count_ >= kMostReactions) {
    start();
    return;
  }
  grpc_call* const core_call = call.call();
  grpc_completion_queue* const queue = call.cq()->cq();
  // Otherwise another thread may be done with the call once this is started. A
  // reference is dear: gRPC looks for work when it is given up.
  const bool kept = KeepsCall();
  if (!kept) grpc_call_ref(core_call);
  grpc_completion_queue_thread_local_cache_init(queue);
  start();
  Reaction reaction;
  if (grpc_completion_queue_thread_local_cache_flush(queue, &reaction.tag,
                                                     &reaction.ok) != 0) {
    if (reaction.tag == tag) {
      reactions_[count_++ % reactions_.size()] = reaction;
    } else {
      OtherReaction::PutBack(reaction, core_call);
    }
  }
  if (!kept) grpc_call_unref(core_call);
}

[[gnu::hot]] void InlineCompletions::HoldBack(
    grpc::internal::CallOpSetInterface& ops, const grpc::internal::Call& call) {
  held_back_.emplace(ops, call);
  if (!long_handlers_->Enter(*held_back_)) {
    held_back_->Start();
    held_back_.reset();
  }
}

[[gnu::hot]] void InlineCompletions::Watch() {
  if (!held_back_.has_value()) return;
  const std::size_t before = count_;
  if (LongHandlers::Leave(*held_back_)) {
    // Where nothing has come here the reply goes by way of the queue, if there
    // is one yet, and so may the end of its call.
    if (KeepsCall()) {
      Start(held_back_->ops, held_back_->call);
    } else {
      held_back_->Start();
    }
  }
  held_back_.reset();
  // A reaction of gRPC's own, which may run within the handler.
  if (count_ > before) reactions_[--count_ % reactions_.size()].Run();
}

[[gnu::hot]] void InlineCompletions::Run() {
  // But for sends, what reactions start completes gRPC's way.
  call_ = nullptr;
  // The end comes first: the other reactions may ask for it.
  Watch();
  while (run_ != count_) {
    const Reaction next = reactions_[run_++ % reactions_.size()];
    reacting_to_ = next.tag;
    next.Run();
  }
}

[[gnu::hot]] InlineCompletions* InlineCompletions::AroundSends(
    const grpc_call* call, const void* message_tag) {
  if (current == nullptr) return nullptr;
  const bool reacts =
      message_tag != nullptr && current->reacting_to_ == message_tag;
  return reacts || current->call_ == call ? current : nullptr;
}

[[gnu::hot]] void InlineCompletions::Sustain(
    grpc::internal::CallOpSetInterface& ops) {
  RunBy(ops, RunSustained);
}

[[gnu::hot]] void InlineCompletions::RunSustained(
    grpc_completion_queue_functor* tag, int ok) {
  if (OnThisThread()) {
    Complete(tag, ok);
    return;
  }
  InlineCompletions completions;
  completions.reacting_to_ = tag;
  Complete(tag, ok);
  completions.Run();
}

}  // namespace grpccommon::internal
