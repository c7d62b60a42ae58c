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
#include "grpccommon/status/refusal.h"
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
  // As AdditionalRateLimit::key, owned by the options; null: by `key` above.
  const std::function<std::string(const google::protobuf::Message&)>*
      of_request = nullptr;
  Refusal refusal;
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
  for (const AdditionalRateLimit& each : kept.additional) {
    const auto budget = interceptor->MakeBudget(each.rule, "additional");
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
                                 std::string_view what, std::string_view each) {
  const absl::StatusOr<GcraRate> rate =
      GcraRate::Create({.rate = rule.rate, .burst = rule.burst});
  if (!rate.ok()) {
    return absl::Status(rate.status().code(),
                        absl::StrCat("rate limit of ", ToAbsl(what), ": ",
                                     rate.status().message()));
  }
  if (each.empty()) {
    each = "all callers together";
    if (rule.key == RateLimitKey::kPrincipal) each = "each principal";
    if (rule.key == RateLimitKey::kPeer) each = "each address";
  }
  auto budget = std::make_unique<Budget>(
      Budget{.rate = *rate,
             .key = rule.key,
             .scope = ++last_scope_,
             .refusal = Refusal(Exhausted(
                 "RATE_LIMITED", what,
                 absl::StrCat("more than ", rule.rate, " calls a second, or ",
                              rule.burst, " at once, for ", ToAbsl(each)),
                 std::chrono::nanoseconds(0)))});
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
  std::vector<std::unique_ptr<Budget>>& budgets = methods_[method.index];
  if (rule.has_value()) {
    absl::StatusOr<std::unique_ptr<Budget>> budget =
        MakeBudget(*rule, method.path);
    if (!budget.ok()) return budget.status();
    budgets.push_back(*std::move(budget));
  }
  for (const AdditionalRateLimit& each : options_.additional) {
    if (!each.methods(method)) continue;
    RateLimitRule keyed = each.rule;
    // Of its own kind, and no budget that all share.
    if (each.key != nullptr) keyed.key = RateLimitKey::kPrincipal;
    absl::StatusOr<std::unique_ptr<Budget>> budget =
        MakeBudget(keyed, method.path,
                   each.key != nullptr ? "each of those it names" : "");
    if (!budget.ok()) return budget.status();
    if (each.key != nullptr) (*budget)->of_request = &each.key;
    budgets.push_back(*std::move(budget));
  }
  return Hooks{.start = !budgets.empty() || server_ != nullptr,
               .finish = false};
}

[[gnu::hot]] absl::Status RateLimitInterceptor::OnStart(ServerCall& call) {
  for (const std::unique_ptr<Budget>& budget : methods_[call.method().index]) {
    absl::Status taken = Take(call, *budget);
    if (!taken.ok()) return taken;
  }
  return server_ != nullptr ? Take(call, *server_) : absl::OkStatus();
}

[[gnu::hot]] GcraDecision RateLimitInterceptor::Decide(ServerCall& call,
                                                       Budget& budget) {
  if (budget.shared != nullptr) return budget.shared->TryTake();
  if (budget.of_request != nullptr) {
    if (call.request() == nullptr) return {.allowed = true};
    const std::string key = (*budget.of_request)(*call.request());
    if (key.empty()) return {.allowed = true};
    return callers_->TryTake(budget.rate, budget.scope, key);
  }
  const bool by_peer =
      budget.key == RateLimitKey::kPeer || call.principal().anonymous();
  const internal::CallerKey key =
      by_peer ? internal::KeyOfPeer(call.peer_address())
              : internal::KeyOfPrincipal(call.principal());
  return callers_->TryTake(budget.rate, budget.scope, key.view());
}

[[gnu::hot]] absl::Status RateLimitInterceptor::Take(ServerCall& call,
                                                     Budget& budget) {
  const GcraDecision decision = Decide(call, budget);
  if (decision.allowed) return absl::OkStatus();
  // One call always fits into a burst, so there is a time at which it passes.
  const std::chrono::nanoseconds wait =
      decision.retry_after.value_or(decision.reset_after);
  return RefuseFor(call, budget.refusal, wait);
}

}  // namespace grpccommon
