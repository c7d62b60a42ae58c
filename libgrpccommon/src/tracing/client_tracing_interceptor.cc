// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/tracing/client_tracing_interceptor.h"

#include <cstdint>
#include <string>
#include <utility>

#include "grpccommon/call/client_call.h"
#include "grpccommon/call/metadata_keys.h"
#include "grpccommon/tracing/traceparent.h"
#include "grpcpp/support/status.h"
#include "tracing/rpc_span.h"

namespace grpccommon {
namespace {

// Types of our own, so that nobody else's Span among the values takes their
// place.
struct CallSpan {
  Span span;
};
struct AttemptSpan {
  Span span;
};

void SetOutcome(const grpc::Status& status, Span& span) {
  span.SetAttribute("rpc.grpc.status_code", std::int64_t{status.error_code()});
  if (!status.ok()) {
    span.SetStatus(SpanStatus::kError, status.error_message());
  }
}

void DescribeEndpoint(std::string_view endpoint, Span& span) {
  if (endpoint.empty()) return;
  if (endpoint.starts_with("unix")) {
    internal::DescribePeer(endpoint.substr(endpoint.find(':') + 1), endpoint,
                           "unix", span);
    return;
  }
  std::string_view host = endpoint.substr(0, endpoint.rfind(':'));
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  }
  internal::DescribePeer(host, endpoint, "tcp", span);
}

}  // namespace

ClientTracingInterceptor::ClientTracingInterceptor(
    const Tracer& tracer, const ClientTracingInterceptorOptions& options)
    : tracer_(tracer), options_(options) {}

absl::StatusOr<ClientHooks> ClientTracingInterceptor::Register(
    const Method& method) {
  return ClientHooks{
      .attempts = true,
      .messages = options_.message_events && method.kind != CallKind::kUnary};
}

absl::Status ClientTracingInterceptor::OnStart(ClientCall& call) {
  if (!call.trace().valid()) {
    call.set_trace(tracer_.Continue({}));
  } else if (call.trace().sampled) {
    call.set_trace(tracer_.Below(call.trace()));
  }
  // A parent that is not recorded has said so for all below it, and without
  // spans there is nothing to tell apart: its own place is passed on.
  if (!call.trace().sampled) return absl::OkStatus();

  const std::string_view name = internal::RpcSpanName(call.method().path);
  Span span = tracer_.StartSpanOf(call.trace(), name, SpanKind::kInternal,
                                  call.started_at(), call.started_wall());
  if (!span.recording()) return absl::OkStatus();
  internal::DescribeRpc(name, span);
  span.SetAttribute("server.address", std::string(call.target()));
  span.SetAttribute("grpccommon.request_id", std::string(call.request_id()));
  call.values().Set(CallSpan{std::move(span)});
  return absl::OkStatus();
}

absl::Status ClientTracingInterceptor::OnAttemptStart(ClientCall& call,
                                                      ClientAttempt& attempt) {
  if (call.values().Get<CallSpan>() != nullptr) {
    attempt.set_trace(tracer_.Below(call.trace()));
    const std::string_view name = internal::RpcSpanName(call.method().path);
    Span span =
        tracer_.StartSpanOf(attempt.trace(), name, SpanKind::kClient,
                            attempt.started_at(), attempt.started_wall());
    internal::DescribeRpc(name, span);
    DescribeEndpoint(attempt.endpoint(), span);
    span.SetAttribute("grpccommon.attempt", std::int64_t{attempt.number()});
    span.SetAttribute("grpccommon.hedged", attempt.hedged());
    attempt.values().Set(AttemptSpan{std::move(span)});
  }
  if (!attempt.trace().valid()) return absl::OkStatus();
  attempt.AddMetadata(metadata::kTraceParent,
                      FormatTraceParent(attempt.trace()));
  if (!attempt.trace().state.empty()) {
    attempt.AddMetadata(metadata::kTraceState, attempt.trace().state);
  }
  return absl::OkStatus();
}

void ClientTracingInterceptor::OnAttemptEnd(ClientCall& /*call*/,
                                            ClientAttempt& attempt,
                                            const grpc::Status& status) {
  auto* const found = attempt.values().Get<AttemptSpan>();
  if (found == nullptr) return;
  if (status.error_code() == grpc::StatusCode::CANCELLED) {
    found->span.SetAttribute("rpc.grpc.status_code",
                             std::int64_t{status.error_code()});
  } else {
    SetOutcome(status, found->span);
  }
  found->span.End();
}

void ClientTracingInterceptor::OnMessageSent(ClientCall& call) {
  if (auto* const found = call.values().Get<CallSpan>()) {
    internal::AddMessageEvent(found->span, "SENT",
                              static_cast<std::int64_t>(call.messages_sent()));
  }
}

void ClientTracingInterceptor::OnMessageReceived(ClientCall& call) {
  if (auto* const found = call.values().Get<CallSpan>()) {
    internal::AddMessageEvent(
        found->span, "RECEIVED",
        static_cast<std::int64_t>(call.messages_received()));
  }
}

void ClientTracingInterceptor::OnFinish(ClientCall& call,
                                        grpc::Status& status) {
  auto* const found = call.values().Get<CallSpan>();
  if (found == nullptr) return;
  SetOutcome(status, found->span);
  found->span.SetAttribute("grpccommon.attempts",
                           std::int64_t{call.attempts()});
  if (call.refused_by() != nullptr) {
    found->span.SetAttribute("grpccommon.refused_by",
                             std::string(call.refused_by()->name()));
  }
  found->span.End();
}

}  // namespace grpccommon
