// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/concurrency/deadline_interceptor.h"

#include <cmath>
#include <string>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/status/details.h"

namespace grpccommon {
namespace {

absl::Status TooLate(std::string_view reason, const std::string& message) {
  return WithReason(absl::DeadlineExceededError(message), reason, kErrorDomain);
}

// "12.3 ms"
std::string Milliseconds(std::chrono::nanoseconds duration) {
  const double tenths = std::round(static_cast<double>(duration.count()) / 1e5);
  return absl::StrCat(tenths / 10, " ms");
}

}  // namespace

absl::StatusOr<std::unique_ptr<DeadlineInterceptor>>
DeadlineInterceptor::Create(const DeadlineOptions& options) {
  absl::Status valid = CheckRange("margin", options.margin, 0, 100);
  valid.Update(CheckOptions(options.latency));
  if (!valid.ok()) return valid;
  return absl::WrapUnique(new DeadlineInterceptor(options));
}

absl::StatusOr<Hooks> DeadlineInterceptor::Register(const Method& method) {
  if (methods_.size() <= method.index) methods_.resize(method.index + 1);
  const bool judged = method.kind == CallKind::kUnary && options_.margin > 0;
  if (judged) {
    methods_[method.index] =
        std::make_unique<LatencyEstimate>(options_.latency);
  }
  return Hooks{.start = true, .finish = judged};
}

[[gnu::hot]] absl::Status DeadlineInterceptor::OnStart(ServerCall& call) {
  const std::optional<Clock::TimePoint> deadline = call.deadline();
  if (!deadline.has_value()) return absl::OkStatus();
  const Clock::TimePoint now = call.clock().Now();
  const Clock::Duration left = *deadline - now;
  if (left <= Clock::Duration::zero()) {
    return TooLate("DEADLINE_EXPIRED",
                   "the deadline passed before the call could start");
  }
  const LatencyEstimate* const mine = methods_[call.method().index].get();
  if (mine == nullptr) return absl::OkStatus();
  const std::optional<std::chrono::nanoseconds> needed = mine->Get(now);
  if (!needed.has_value() ||
      static_cast<double>(left.count()) >=
          options_.margin * static_cast<double>(needed->count())) {
    return absl::OkStatus();
  }
  return TooLate("DEADLINE_TOO_SHORT",
                 absl::StrCat("needs about ", Milliseconds(*needed), ", ",
                              Milliseconds(left), " left"));
}

[[gnu::hot]] void DeadlineInterceptor::OnFinish(ServerCall& call,
                                                grpc::Status& status) {
  if (!status.ok() || call.refused_by() != nullptr) return;
  const Clock::Duration duration = call.duration();
  methods_[call.method().index]->Record(duration - call.admission_time(),
                                        call.started_at() + duration);
}

std::optional<std::chrono::nanoseconds> DeadlineInterceptor::latency(
    const Method& method, Clock::TimePoint now) const {
  const LatencyEstimate* const known =
      method.index < methods_.size() ? methods_[method.index].get() : nullptr;
  return known != nullptr ? known->Get(now) : std::nullopt;
}

}  // namespace grpccommon
