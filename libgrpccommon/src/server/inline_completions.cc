// SPDX-License-Identifier: Apache-2.0
#include "server/inline_completions.h"

#include "grpc/grpc.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/support/callback_common.h"

namespace grpccommon::internal {
namespace {

// Then others get their turn on the thread.
constexpr std::size_t kMostReactions = 64;

}  // namespace

constinit thread_local InlineCompletions* InlineCompletions::current = nullptr;

[[gnu::hot]] void InlineCompletions::Reaction::Run() const {
  auto* const functor = static_cast<grpc_completion_queue_functor*>(tag);
  functor->functor_run(functor, ok);
}

[[gnu::hot]] void InlineCompletions::Start(
    grpc::internal::CallOpSetInterface& ops, grpc::internal::Call& call) {
  Start(call.cq()->cq(), ops.core_cq_tag(), [&] { ops.FillOps(&call); });
}

[[gnu::hot]] void InlineCompletions::Start(grpc_completion_queue* queue,
                                           const void* tag,
                                           absl::FunctionRef<void()> start) {
  if (count_ - run_ == reactions_.size() || count_ >= kMostReactions ||
      other_.tag != nullptr) {
    start();
    return;
  }
  grpc_completion_queue_thread_local_cache_init(queue);
  // Once it is started, another thread may be done with the batch.
  start();
  Reaction reaction;
  if (grpc_completion_queue_thread_local_cache_flush(queue, &reaction.tag,
                                                     &reaction.ok) == 0) {
    return;
  }
  if (reaction.tag == tag) {
    reactions_[count_++ % reactions_.size()] = reaction;
  } else {
    other_ = reaction;
  }
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
    Start(held_back_->ops, held_back_->call);
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
    next.Run();
  }
  sends_of_ = nullptr;
  adopts_ = false;
  if (other_.tag != nullptr) other_.Run();
}

[[gnu::hot]] InlineCompletions* InlineCompletions::AroundSends(
    const grpc_call* call) {
  if (current == nullptr) return nullptr;
  if (current->adopts_) {
    current->adopts_ = false;
    current->sends_of_ = call;
  }
  return current->sends_of_ == call ? current : nullptr;
}

[[gnu::hot]] void InlineCompletions::Sustain(
    grpc::internal::CallOpSetInterface& ops) {
  // gRPC's callback handlers have tags of this kind for messages. Its function
  // is called by way of `force_run`.
  static_cast<grpc::internal::CallbackWithSuccessTag*>(
      static_cast<grpc_completion_queue_functor*>(ops.core_cq_tag()))
      ->functor_run = RunSustained;
}

[[gnu::hot]] void InlineCompletions::RunSustained(
    grpc_completion_queue_functor* tag, int ok) {
  auto* const reaction =
      static_cast<grpc::internal::CallbackWithSuccessTag*>(tag);
  if (OnThisThread()) {
    reaction->force_run(ok != 0);
    return;
  }
  InlineCompletions completions;
  reaction->force_run(ok != 0);
  completions.Run();
}

}  // namespace grpccommon::internal
