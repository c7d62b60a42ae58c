// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/ratelimit/rate_limit_interceptor.h"

#include <string>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/call/pushback.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/status/details.h"
#include "ratelimit/caller_key.h"

namespace grpccommon {

// A rule, and the budgets under it.
struct RateLimitInterceptor::Budget {
  GcraRate rate;
  RateLimitKey key;
  // Keeps the callers of this rule apart from the same callers of others.
  std::uint64_t scope;
  // The one budget of kMethod.
  std::unique_ptr<Gcra> shared;
  // All but the delay.
  absl::Status refusal;
};

absl::StatusOr<std::unique_ptr<RateLimitInterceptor>>
RateLimitInterceptor::Create(RateLimitOptions options, const Clock& clock) {
  absl::StatusOr<std::unique_ptr<KeyedLimiter>> callers =
      KeyedLimiter::Create({.max_keys = options.max_keys}, clock);
  if (!callers.ok()) return callers.status();
  auto interceptor = absl::WrapUnique(
      new RateLimitInterceptor(std::move(options), *std::move(callers), clock));
  // A rule that is out of range is found now, not with the first method.
  const RateLimitOptions& kept = interceptor->options_;
  if (kept.server_rule.has_value()) {
    auto budget = interceptor->MakeBudget(*kept.server_rule, "server");
    if (!budget.ok()) return budget.status();
    interceptor->server_ = *std::move(budget);
  }
  if (kept.default_rule.has_value()) {
    const auto budget = interceptor->MakeBudget(*kept.default_rule, "default");
    if (!budget.ok()) return budget.status();
  }
  for (const RateLimitOverride& each : kept.overrides) {
    if (!each.rule.has_value()) continue;
    const auto budget = interceptor->MakeBudget(*each.rule, "override");
    if (!budget.ok()) return budget.status();
  }
  return interceptor;
}

RateLimitInterceptor::RateLimitInterceptor(
    RateLimitOptions options, std::unique_ptr<KeyedLimiter> callers,
    const Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      callers_(std::move(callers)) {}

RateLimitInterceptor::~RateLimitInterceptor() = default;

absl::StatusOr<std::unique_ptr<RateLimitInterceptor::Budget>>
RateLimitInterceptor::MakeBudget(const RateLimitRule& rule,
                                 std::string_view what) {
  const absl::StatusOr<GcraRate> rate =
      GcraRate::Create({.rate = rule.rate, .burst = rule.burst});
  if (!rate.ok()) {
    return absl::Status(rate.status().code(),
                        absl::StrCat("rate limit of ", ToAbsl(what), ": ",
                                     rate.status().message()));
  }
  const char* each = "all callers together";
  if (rule.key == RateLimitKey::kPrincipal) each = "each principal";
  if (rule.key == RateLimitKey::kPeer) each = "each address";
  auto budget = std::make_unique<Budget>(
      Budget{.rate = *rate,
             .key = rule.key,
             .scope = ++last_scope_,
             .refusal = Exhausted(
                 "RATE_LIMITED", what,
                 absl::StrCat("more than ", rule.rate, " calls a second, or ",
                              rule.burst, " at once, for ", each),
                 std::chrono::nanoseconds(0))});
  if (rule.key == RateLimitKey::kMethod) {
    budget->shared = std::make_unique<Gcra>(*rate, clock_);
  }
  return budget;
}

absl::StatusOr<Hooks> RateLimitInterceptor::Register(const Method& method) {
  std::optional<RateLimitRule> rule = method.policy.rate_limit;
  if (!rule.has_value()) rule = options_.default_rule;
  for (const RateLimitOverride& each : options_.overrides) {
    if (!each.methods(method)) continue;
    rule = each.rule;
    break;
  }
  if (methods_.size() <= method.index) methods_.resize(method.index + 1);
  if (rule.has_value()) {
    absl::StatusOr<std::unique_ptr<Budget>> budget =
        MakeBudget(*rule, method.path);
    if (!budget.ok()) return budget.status();
    methods_[method.index] = *std::move(budget);
  }
  return Hooks{.start = rule.has_value() || server_ != nullptr,
               .finish = false};
}

[[gnu::hot]] absl::Status RateLimitInterceptor::OnStart(ServerCall& call) {
  Budget* const mine = methods_[call.method().index].get();
  if (mine != nullptr) {
    absl::Status taken = Take(call, *mine);
    if (!taken.ok()) return taken;
  }
  return server_ != nullptr ? Take(call, *server_) : absl::OkStatus();
}

[[gnu::hot]] absl::Status RateLimitInterceptor::Take(ServerCall& call,
                                                     Budget& budget) {
  GcraDecision decision;
  if (budget.key == RateLimitKey::kMethod) {
    decision = budget.shared->TryTake();
  } else {
    const bool by_peer =
        budget.key == RateLimitKey::kPeer || call.principal().anonymous();
    const internal::CallerKey key =
        by_peer ? internal::KeyOfPeer(call.peer_address())
                : internal::KeyOfPrincipal(call.principal());
    decision = callers_->TryTake(budget.rate, budget.scope, key.view());
  }
  if (decision.allowed) return absl::OkStatus();
  // One call always fits into a burst, so there is a time at which it passes.
  const std::chrono::nanoseconds wait =
      decision.retry_after.value_or(decision.reset_after);
  AddRetryPushback(call, wait);
  return WithRetryDelay(budget.refusal, wait);
}

}  // namespace grpccommon
