// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/server_interceptor.h"
#include "grpccommon/tracing/span.h"
#include "grpccommon/tracing/tracer.h"

namespace grpccommon {

struct TracingInterceptorOptions {
  /// Add an event to the span for each message of a stream.
  bool message_events = false;
};

/// Gives every call its place in a trace, from the caller's `traceparent` and
/// `tracestate` or as the first of a new one, and records a span for those that
/// are sampled. Goes first among the interceptors, so that all others' log
/// lines bear the trace.
///
/// A caller's `traceparent` that is malformed or there twice begins a new
/// trace, and a malformed `tracestate` is dropped; neither is an error.
///
/// Source of the names: OpenTelemetry's semantic conventions for gRPC. The span
/// is called "pkg.Service/Method" and has `rpc.system`, `rpc.service`,
/// `rpc.method`, `rpc.grpc.status_code`, `client.address`,
/// `network.peer.address`, `network.peer.port`, `network.transport`, and of our
/// own `grpccommon.request_id` and `grpccommon.refused_by`. It is an error
/// where the server is at fault: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED,
/// INTERNAL, UNAVAILABLE, DATA_LOSS. Metadata and messages never get into it.
class GRPCCOMMON_EXPORT TracingInterceptor : public ServerInterceptor {
 public:
  /// `tracer` is borrowed and must outlive the interceptor.
  explicit TracingInterceptor(const Tracer& tracer,
                              const TracingInterceptorOptions& options = {});

  std::string_view name() const override { return "tracing"; }
  Stage stage() const override { return Stage::kObserve; }
  absl::StatusOr<Hooks> Register(const Method& method) override;
  absl::Status OnStart(ServerCall& call) override;
  absl::Status OnReceived(ServerCall& call,
                          const google::protobuf::Message* message) override;
  void OnSent(ServerCall& call,
              const google::protobuf::Message* message) override;
  void OnFinish(ServerCall& call, grpc::Status& status) override;

 private:
  const Tracer& tracer_;
  const TracingInterceptorOptions options_;
};

/// The span of a call, for handlers that add to it. Of a call that is not
/// recorded it is one that takes everything and keeps nothing. Valid as long as
/// the call.
GRPCCOMMON_EXPORT Span& SpanOf(const ServerCall& call);

}  // namespace grpccommon
