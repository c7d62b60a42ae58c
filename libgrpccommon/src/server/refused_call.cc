// SPDX-License-Identifier: Apache-2.0
#include "server/refused_call.h"

#include <array>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "grpc/grpc.h"
#include "grpc/slice.h"
#include "grpc/support/time.h"
#include "grpccommon/base/baton.h"
#include "grpccommon/call/metadata_keys.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"
#include "server/grpc_access.h"
#include "server/inline_completions.h"

namespace grpccommon::internal {
namespace {

// Long text belongs to the call, or to the batch, which are kept for as long as
// gRPC may read it. Short text fits into the slice: less for the kernel to
// gather.
[[gnu::hot]] grpc_slice Refer(std::string_view text) {
  return text.size() <= GRPC_SLICE_INLINED_SIZE
             ? grpc_slice_from_copied_buffer(text.data(), text.size())
             : grpc_slice_from_static_buffer(text.data(), text.size());
}

// The last batch of a call.
class LastBatch {
 public:
  [[gnu::hot]] LastBatch(const ServerCall& answered, grpc::Status status,
                         grpc_call* call)
      : call_(call), status_(std::move(status)) {
    const grpc::ServerContextBase& context = answered.context();
    const MetadataMap& initial = InitialMetadataOf(context);
    const MetadataMap& trailing = TrailingMetadataOf(context);
    constexpr std::size_t kMostOwn = 3;
    auto* const metadata = static_cast<grpc_metadata*>(grpc_call_arena_alloc(
        call,
        (kMostOwn + trailing.size() + initial.size()) * sizeof(grpc_metadata)));
    grpc_metadata* end = metadata;
    const auto append = [&end](std::string_view key, std::string_view value) {
      end->key = Refer(key);
      end->value = Refer(value);
      ++end;
    };

    if (const std::string& details = DetailsOf(status_); !details.empty()) {
      append(grpc::internal::kBinaryErrorDetailsKey, details);
    }
    // A finish hook may have made an answer of it.
    if (!status_.ok()) {
      append(metadata::kNotProcessed, "1");
      if (trailing.count(std::string(metadata::kRequestId)) == 0) {
        append(metadata::kRequestId, answered.request_id());
      }
    }
    for (const auto& [key, value] : trailing) append(key, value);

    ops_[1].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    auto& sent = ops_[1].data.send_status_from_server;
    sent.trailing_metadata = metadata;
    sent.trailing_metadata_count = static_cast<std::size_t>(end - metadata);
    sent.status = static_cast<grpc_status_code>(status_.error_code());
    if (const std::string& message = MessageOf(status_); !message.empty()) {
      message_ = Refer(message);
      sent.status_details = &message_;
    }

    ops_[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops_[0].data.send_initial_metadata.metadata = end;
    ops_[0].data.send_initial_metadata.count = initial.size();
    for (const auto& [key, value] : initial) append(key, value);

    ops_[2].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
    ops_[2].data.recv_close_on_server.cancelled = &cancelled_;
  }

  LastBatch(const LastBatch&) = delete;
  LastBatch& operator=(const LastBatch&) = delete;

  // With `end`, completes once the call has ended; without, once the status is
  // sent.
  [[gnu::hot]] void Start(void* tag, bool end) {
    const std::size_t count = end ? ops_.size() : ops_.size() - 1;
    const grpc_call_error error =
        grpc_call_start_batch(call_, ops_.data(), count, tag, nullptr);
    // As for gRPC's own handlers: the call could not be ended anymore.
    if (error != GRPC_CALL_OK) std::abort();
  }

 private:
  grpc_call* const call_;
  const grpc::Status status_;
  grpc_slice message_{};
  std::array<grpc_op, 3> ops_{};
  // Where gRPC puts what nobody asks: whether the client got it.
  int cancelled_ = 0;
};

// The last batch of a call of the callback API, in the call's arena, and its
// tag.
class LastReaction : public grpc_completion_queue_functor {
 public:
  [[gnu::hot]] static LastReaction& Create(const ServerCall& answered,
                                           grpc::Status status, grpc_call* call,
                                           std::function<void()> done) {
    void* const place = grpc_call_arena_alloc(call, sizeof(LastReaction));
    return *new (place)
        LastReaction(answered, std::move(status), call, std::move(done));
  }

  void* tag() { return static_cast<grpc_completion_queue_functor*>(this); }
  void Start() {
    made_.Pass();
    batch_.Start(tag(), true);
  }

 private:
  LastReaction(const ServerCall& answered, grpc::Status status, grpc_call* call,
               std::function<void()> done)
      : grpc_completion_queue_functor{},
        batch_(answered, std::move(status), call),
        done_(std::move(done)) {
    functor_run = [](grpc_completion_queue_functor* self, int /*ok*/) {
      auto* const reaction = static_cast<LastReaction*>(self);
      reaction->made_.Take();
      const std::function<void()> last = std::move(reaction->done_);
      reaction->~LastReaction();
      last();  // The call with its arena may be gone then.
    };
    inlineable = 1;
  }

  LastBatch batch_;
  std::function<void()> done_;
  Baton made_;
};

}  // namespace

[[gnu::hot]] void EndRefusedCall(CallState& state, grpc::Status status,
                                 const grpc::internal::Call& call) {
  LastBatch batch(state.call(), std::move(status), call.call());
  batch.Start(&batch, false);
  grpc_completion_queue_pluck(call.cq()->cq(), &batch,
                              gpr_inf_future(GPR_CLOCK_MONOTONIC), nullptr);
}

[[gnu::hot]] void EndRefusedCallbackCall(CallState& state, grpc::Status status,
                                         const grpc::internal::Call& call,
                                         std::function<void()> done,
                                         bool inlined) {
  LastReaction& last = LastReaction::Create(state.call(), std::move(status),
                                            call.call(), std::move(done));
  if (!inlined || InlineCompletions::OnThisThread()) {
    last.Start();
    return;
  }
  InlineCompletions completions;
  completions.Start(call, last.tag(), [&] { last.Start(); });
  completions.Run();
}

}  // namespace grpccommon::internal
