// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/concurrency/concurrency_interceptor.h"

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/call/pushback.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/status/details.h"

namespace grpccommon {

namespace {

// What is refused while `what` is full.
Refusal Full(std::string_view what) {
  return Refusal(
      Overloaded("CONCURRENCY_LIMIT",
                 absl::StrCat(ToAbsl(what), " has too many calls in flight"),
                 std::chrono::nanoseconds(0)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ConcurrencyInterceptor>>
ConcurrencyInterceptor::Create(ConcurrencyOptions options, Random random) {
  absl::Status valid =
      CheckRange("retry_delay", options.retry_delay,
                 std::chrono::nanoseconds(0), std::chrono::hours(1));
  ConcurrencyLimiterOptions server_options = {
      .normal_share = options.normal_share,
      .sheddable_share = options.sheddable_share};
  if (options.server_limit.has_value()) {
    server_options.limit = *options.server_limit;
  }
  absl::StatusOr<std::unique_ptr<ConcurrencyLimiter>> server =
      ConcurrencyLimiter::Create(server_options);
  valid.Update(server.status());
  for (const MethodConcurrency& each : options.method_limits) {
    valid.Update(ConcurrencyLimiter::Create({.limit = each.limit}).status());
  }
  if (!valid.ok()) return valid;
  if (!options.server_limit.has_value()) *server = nullptr;
  return absl::WrapUnique(new ConcurrencyInterceptor(
      std::move(options), *std::move(server), std::move(random)));
}

ConcurrencyInterceptor::ConcurrencyInterceptor(
    ConcurrencyOptions options, std::unique_ptr<ConcurrencyLimiter> server,
    Random random)
    : options_(std::move(options)),
      random_(std::move(random)),
      server_(std::move(server)),
      server_full_(Full("the server")) {}

absl::StatusOr<Hooks> ConcurrencyInterceptor::Register(const Method& method) {
  if (methods_.size() <= method.index) methods_.resize(method.index + 1);
  PerMethod& mine = methods_[method.index];
  const bool streams = method.kind != CallKind::kUnary;
  if (!streams || options_.count_streams) mine.server = server_.get();
  for (const MethodConcurrency& each : options_.method_limits) {
    if (!each.methods(method)) continue;
    if (!streams || each.count_streams) {
      absl::StatusOr<std::unique_ptr<ConcurrencyLimiter>> own =
          ConcurrencyLimiter::Create({.limit = each.limit});
      if (!own.ok()) return own.status();
      mine.own = *std::move(own);
      mine.full = Full(method.path);
    }
    break;
  }
  const bool limited = mine.server != nullptr || mine.own != nullptr;
  return Hooks{.start = limited, .finish = limited};
}

[[gnu::hot]] absl::Status ConcurrencyInterceptor::OnStart(ServerCall& call) {
  const PerMethod& mine = methods_[call.method().index];
  if (mine.server != nullptr &&
      !mine.server->TryEnter(call.method().policy.priority)) {
    return Refuse(call, server_full_);
  }
  if (mine.own != nullptr && !mine.own->TryEnter()) {
    if (mine.server != nullptr) mine.server->Leave();
    return Refuse(call, *mine.full);
  }
  return absl::OkStatus();
}

absl::Status ConcurrencyInterceptor::Refuse(ServerCall& call,
                                            const Refusal& full) const {
  const std::chrono::nanoseconds delay(static_cast<std::int64_t>(
      static_cast<double>(options_.retry_delay.count()) * (0.5 + random_())));
  return RefuseFor(call, full, delay);
}

[[gnu::hot]] void ConcurrencyInterceptor::OnFinish(ServerCall& call,
                                                   grpc::Status& status) {
  // What it refused itself never took a place; every other call holds one.
  if (call.refused_by() == this) return;
  const PerMethod& mine = methods_[call.method().index];
  const bool telling = call.refused_by() == nullptr &&
                       call.method().kind == CallKind::kUnary &&
                       (status.ok() || status.error_code() ==
                                           grpc::StatusCode::DEADLINE_EXCEEDED);
  const auto leave = [&](ConcurrencyLimiter& limiter) {
    if (telling && limiter.adaptive()) {
      const Clock::Duration duration = call.duration();
      limiter.Leave(duration, call.started_at() + duration);
    } else {
      limiter.Leave();
    }
  };
  if (mine.own != nullptr) leave(*mine.own);
  if (mine.server != nullptr) leave(*mine.server);
}

const ConcurrencyLimiter* ConcurrencyInterceptor::method_limiter(
    const Method& method) const {
  return method.index < methods_.size() ? methods_[method.index].own.get()
                                        : nullptr;
}

}  // namespace grpccommon
