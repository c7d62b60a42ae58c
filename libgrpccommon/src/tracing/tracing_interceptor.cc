// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/tracing/tracing_interceptor.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "grpccommon/call/metadata_keys.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/tracing/traceparent.h"
#include "tracing/rpc_span.h"

namespace grpccommon {
namespace {

// A type of our own, so that nobody else's Span in the call's values takes its
// place.
struct CallSpan {
  Span span;
  std::int64_t received = 0;
  std::int64_t sent = 0;
};

CallSpan* Find(const ServerCall& call) { return call.values().Get<CallSpan>(); }

// Where the caller stands; not valid if it does not say, or not well.
TraceContext ReadCaller(const ServerCall& call) {
  const std::string_view header = call.metadata(metadata::kTraceParent);
  if (header.empty()) return {};
  std::optional<TraceContext> caller = ParseTraceParent(header);
  if (!caller.has_value()) return {};
  int parents = 0;
  std::string state;
  bool has_state = false;
  call.ForEachMetadata([&](std::string_view key, std::string_view value) {
    if (key == metadata::kTraceParent) {
      ++parents;
    } else if (key == metadata::kTraceState) {
      // Several are one list (RFC 9110, section 5.3). Past any limit it is
      // dropped as a whole, so there is no need to go on collecting.
      if (has_state && state.size() <= 512) state.push_back(',');
      if (state.size() <= 512) state += value.substr(0, 513);
      has_state = true;
    }
  });
  if (parents != 1) return {};
  if (has_state && IsTraceState(state)) caller->state = std::move(state);
  return *std::move(caller);
}

bool IsServerFault(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::UNKNOWN:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::UNIMPLEMENTED:
    case grpc::StatusCode::INTERNAL:
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::DATA_LOSS:
      return true;
    default:
      return false;
  }
}

void DescribeCaller(const ServerCall& call, Span& span) {
  const std::string_view peer = call.peer();
  span.SetAttribute("client.address", std::string(call.peer_address()));
  internal::DescribePeer(call.peer_address(), peer,
                         peer.starts_with("ipv")    ? "tcp"
                         : peer.starts_with("unix") ? "unix"
                                                    : "",
                         span);
}

}  // namespace

TracingInterceptor::TracingInterceptor(const Tracer& tracer,
                                       const TracingInterceptorOptions& options)
    : tracer_(tracer), options_(options) {}

absl::StatusOr<Hooks> TracingInterceptor::Register(const Method& method) {
  return Hooks{.start = true,
               .finish = true,
               .received = options_.message_events && method.client_streams(),
               .sent = options_.message_events && method.server_streams()};
}

[[gnu::hot]] absl::Status TracingInterceptor::OnStart(ServerCall& call) {
  call.set_trace(tracer_.Continue(ReadCaller(call)));
  if (!call.trace().sampled) return absl::OkStatus();

  const std::string_view name = internal::RpcSpanName(call.path());
  Span span = tracer_.StartSpanOf(call.trace(), name, SpanKind::kServer,
                                  call.started_at(), call.started_wall());
  if (!span.recording()) return absl::OkStatus();
  internal::DescribeRpc(name, span);
  span.SetAttribute("grpccommon.request_id", std::string(call.request_id()));
  DescribeCaller(call, span);
  call.values().Set(CallSpan{.span = std::move(span)});
  return absl::OkStatus();
}

absl::Status TracingInterceptor::OnReceived(
    ServerCall& call, const google::protobuf::Message* /*message*/) {
  if (CallSpan* const found = Find(call)) {
    internal::AddMessageEvent(found->span, "RECEIVED", ++found->received);
  }
  return absl::OkStatus();
}

void TracingInterceptor::OnSent(ServerCall& call,
                                const google::protobuf::Message* /*message*/) {
  if (CallSpan* const found = Find(call)) {
    internal::AddMessageEvent(found->span, "SENT", ++found->sent);
  }
}

[[gnu::hot]] void TracingInterceptor::OnFinish(ServerCall& call,
                                               grpc::Status& status) {
  if (!call.trace().sampled) return;
  CallSpan* const found = Find(call);
  if (found == nullptr) return;
  Span& span = found->span;
  span.SetAttribute("rpc.grpc.status_code", std::int64_t{status.error_code()});
  if (!call.exception().empty()) span.RecordException(call.exception());
  if (call.refused_by() != nullptr) {
    span.SetAttribute("grpccommon.refused_by",
                      std::string(call.refused_by()->name()));
  }
  if (IsServerFault(status.error_code())) {
    span.SetStatus(SpanStatus::kError, status.error_message());
  }
  span.End();
}

Span& SpanOf(const ServerCall& call) {
  static auto* const nothing = new Span();
  CallSpan* const found = Find(call);
  return found != nullptr ? found->span : *nothing;
}

}  // namespace grpccommon
