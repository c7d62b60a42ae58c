// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "grpccommon/base/export.h"
#include "grpccommon/call/client_call.h"

namespace grpccommon::internal {

/// The hands on a ClientCall: the client's call path drives real ones, testing
/// drives fakes. Exported for those, which link the one library from outside.
class GRPCCOMMON_EXPORT ClientCallDriver {
 public:
  static ClientCallKey Key() { return ClientCallKey(); }

  /// Fills in what every call has. All arguments outlive the call.
  static void Start(ClientCall& call, const Method& method,
                    std::string_view target, const ServerCall* parent,
                    const Clock& clock, const Logger& logger);

  /// For a caller that has chosen one; outlives the call.
  static void set_request_id(ClientCall& call, std::string_view request_id) {
    call.request_id_ = request_id;
  }
  static void set_request(ClientCall& call,
                          const google::protobuf::MessageLite* request) {
    call.request_ = request;
  }
  static void set_deadline(ClientCall& call,
                           std::optional<Clock::TimePoint> deadline) {
    call.deadline_ = deadline;
  }
  static void set_secure(ClientCall& call, bool secure) {
    call.secure_ = secure;
  }
  static void set_forward_credentials(ClientCall& call, bool forward) {
    call.forward_credentials_ = forward;
  }
  static void set_refused_by(ClientCall& call,
                             const ClientInterceptor* interceptor) {
    call.refused_by_ = interceptor;
  }
  static void set_endpoint(ClientCall& call, std::string_view endpoint) {
    call.endpoint_ = endpoint;
  }
  static const google::protobuf::MessageLite* answer(const ClientCall& call) {
    return call.answer_.get();
  }
  static void DropAnswer(ClientCall& call);
  static void CountSent(ClientCall& call) {
    call.messages_sent_.fetch_add(1, std::memory_order_relaxed);
  }
  static void CountReceived(ClientCall& call) {
    call.messages_received_.fetch_add(1, std::memory_order_relaxed);
  }

  /// The next attempt of `call`, at `endpoint`, which outlives it.
  static void StartAttempt(ClientCall& call, ClientAttempt& attempt,
                           std::string_view endpoint, bool hedged,
                           Clock::TimePoint now);
  static const MetadataList& metadata(const ClientAttempt& attempt) {
    return attempt.metadata_;
  }
};

}  // namespace grpccommon::internal
