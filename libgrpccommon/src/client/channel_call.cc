// SPDX-License-Identifier: Apache-2.0
#include "client/channel_call.h"

#include <chrono>
#include <cstdint>
#include <optional>

#include "absl/strings/str_cat.h"
#include "client/call_link.h"
#include "client/grpc_access.h"
#include "client/outgoing_metadata.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message_lite.h"
#include "grpccommon/call/contract.h"
#include "grpccommon/call/metadata_keys.h"
#include "grpccommon/status/convert.h"
#include "grpcpp/client_context.h"

namespace grpccommon::internal {
namespace {

using google::protobuf::MessageLite;
using grpc::experimental::ClientRpcInfo;
using grpc::experimental::InterceptionHookPoints;
using Driver = ClientCallDriver;

// Names that no stub linked into the program knows come from a generic stub,
// and so maybe from elsewhere: after so many they are all called "generic".
constexpr std::size_t kMaxMethods = 1000;
constexpr char kGenericPath[] = "/generic/generic";

CallKind KindOf(ClientRpcInfo::Type type) {
  switch (type) {
    case ClientRpcInfo::Type::CLIENT_STREAMING:
      return CallKind::kClientStream;
    case ClientRpcInfo::Type::SERVER_STREAMING:
      return CallKind::kServerStream;
    case ClientRpcInfo::Type::BIDI_STREAMING:
      return CallKind::kBidiStream;
    default:
      return CallKind::kUnary;
  }
}

Method Describe(std::string_view path, CallKind kind) {
  Method method;
  method.path = path;
  const std::size_t slash = path.rfind('/');
  if (path.starts_with('/') && slash > 0) {
    method.service = path.substr(1, slash - 1);
    method.name = path.substr(slash + 1);
  } else {
    method.name = path;
  }
  method.kind = kind;
  method.descriptor =
      google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(
          absl::StrCat(method.service, ".", method.name));
  return method;
}

std::optional<Clock::TimePoint> DeadlineOf(const grpc::ClientContext& context,
                                           const Clock& clock) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) {
    return std::nullopt;
  }
  return clock.Now() + (deadline - clock.WallNow());
}

}  // namespace

const ChannelMethod& ChannelMethods::Find(const char* path, CallKind kind) {
  auto& place =
      recent_[(reinterpret_cast<std::uintptr_t>(path) >> 3) % recent_.size()];
  const ChannelMethod* const recent = place.load(std::memory_order_acquire);
  if (recent != nullptr && recent->method.kind == kind &&
      recent->method.path == path) {
    return *recent;
  }
  const ChannelMethod& found = Add(path, kind);
  place.store(&found, std::memory_order_release);
  return found;
}

const ChannelMethod& ChannelMethods::Add(const char* path, CallKind kind) {
  Key key(path, kind);
  std::size_t index = 0;
  {
    const MutexLock lock(mutex_);
    auto found = methods_.find(key);
    if (found == methods_.end() && methods_.size() >= kMaxMethods) {
      key.first = kGenericPath;
      found = methods_.find(key);
    }
    if (found != methods_.end()) return *found->second;
    index = methods_.size();
  }
  // Interceptors are not called under a lock. Two threads may come here for the
  // same method; the first to be done counts.
  auto added = std::make_unique<ChannelMethod>();
  added->method = Describe(key.first, kind);
  added->method.index = index;
  const google::protobuf::MethodDescriptor* const descriptor =
      added->method.descriptor;
  if (descriptor != nullptr) {
    absl::StatusOr<MethodPolicy> policy = CompilePolicy(*descriptor);
    added->status = policy.status();
    if (policy.ok()) added->method.policy = *std::move(policy);
    added->typed =
        descriptor->client_streaming() == added->method.client_streams() &&
        descriptor->server_streaming() == added->method.server_streams();
  }
  absl::StatusOr<std::unique_ptr<const MethodChain>> chain =
      chain_.Compile(added->method);
  added->status.Update(chain.status());
  added->chain =
      chain.ok() ? *std::move(chain) : std::make_unique<const MethodChain>();
  const MutexLock lock(mutex_);
  return *methods_.try_emplace(std::move(key), std::move(added)).first->second;
}

ChannelCall::ChannelCall(ClientRpcInfo& info, ChannelEnvironment& environment)
    : info_(info),
      environment_(environment),
      // Now: of a generic stub's call, the path may be gone once it starts.
      method_(&environment.methods.Find(info.method(), KindOf(info.type()))) {}

ChannelCall::~ChannelCall() {
  // A stream that was dropped, or a call that was never started.
  if (!begun_) return;
  grpc::Status status(grpc::StatusCode::CANCELLED,
                      "the call was dropped before its end");
  End(status);
}

void ChannelCall::Intercept(Batch* batch) {
  if (batch->QueryInterceptionHookPoint(
          InterceptionHookPoints::PRE_SEND_CANCEL)) {
    batch->Proceed();
    return;
  }
  if (batch->QueryInterceptionHookPoint(
          InterceptionHookPoints::PRE_SEND_INITIAL_METADATA) &&
      !Begin(*batch)) {
    // Calls this again for what the batch would receive.
    batch->Hijack();
    return;
  }
  // Nothing is touched after the last Proceed or Hijack: the call may have
  // ended by then, and this with it.
  for (Batch* const passed : Pass(*batch)) {
    if (passed != nullptr) passed->Proceed();
  }
}

bool ChannelCall::Begin(Batch& batch) {
  const grpc::ClientContext& context = *info_.client_context();
  const CallLink* const link = CallLink::Of(context);
  begun_ = true;
  Driver::Start(call_, method_->method, environment_.target,
                link != nullptr ? link->parent : nullptr, environment_.clock,
                environment_.logger);
  Driver::set_deadline(call_, DeadlineOf(context, environment_.clock));
  Driver::set_secure(call_, environment_.secure);
  Driver::set_forward_credentials(call_,
                                  link != nullptr && link->forward_credentials);

  auto& metadata = *batch.GetSendInitialMetadata();
  const auto [own_id, end] =
      metadata.equal_range(std::string(metadata::kRequestId));
  if (own_id != end) {
    Driver::set_request_id(call_, own_id->second);
  } else {
    metadata.emplace(metadata::kRequestId, call_.request_id());
  }

  const bool typed =
      method_->typed &&
      !(method_->method.kind == CallKind::kUnary && IsGenericUnary(batch));
  if (typed && !method_->method.client_streams() &&
      batch.QueryInterceptionHookPoint(
          InterceptionHookPoints::PRE_SEND_MESSAGE)) {
    // Null if it is serialised already.
    Driver::set_request(
        call_, static_cast<const MessageLite*>(batch.GetSendMessage()));
  }
  absl::Status status = Admit(batch);
  // Nobody promises that it is there for longer.
  Driver::set_request(call_, nullptr);
  if (status.ok() && !call_.answered()) return true;
  if (status.ok() && !typed) {
    status = absl::InternalError(
        "an interceptor answered a call whose messages are not known to be "
        "protobuf's");
  }
  EndLocally(status);
  return false;
}

absl::Status ChannelCall::Admit(Batch& batch) {
  if (!method_->status.ok()) return method_->status;
  absl::Status status = method_->chain->Start(call_, started_);
  if (!status.ok() || call_.answered()) return status;
  // Begins with its call: nothing is waited for here.
  Driver::StartAttempt(call_, attempt_, {}, false, call_.started_at());
  status = StartAttempt(batch);
  if (!status.ok()) {
    method_->chain->AttemptEnd(call_, attempt_, ToGrpcStatus(status),
                               std::exchange(attempt_started_, 0));
  }
  return status;
}

absl::Status ChannelCall::StartAttempt(Batch& batch) {
  absl::Status status =
      method_->chain->AttemptStart(call_, attempt_, attempt_started_);
  status.Update(CheckMetadata(call_.metadata()));
  status.Update(CheckMetadata(Driver::metadata(attempt_)));
  if (!status.ok()) return status;
  auto& metadata = *batch.GetSendInitialMetadata();
  MergeMetadata(call_.metadata(), metadata);
  MergeMetadata(Driver::metadata(attempt_), metadata);
  return absl::OkStatus();
}

void ChannelCall::EndLocally(const absl::Status& status) {
  local_ = true;
  local_status_ = ToGrpcStatus(status);
  End(local_status_);
  if (!local_status_.ok()) Driver::DropAnswer(call_);
}

void ChannelCall::FillIn(Batch& batch) {
  if (batch.QueryInterceptionHookPoint(
          InterceptionHookPoints::PRE_SEND_MESSAGE)) {
    batch.FailHijackedSendMessage();
  }
  if (batch.QueryInterceptionHookPoint(
          InterceptionHookPoints::PRE_RECV_MESSAGE)) {
    const MessageLite* const answer = Driver::answer(call_);
    if (answer != nullptr) {
      auto* const message = static_cast<MessageLite*>(batch.GetRecvMessage());
      message->Clear();
      message->CheckTypeAndMergeFrom(*answer);
    } else {
      batch.FailHijackedRecvMessage();
    }
  }
  if (batch.QueryInterceptionHookPoint(
          InterceptionHookPoints::PRE_RECV_STATUS)) {
    *batch.GetRecvStatus() = local_status_;
  }
}

std::array<ChannelCall::Batch*, 2> ChannelCall::Pass(Batch& batch) {
  const auto at = [&batch](InterceptionHookPoints point) {
    return batch.QueryInterceptionHookPoint(point);
  };
  const bool received = at(InterceptionHookPoints::POST_RECV_MESSAGE);
  const MutexLock lock(mutex_);
  if (local_) FillIn(batch);
  if (ended_) return {&batch, nullptr};
  if (at(InterceptionHookPoints::PRE_SEND_MESSAGE)) ++under_way_;
  // There is no hook for its beginning unless the call is hijacked.
  if (batch.GetRecvMessage() != nullptr && !received) ++under_way_;
  if (at(InterceptionHookPoints::POST_SEND_MESSAGE)) {
    --under_way_;
    if (batch.GetSendMessageStatus()) SentLocked();
  }
  if (received) {
    --under_way_;
    if (batch.GetRecvMessage() != nullptr) ReceivedLocked();
  }
  if (at(InterceptionHookPoints::POST_RECV_STATUS)) last_ = &batch;
  // gRPC may tell of the status while it tells, on other threads, of the last
  // messages. They all end soon, for a call that is over moves none.
  if (last_ == nullptr) return {&batch, nullptr};
  Batch* const other = &batch == last_ ? nullptr : &batch;
  if (under_way_ > 0) return {other, nullptr};
  Driver::set_endpoint(call_, info_.client_context()->peer());
  EndLocked(*last_->GetRecvStatus());
  return {other, last_};
}

void ChannelCall::SentLocked() {
  Driver::CountSent(call_);
  if (method_->method.client_streams()) method_->chain->MessageSent(call_);
}

void ChannelCall::ReceivedLocked() {
  Driver::CountReceived(call_);
  if (method_->method.server_streams()) method_->chain->MessageReceived(call_);
}

void ChannelCall::End(grpc::Status& status) {
  const MutexLock lock(mutex_);
  if (!ended_) EndLocked(status);
}

void ChannelCall::EndLocked(grpc::Status& status) {
  ended_ = true;
  method_->chain->AttemptEnd(call_, attempt_, status, attempt_started_);
  method_->chain->Finish(call_, status, started_);
}

}  // namespace grpccommon::internal
