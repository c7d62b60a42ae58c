// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/stream/stream_core.h"

#include <exception>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpc/grpc.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "grpcpp/server_context.h"

namespace grpccommon::internal {

absl::Status ThrownStatus(const grpc::ServerContextBase& context,
                          std::string_view where) {
  std::string text = "not a std::exception";
  try {
    throw;
  } catch (const std::exception& error) {
    text = error.what();
  } catch (...) {
  }
  const ServerCall* const call = ServerCall::Of(context);
  if (call == nullptr) return absl::InternalError("internal error");
  call->log().Error(
      "exception in a stream's handler",
      {{"where", where}, {"grpc.method", call->path()}, {"exception", text}});
  return absl::InternalError(
      absl::StrCat("internal error; request id ", ToAbsl(call->request_id())));
}

bool StreamCore::CloseLocked(absl::Status status) {
  if (closed_ == absl::StatusCode::kOk) {
    closed_ =
        status.ok() ? absl::StatusCode::kFailedPrecondition : status.code();
  }
  if (end_ != End::kOpen) return false;
  end_status_ = std::move(status);
  end_ = inside_ > 0 ? End::kPending : End::kSent;
  return end_ == End::kSent;
}

void StreamCore::SendEnd() {
  absl::Status status;
  {
    const MutexLock lock(mutex_);
    status = end_status_;
  }
  SendStatus(ToGrpcStatus(status));
}

void StreamCore::Close(absl::Status status) {
  bool send;
  {
    const MutexLock lock(mutex_);
    send = CloseLocked(std::move(status));
  }
  if (send) SendEnd();
}

void StreamCore::Leave() {
  {
    const MutexLock lock(mutex_);
    --inside_;
    if (inside_ > 0 || end_ != End::kPending) return;
    end_ = End::kSent;
  }
  SendEnd();
}

absl::Status StreamCore::ThrownStatus(std::string_view where) const {
  return internal::ThrownStatus(context_, where);
}

void StreamCore::RunFenced(std::string_view where,
                           const std::function<void()>& code) {
  try {
    code();
  } catch (...) {
    Close(ThrownStatus(where));
  }
}

bool StreamCore::Lost() const {
  const ServerCall* const call = ServerCall::Of(context_);
  if (call != nullptr && call->read_failed()) return true;
  // The server need not be ours. gRPC says of some calls only later that they
  // are cancelled.
  grpc_call* const core_call = CoreCall();
  return (core_call != nullptr &&
          grpc_call_failed_before_recv_message(core_call) != 0) ||
         context_.IsCancelled();
}

void StreamCore::CancelCall(const absl::Status& status) {
  grpc_call* core_call;
  {
    const MutexLock lock(mutex_);
    core_call = done_ ? nullptr : CoreCall();
    if (core_call == nullptr) return;
    grpc_call_ref(core_call);
  }
  // What gRPC's core has to send of a call it gives up at a cancellation, but
  // for the trailers, which no window of the client holds back. It writes their
  // text as it is, where it encodes that of others.
  const grpc::Status limited = ToGrpcStatus(status);
  std::string text = limited.error_message();
  for (char& c : text) {
    if (c < ' ' || c > '~' || c == '%') c = '?';
  }
  grpc_call_cancel_with_status(
      core_call, static_cast<grpc_status_code>(limited.error_code()),
      text.c_str(), nullptr);
  grpc_call_unref(core_call);
}

// The context just has no const way to it.
grpc_call* StreamCore::CoreCall() const {
  return const_cast<grpc::ServerContextBase&>(context_).c_call();
}

void StreamCore::AddDoneCallback(std::function<void()> callback) {
  {
    const MutexLock lock(mutex_);
    if (!done_) {
      done_callbacks_.push_back(std::move(callback));
      return;
    }
  }
  callback();
}

void StreamCore::RunDoneCallbacks() {
  std::vector<std::function<void()>> callbacks;
  {
    const MutexLock lock(mutex_);
    done_ = true;
    callbacks.swap(done_callbacks_);
  }
  for (const auto& callback : callbacks) RunFenced("done", callback);
}

absl::Status StreamCore::ClosedStatus(absl::StatusCode reason) {
  switch (reason) {
    case absl::StatusCode::kFailedPrecondition:
      return absl::FailedPreconditionError("the stream is finished");
    case absl::StatusCode::kResourceExhausted:
      return absl::ResourceExhaustedError("the client reads too slowly");
    default:
      return absl::CancelledError("the stream has ended");
  }
}

absl::Status SlowReaderStatus(std::uint64_t waiting,
                              std::chrono::nanoseconds retry_delay,
                              std::string_view resume_token) {
  absl::Status status =
      Exhausted("SLOW_READER", "stream",
                absl::StrCat("the client reads too slowly: ", waiting,
                             " messages wait for it"),
                retry_delay);
  if (resume_token.empty()) return status;
  return WithReason(std::move(status), "SLOW_READER", kErrorDomain,
                    {{"resume_token", resume_token}});
}

}  // namespace grpccommon::internal
