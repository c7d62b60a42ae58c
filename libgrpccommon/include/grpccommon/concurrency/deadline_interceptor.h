// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/server_interceptor.h"
#include "grpccommon/concurrency/latency_estimate.h"

namespace grpccommon {

struct DeadlineOptions {
  /// A unary call is refused if less than this many times the method's latency
  /// is left, in [0, 100]; 0 refuses only calls whose deadline has passed.
  double margin = 1.0;
  /// The latency is a low quantile of the handler's successful calls, so that
  /// at the default one call in ten that is refused might have made it.
  LatencyEstimateOptions latency;
};

/// Refuses calls that cannot end in time, before their handler works in vain:
/// DEADLINE_EXCEEDED, reason DEADLINE_EXPIRED when no time is left, or
/// DEADLINE_TOO_SHORT when it will not do by what the method's calls took of
/// late. A method is judged only while it has enough recent successes; once all
/// of its calls are refused, the estimate ages and the next ones try again.
class GRPCCOMMON_EXPORT DeadlineInterceptor : public ServerInterceptor {
 public:
  /// Errors: kInvalidArgument, naming the option that is out of range.
  static absl::StatusOr<std::unique_ptr<DeadlineInterceptor>> Create(
      const DeadlineOptions& options = {});

  std::string_view name() const override { return "deadline"; }
  Stage stage() const override { return Stage::kCheck; }
  absl::StatusOr<Hooks> Register(const Method& method) override;
  absl::Status OnStart(ServerCall& call) override;
  void OnFinish(ServerCall& call, grpc::Status& status) override;

  /// What the method's calls take, for metrics; none if it is not known.
  std::optional<std::chrono::nanoseconds> latency(const Method& method,
                                                  Clock::TimePoint now) const;

 private:
  explicit DeadlineInterceptor(const DeadlineOptions& options)
      : options_(options) {}

  const DeadlineOptions options_;
  // By method index; null for streams, whose length the client decides.
  std::vector<std::unique_ptr<LatencyEstimate>> methods_;
};

}  // namespace grpccommon
