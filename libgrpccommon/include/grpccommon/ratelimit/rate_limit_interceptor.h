// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/contract.h"
#include "grpccommon/call/selector.h"
#include "grpccommon/call/server_interceptor.h"
#include "grpccommon/ratelimit/gcra.h"
#include "grpccommon/ratelimit/keyed_limiter.h"

namespace google::protobuf {
class Message;
}

namespace grpccommon {

/// A rule for the methods that `methods` selects; none lifts the limit.
struct RateLimitOverride {
  Selector methods;
  std::optional<RateLimitRule> rule;
};

/// A rule beside the others, for what a caller is not: all callers of a method
/// besides each of them, or what their requests are about.
struct AdditionalRateLimit {
  Selector methods;
  RateLimitRule rule;
  /// What shares a budget, of a request: the account that it names, say. In
  /// place of `rule.key`, and of unary and server-streaming calls only. Empty:
  /// the call takes of no budget. Neither kept nor told: only its hash is.
  std::function<std::string(const google::protobuf::Message& request)> key;
};

struct RateLimitOptions {
  /// For methods whose contract has no `rate_limit`.
  std::optional<RateLimitRule> default_rule;
  /// Before the contract and the default; the first that selects a method
  /// counts. Each method has a budget of its own.
  std::vector<RateLimitOverride> overrides;
  /// All that select a method count, each with a budget for each method.
  std::vector<AdditionalRateLimit> additional;
  /// One more budget, for all methods together; with `kMethod` one for the
  /// whole server.
  std::optional<RateLimitRule> server_rule;
  /// Callers remembered at the same time, of all rules together; see
  /// KeyedLimiterOptions.
  std::int64_t max_keys = 1'000'000;
};

/// Refuses a caller's calls above its rate: RESOURCE_EXHAUSTED, reason
/// RATE_LIMITED, with RetryInfo, QuotaFailure and `grpc-retry-pushback-ms`. A
/// refused call takes nothing of the budget that refused it.
///
/// A principal is its issuer and subject; an anonymous caller counts as its
/// peer. A peer is its address without the port; of an IPv6 address the first
/// 64 bits count, since a single customer has at least that many addresses, and
/// an IPv4 address mapped into IPv6 is that IPv4 address. Behind a proxy all
/// peers are the proxy: key by principal there.
///
/// A call takes of its method's budget first, then of the additional ones in
/// their order, and then of the server's; if a later one refuses, the former
/// have been charged.
class GRPCCOMMON_EXPORT RateLimitInterceptor : public ServerInterceptor {
 public:
  /// `clock` is borrowed and must outlive the interceptor.
  /// Errors: kInvalidArgument, naming the option that is out of range.
  static absl::StatusOr<std::unique_ptr<RateLimitInterceptor>> Create(
      RateLimitOptions options, const Clock& clock = SteadyClock());

  ~RateLimitInterceptor() override;

  std::string_view name() const override { return "rate_limit"; }
  Stage stage() const override { return Stage::kLimit; }
  absl::StatusOr<Hooks> Register(const Method& method) override;
  absl::Status OnStart(ServerCall& call) override;

  /// Callers remembered, callers displaced by others, and the memory they take.
  const KeyedLimiter& callers() const { return *callers_; }

 private:
  struct Budget;
  RateLimitInterceptor(RateLimitOptions options,
                       std::unique_ptr<KeyedLimiter> callers,
                       const Clock& clock);

  absl::StatusOr<std::unique_ptr<Budget>> MakeBudget(
      const RateLimitRule& rule, std::string_view what,
      std::string_view each = "");
  absl::Status Take(ServerCall& call, Budget& budget);
  GcraDecision Decide(ServerCall& call, Budget& budget);

  const RateLimitOptions options_;
  const Clock& clock_;
  const std::unique_ptr<KeyedLimiter> callers_;
  std::uint64_t last_scope_ = 0;
  std::unique_ptr<Budget> server_;
  // By method index, in the order in which they are taken of.
  std::vector<std::vector<std::unique_ptr<Budget>>> methods_;
};

}  // namespace grpccommon
