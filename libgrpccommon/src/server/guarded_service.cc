// SPDX-License-Identifier: Apache-2.0
#include "server/guarded_service.h"

#include <algorithm>
#include <array>
#include <exception>
#include <string>
#include <utility>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "grpc/byte_buffer.h"
#include "grpc/grpc.h"
#include "grpc/slice.h"
#include "grpcpp/impl/rpc_service_method.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "server/grpc_access.h"
#include "server/malformed_request.h"
#include "server/refused_call.h"

namespace grpccommon::internal {
namespace {

using grpc::internal::MethodHandler;
using grpc::internal::RpcServiceMethod;

// Holds on to the bytes of a request that its parser is about to release, in
// case somebody has to be told what is wrong with them. Copies none.
class KeptBytes {
 public:
  explicit KeptBytes(const grpc_byte_buffer* bytes) {
    if (bytes == nullptr || bytes->type != GRPC_BB_RAW) return;
    const grpc_slice_buffer& slices = bytes->data.raw.slice_buffer;
    size_ = slices.length;
    // Nearly every request is one slice, or two at the seam of a frame.
    count_ = std::min(slices.count, slices_.size());
    for (std::size_t i = 0; i < count_; ++i) {
      slices_[i] = grpc_slice_ref(slices.slices[i]);
    }
  }
  ~KeptBytes() {
    for (std::size_t i = 0; i < count_; ++i) grpc_slice_unref(slices_[i]);
  }
  KeptBytes(const KeptBytes&) = delete;
  KeptBytes& operator=(const KeptBytes&) = delete;

  std::size_t size() const { return size_; }
  std::string Flatten() const {
    std::string flat;
    for (std::size_t i = 0; i < count_; ++i) {
      flat.append(
          reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slices_[i])),
          GRPC_SLICE_LENGTH(slices_[i]));
    }
    return flat;
  }

 private:
  std::size_t size_ = 0;
  std::size_t count_ = 0;
  std::array<grpc_slice, 4> slices_;
};

class GuardedHandler : public MethodHandler {
 public:
  GuardedHandler(MethodHandler& inner, const GuardedMethod& method)
      : inner_(inner),
        method_(method),
        callback_unary_(IsInstance(inner, "CallbackUnaryHandler")) {}

  [[gnu::hot]] void RunHandler(const HandlerParameter& param) override {
    CallState* const state = CallState::Of(*param.server_context);
    state->Begin(method_, method_.method.path, param.request);
    if (!param.status.ok()) {
      state->RefuseUnread();
      Refuse(*state, param, method_.callback);
    } else if (method_.callback) {
      AdmitCallback(*state, param, true);
    } else {
      Proceed(state->Admit(nullptr), *state, param, false);
    }
  }

  [[gnu::hot]] void* Deserialize(grpc_call* call, grpc_byte_buffer* bytes,
                                 grpc::Status* status, void** data) override {
    const bool came = bytes != nullptr;
    const KeptBytes kept(bytes);
    void* const request = inner_.Deserialize(call, bytes, status, data);
    NoteRequest(kept.size());
    if (!status->ok()) NoteUnread(came ? WhyMalformed(kept) : WhyNone(call));
    return request;
  }

 private:
  absl::Status WhyMalformed(const KeptBytes& bytes) const {
    if (method_.method.descriptor == nullptr) {
      return MalformedRequest("the request does not parse");
    }
    return MalformedRequest(ExplainMalformed(
        *method_.method.descriptor->input_type(), bytes.Flatten()));
  }

  static absl::Status WhyNone(const grpc_call* call) {
    // Also true of a client whose deadline has passed.
    if (grpc_call_failed_before_recv_message(call) != 0) {
      return absl::CancelledError(
          "the client cancelled before its request had come");
    }
    return MalformedRequest("the request has no message");
  }

  // `inlined` says whether this is the thread of gRPC's that called us, whose
  // reactions may run on it.
  [[gnu::hot]] void AdmitCallback(CallState& state,
                                  const HandlerParameter& param, bool inlined) {
    // What the parameter holds belongs to the call, which gRPC keeps until its
    // handler has run; only the parameter itself is on the stack. Copied for
    // the few chains that may have to wait.
    std::function<void()> resume;
    if (method_.waits) {
      const auto kept = std::make_shared<HandlerParameter>(param);
      resume = [this, &state, kept] { AdmitCallback(state, *kept, false); };
    }
    Proceed(state.Admit(resume), state, param, inlined);
  }

  [[gnu::hot]] void Proceed(CallState::Verdict verdict, CallState& state,
                            const HandlerParameter& param, bool inlined) {
    switch (verdict) {
      case CallState::Verdict::kAdmitted:
        ServerCallDriver::set_request(state.call(), nullptr);
        Run(state, param, inlined, [&](grpc::internal::Call& call) {
          inner_.RunHandler(HandlerParameter(
              &call, param.server_context, param.request, param.status,
              param.internal_data, param.call_requester));
        });
        return;
      case CallState::Verdict::kRefused:
        Refuse(state, param, inlined);
        return;
      case CallState::Verdict::kWaiting:
        return;
    }
  }

  // Runs a handler on the call with our hook. The call may be gone afterwards.
  template <typename Handler>
  void Run(CallState& state, const HandlerParameter& param, bool inlined,
           const Handler& handler) {
    // A synchronous handler is done with it when it returns, a callback handler
    // copies it.
    grpc::internal::Call call = state.Hooked(*param.call);
    if (!inlined || InlineCompletions::OnThisThread() ||
        !state.MayCompleteInline()) {
      handler(call);
      return;
    }
    InlineCompletions completions(call.call(), state.long_handlers());
    handler(call);
    completions.Run();
  }

  // Ends the call in the handler's place. The call may be gone afterwards.
  [[gnu::hot]] void Refuse(CallState& state, const HandlerParameter& param,
                           bool inlined) {
    grpc::Status status = state.FinishRefused();
    ServerCallDriver::set_request(state.call(), nullptr);
    DestroyRequest(param);
    if (method_.callback) {
      EndRefusedCallbackCall(state, std::move(status), *param.call,
                             param.call_requester, inlined);
    } else {
      EndRefusedCall(state, std::move(status), *param.call);
    }
  }

  // A handler destroys its request, which lives in the call's arena; this one
  // never runs.
  [[gnu::hot]] void DestroyRequest(const HandlerParameter& param) const {
    if (callback_unary_) {
      ReleaseMessages(param.internal_data);
      return;
    }
    // Client streams have none, nor has a request that did not parse.
    if (param.request == nullptr) return;
    if (method_.raw) {
      static_cast<grpc::ByteBuffer*>(param.request)->~ByteBuffer();
    } else {
      static_cast<google::protobuf::Message*>(param.request)->~Message();
    }
  }

  MethodHandler& inner_;
  const GuardedMethod& method_;
  const bool callback_unary_;
};

// Ends a call of a generic service with a status that CallState replaces.
class RefusedGenericCall : public grpc::ServerGenericBidiReactor {
 public:
  RefusedGenericCall() {
    Finish(grpc::Status(grpc::StatusCode::INTERNAL, "refused"));
  }
  void OnDone() override { delete this; }
};

}  // namespace

GuardedService::GuardedService(
    const grpc::Service& inner,
    const std::vector<const GuardedMethod*>& methods) {
  const ServiceMethods& behind = MethodsOf(inner);
  for (std::size_t i = 0; i < behind.size(); ++i) {
    const GuardedMethod& method = *methods[i];
    auto handler =
        std::make_unique<GuardedHandler>(*behind[i]->handler(), method);
    // gRPC keeps the name's pointer; the method outlives the server.
    AddMethod(new RpcServiceMethod(
        method.method.path.c_str(), behind[i]->method_type(),
        method.callback ? nullptr : handler.release()));
    if (!method.callback) continue;
    if (method.raw) {
      MarkMethodRawCallback(static_cast<int>(i), handler.release());
    } else {
      MarkMethodCallback(static_cast<int>(i), handler.release());
    }
  }
}

grpc::ServerGenericBidiReactor* GuardedGenericService::CreateReactor(
    grpc::GenericCallbackServerContext* context) {
  CallState* const state = CallState::Of(*context);
  state->Begin(method_, context->method(), nullptr);
  if (state->Admit(nullptr) != CallState::Verdict::kAdmitted) {
    return new RefusedGenericCall();
  }
  try {
    return inner_.CreateReactor(context);
  } catch (const std::exception& error) {
    state->set_exception(error.what());
  } catch (...) {
    state->set_exception("not derived from std::exception");
  }
  return new RefusedGenericCall();
}

}  // namespace grpccommon::internal
