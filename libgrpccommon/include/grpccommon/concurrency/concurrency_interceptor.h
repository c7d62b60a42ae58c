// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/random.h"
#include "grpccommon/call/selector.h"
#include "grpccommon/call/server_interceptor.h"
#include "grpccommon/concurrency/concurrency_limiter.h"
#include "grpccommon/status/refusal.h"

namespace grpccommon {

/// A limit for each of the methods that `methods` selects, by itself.
struct MethodConcurrency {
  Selector methods;
  ConcurrencyLimit limit;
  /// Whether streaming methods are counted, too.
  bool count_streams = false;
};

struct ConcurrencyOptions {
  /// For the whole server, with classes of priority; none: no limit.
  std::optional<ConcurrencyLimit> server_limit = FixedLimitOptions{};
  /// See ConcurrencyLimiterOptions.
  double normal_share = 0.9;
  double sheddable_share = 0.7;
  /// Whether streams count for the server's limit. They last as long as clients
  /// like, so a limit that suits calls would soon be full of idle watchers;
  /// what bounds them is the number of streams of a connection.
  bool count_streams = false;
  /// Beside the server's limit; the first that selects a method counts. All
  /// classes may fill it.
  std::vector<MethodConcurrency> method_limits;
  /// When a refused client is told to try again, in [0, 1 h]; each is told a
  /// random time between half and one and a half of it, so that they do not all
  /// return at once.
  std::chrono::nanoseconds retry_delay = std::chrono::milliseconds(100);
};

/// Sheds calls when too many are in flight, before anything is spent on them:
/// UNAVAILABLE, reason CONCURRENCY_LIMIT, with RetryInfo and
/// `grpc-retry-pushback-ms` (docs/decisions/0006 says why that code).
///
/// An adaptive limit learns from unary calls that ended with OK or
/// DEADLINE_EXCEEDED; other errors are often quick, and a client that left says
/// nothing.
class GRPCCOMMON_EXPORT ConcurrencyInterceptor : public ServerInterceptor {
 public:
  /// `random` is uniform in [0, 1).
  /// Errors: kInvalidArgument, naming the option that is out of range.
  static absl::StatusOr<std::unique_ptr<ConcurrencyInterceptor>> Create(
      ConcurrencyOptions options, Random random = UniformRandom);

  std::string_view name() const override { return "concurrency"; }
  Stage stage() const override { return Stage::kProtect; }
  absl::StatusOr<Hooks> Register(const Method& method) override;
  absl::Status OnStart(ServerCall& call) override;
  void OnFinish(ServerCall& call, grpc::Status& status) override;

  /// For metrics; null where there is no limit.
  const ConcurrencyLimiter* server_limiter() const { return server_.get(); }
  const ConcurrencyLimiter* method_limiter(const Method& method) const;

 private:
  struct PerMethod {
    ConcurrencyLimiter* server = nullptr;
    std::unique_ptr<ConcurrencyLimiter> own;
    // What is answered while `own` is full.
    std::optional<Refusal> full;
  };

  ConcurrencyInterceptor(ConcurrencyOptions options,
                         std::unique_ptr<ConcurrencyLimiter> server,
                         Random random);

  absl::Status Refuse(ServerCall& call, const Refusal& full) const;

  const ConcurrencyOptions options_;
  const Random random_;
  const std::unique_ptr<ConcurrencyLimiter> server_;
  const Refusal server_full_;
  std::vector<PerMethod> methods_;
};

}  // namespace grpccommon
