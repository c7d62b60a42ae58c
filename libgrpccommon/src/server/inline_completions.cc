// SPDX-License-Identifier: Apache-2.0
#include "server/inline_completions.h"

#include "grpc/grpc.h"
#include "grpcpp/completion_queue.h"

namespace grpccommon::internal {

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
  if (count_ == reactions_.size() || other_.tag != nullptr) {
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
    reactions_[count_++] = reaction;
  } else {
    other_ = reaction;
  }
}

[[gnu::hot]] void InlineCompletions::HoldBack(
    grpc::internal::CallOpSetInterface& ops, const grpc::internal::Call& call) {
  held_back_.emplace(ops, call);
  if (!long_handlers_.Enter(*held_back_)) {
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
  if (count_ > before) reactions_[--count_].Run();
}

[[gnu::hot]] void InlineCompletions::Run() {
  // What reactions start completes gRPC's way.
  call_ = nullptr;
  // The end comes first: the other reactions may ask for it.
  Watch();
  for (std::size_t i = 0; i < count_; ++i) reactions_[i].Run();
  if (other_.tag != nullptr) other_.Run();
}

}  // namespace grpccommon::internal
