// SPDX-License-Identifier: Apache-2.0
#include "server/inline_completions.h"

#include "grpc/grpc.h"
#include "grpcpp/completion_queue.h"

namespace grpccommon::internal {

constinit thread_local InlineCompletions* InlineCompletions::innermost =
    nullptr;

[[gnu::hot]] void InlineCompletions::Reaction::Run() const {
  auto* const functor = static_cast<grpc_completion_queue_functor*>(tag);
  functor->functor_run(functor, ok);
}

[[gnu::hot]] void InlineCompletions::Start(
    grpc::internal::CallOpSetInterface& ops, grpc::internal::Call& call) {
  if (count_ == reactions_.size()) {
    ops.FillOps(&call);
    return;
  }
  grpc_completion_queue* const queue = call.cq()->cq();
  grpc_completion_queue_thread_local_cache_init(queue);
  ops.FillOps(&call);
  // Of this call, or of another one that gRPC worked at on the way.
  Reaction& reaction = reactions_[count_];
  count_ += grpc_completion_queue_thread_local_cache_flush(queue, &reaction.tag,
                                                           &reaction.ok) != 0;
}

[[gnu::hot]] void InlineCompletions::HoldBack(
    grpc::internal::CallOpSetInterface& ops, const grpc::internal::Call& call) {
  held_back_ = HeldBatch{&ops, call};
  if (!long_handlers_.Enter(*held_back_)) {
    held_back_->Start();
    held_back_.reset();
  }
}

[[gnu::hot]] bool InlineCompletions::StartHeldBack() {
  if (!held_back_.has_value()) return false;
  const bool ours = long_handlers_.Leave(*held_back_);
  const std::size_t before = count_;
  if (ours) Start(*held_back_->ops, held_back_->call);
  held_back_.reset();
  return count_ > before;
}

[[gnu::hot]] void InlineCompletions::Watch() {
  if (StartHeldBack()) reactions_[--count_].Run();
}

[[gnu::hot]] void InlineCompletions::Run() {
  // The end comes first: the other reactions may ask for it.
  Watch();
  // What they start completes gRPC's way.
  innermost = outer_;
  for (std::size_t i = 0; i < count_; ++i) reactions_[i].Run();
}

}  // namespace grpccommon::internal
