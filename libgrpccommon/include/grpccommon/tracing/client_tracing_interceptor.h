// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/client_interceptor.h"
#include "grpccommon/tracing/span.h"
#include "grpccommon/tracing/tracer.h"

namespace grpccommon {

struct ClientTracingInterceptorOptions {
  /// Add an event to the call's span for each message of a stream.
  bool message_events = false;
};

/// Puts outgoing calls into the trace of the call that they are made for, or
/// begins one, and records spans for those that are sampled: one of the call,
/// and below it one of each attempt, which the server is told of by
/// `traceparent` and `tracestate`.
///
/// Source of the names: OpenTelemetry's semantic conventions for gRPC. Both
/// spans are called "pkg.Service/Method" and have `rpc.system`, `rpc.service`,
/// `rpc.method` and `rpc.grpc.status_code`. The call's is of kind internal, so
/// that a map of services counts what went over the network once; it has
/// `server.address` (the target), `grpccommon.request_id`,
/// `grpccommon.attempts` and, if it was not sent, `grpccommon.refused_by`. An
/// attempt's is of kind client and has `network.peer.address`,
/// `network.peer.port`, `network.transport`, `grpccommon.attempt` (from 1) and
/// `grpccommon.hedged`. A span is an error unless its status is OK, or it is an
/// attempt that was called off. Metadata and messages never get into it.
class GRPCCOMMON_EXPORT ClientTracingInterceptor : public ClientInterceptor {
 public:
  /// `tracer` is borrowed and must outlive the interceptor.
  explicit ClientTracingInterceptor(
      const Tracer& tracer,
      const ClientTracingInterceptorOptions& options = {});

  std::string_view name() const override { return "tracing"; }
  Stage stage() const override { return Stage::kObserve; }
  absl::StatusOr<ClientHooks> Register(const Method& method) override;
  absl::Status OnStart(ClientCall& call) override;
  absl::Status OnAttemptStart(ClientCall& call,
                              ClientAttempt& attempt) override;
  void OnAttemptEnd(ClientCall& call, ClientAttempt& attempt,
                    const grpc::Status& status) override;
  void OnMessageSent(ClientCall& call) override;
  void OnMessageReceived(ClientCall& call) override;
  void OnFinish(ClientCall& call, grpc::Status& status) override;

 private:
  const Tracer& tracer_;
  const ClientTracingInterceptorOptions options_;
};

}  // namespace grpccommon
