// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "grpccommon/accesslog/access_log.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/concurrency/concurrency_interceptor.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/metrics/metrics_registry.h"
#include "grpccommon/ratelimit/rate_limit_interceptor.h"
#include "grpccommon/server/server_options.h"
#include "grpccommon/tracing/batch_span_processor.h"
#include "grpccommon/tracing/tracer.h"
#include "server/call_path.h"

namespace grpccommon::internal {

/// The library's own interceptors, made as the options ask for them, and what
/// they need. The one place where the concerns meet.
class Concerns {
 public:
  Concerns();
  ~Concerns();

  /// Makes them and adds them to `path`, which must be destroyed first.
  /// Errors: kInvalidArgument naming the option; a file that cannot be read.
  absl::Status Install(const ServerOptions& options, const Logger& logger,
                       const Clock& clock, CallPath& path);

  /// Whether some kind of credential is configured.
  bool authenticates() const { return authenticates_; }

  Scheduler& scheduler() { return *scheduler_; }
  MetricsRegistry& metrics() { return *metrics_; }
  /// Null where the options switch it off.
  AccessLog* access_log() { return access_log_.get(); }
  Tracer* tracer() { return tracer_.get(); }

  /// Exports the spans that are left. No call may run any more.
  void Flush();

 private:
  absl::Status InstallObservers(const ServerOptions& options,
                                const Logger& logger, const Clock& clock,
                                CallPath& path);
  absl::Status InstallTracing(const ServerOptions& options,
                              const Logger& logger, const Clock& clock,
                              CallPath& path);
  absl::Status InstallProtection(const ServerOptions& options,
                                 const Clock& clock, CallPath& path);
  absl::Status InstallAuth(const AuthOptions& options, const Logger& logger,
                           const Clock& clock, CallPath& path);
  absl::Status ExposeOwnMetrics(const Logger& logger);

  // First in, last out: the others' timers and cells live in these.
  std::unique_ptr<Scheduler> scheduler_ = CreateScheduler();
  std::shared_ptr<MetricsRegistry> metrics_;
  std::unique_ptr<BatchSpanProcessor> spans_;
  std::unique_ptr<Tracer> tracer_;
  std::shared_ptr<AccessLog> access_log_;
  std::shared_ptr<ConcurrencyInterceptor> concurrency_;
  std::shared_ptr<RateLimitInterceptor> rate_limit_;
  std::vector<MetricRegistration> own_metrics_;
  bool authenticates_ = false;
};

}  // namespace grpccommon::internal
