// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/call/client_call.h"

#include "call/call_log.h"
#include "call/client_call_driver.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message_lite.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/call/server_call.h"

namespace grpccommon {

ClientCall::ClientCall(internal::ClientCallKey /*key*/) {}
ClientCall::~ClientCall() = default;

Clock::Duration ClientCall::remaining() const {
  return deadline_.has_value() ? *deadline_ - clock_->Now()
                               : Clock::Duration::max();
}

bool ClientCall::Answer(const google::protobuf::MessageLite& response) {
  if (method_->kind != CallKind::kUnary) return false;
  if (method_->descriptor != nullptr &&
      method_->descriptor->output_type()->full_name() !=
          response.GetTypeName()) {
    return false;
  }
  answer_.reset(response.New());
  answer_->CheckTypeAndMergeFrom(response);
  return true;
}

Logger ClientCall::log() const {
  return internal::LogWithIds(*logger_, request_id_, trace_);
}

namespace internal {

void ClientCallDriver::Start(ClientCall& call, const Method& method,
                             std::string_view target, const ServerCall* parent,
                             const Clock& clock, const Logger& logger) {
  call.method_ = &method;
  call.target_ = target;
  call.parent_ = parent;
  call.clock_ = &clock;
  call.logger_ = &logger;
  call.started_at_ = clock.Now();
  call.started_wall_ = clock.WallNow();
  if (parent != nullptr) {
    call.request_id_ = parent->request_id();
    call.trace_ = parent->trace();
  } else {
    WriteUuidV7(call.started_wall_, call.request_id_buffer_);
    call.request_id_ = {call.request_id_buffer_, kUuidLength};
  }
}

void ClientCallDriver::DropAnswer(ClientCall& call) { call.answer_.reset(); }

void ClientCallDriver::StartAttempt(ClientCall& call, ClientAttempt& attempt,
                                    std::string_view endpoint, bool hedged,
                                    Clock::TimePoint now) {
  attempt.number_ = call.attempts_.fetch_add(1, std::memory_order_relaxed) + 1;
  attempt.hedged_ = hedged;
  attempt.endpoint_ = endpoint;
  attempt.trace_ = call.trace_;
  attempt.started_at_ = now;
  attempt.started_wall_ =
      call.started_wall_ + (attempt.started_at_ - call.started_at_);
}

}  // namespace internal
}  // namespace grpccommon
