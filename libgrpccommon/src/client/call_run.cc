// SPDX-License-Identifier: Apache-2.0
#include "client/call_run.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "call/client_call_driver.h"
#include "client/outgoing_metadata.h"
#include "client/service_client.h"
#include "google/protobuf/message.h"
#include "grpc/support/time.h"
#include "grpccommon/call/cancellation.h"
#include "grpccommon/call/metadata_keys.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/client/deadline_budget.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "grpcpp/server_context.h"

namespace grpccommon::internal {
namespace {

gpr_timespec ToCore(Clock::Duration from_now) {
  // A deadline may pass before its attempt starts, and gRPC ends the process
  // over a span that is negative by less than a second.
  if (from_now <= Clock::Duration::zero()) {
    return gpr_inf_past(GPR_CLOCK_MONOTONIC);
  }
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(from_now);
  gpr_timespec span;
  span.tv_sec = seconds.count();
  span.tv_nsec = static_cast<std::int32_t>((from_now - seconds).count());
  span.clock_type = GPR_TIMESPAN;
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), span);
}

void AddAll(const MetadataList& metadata, grpc::ClientContext& context) {
  for (const auto& [key, value] : metadata) context.AddMetadata(key, value);
}

// A trailer of the last answer; null if there is none.
const grpc::string_ref* FindTrailer(const grpc::ClientContext& context,
                                    std::string_view key) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find(grpc::string_ref(key.data(), key.size()));
  return found == trailers.end() ? nullptr : &found->second;
}

}  // namespace

CallRun::CallRun(ServiceClient& client, const ClientMethod& method,
                 const CallOptions& options,
                 const google::protobuf::MessageLite* request)
    : client_(client),
      method_(method),
      options_(options),
      call_(ClientCallDriver::Key()) {
  const ServiceResources& resources = client.resources();
  ClientCallDriver::Start(call_, method.method, resources.service,
                          options.parent, *resources.clock, resources.logger);
  ClientCallDriver::set_request(call_, request);
  ClientCallDriver::set_secure(call_, resources.endpoints->secure());
  ClientCallDriver::set_forward_credentials(call_, options.forward_credentials);
}

CallRun::~CallRun() = default;

absl::Status CallRun::SetDeadline() {
  WantedTime wanted{.timeout = options_.timeout,
                    .contract_timeout = method_.timeout,
                    .stream = method_.method.kind != CallKind::kUnary,
                    .unbounded = options_.unbounded};
  if (options_.parent != nullptr) {
    wanted.parent_remaining = options_.parent->remaining();
  }
  absl::StatusOr<Clock::Duration> budget =
      DeadlineBudget(wanted, client_.resources().options->deadline);
  // Interceptors see a refused call too, with some deadline.
  std::optional<Clock::TimePoint> deadline = call_.started_at();
  if (budget.ok()) {
    if (*budget == Clock::Duration::max()) {
      deadline.reset();
    } else {
      *deadline += *budget;
    }
  }
  ClientCallDriver::set_deadline(call_, deadline);
  plan_.emplace(options_.retry ? method_.attempts : method_.single_attempt,
                client_.resources().random, deadline);
  return budget.status();
}

bool CallRun::parent_cancelled() const {
  return options_.parent != nullptr && options_.parent->cancelled();
}

absl::Status CallRun::Begin() {
  absl::Status status = SetDeadline();
  if (client_.resources().closed.load(std::memory_order_seq_cst)) {
    status = WithReason(absl::UnavailableError("the client is shut down"),
                        "CLIENT_SHUT_DOWN", kErrorDomain);
  }
  status.Update(method_.status);
  if (method_.chain != nullptr && !method_.chain->empty()) {
    status.Update(method_.chain->Start(call_, started_hooks_));
  }
  if (!status.ok() || call_.answered()) return status;
  if ((options_.cancellation != nullptr &&
       options_.cancellation->cancelled()) ||
      parent_cancelled()) {
    return absl::CancelledError("the call was cancelled before it was sent");
  }
  for (const auto& [key, value] : options_.metadata) {
    call_.AddMetadata(key, value);
  }
  return call_.metadata().empty() ? absl::OkStatus()
                                  : CheckMetadata(call_.metadata());
}

const google::protobuf::MessageLite* CallRun::answer() const {
  return ClientCallDriver::answer(call_);
}

absl::StatusOr<bool> CallRun::TryPick(RunningAttempt& attempt) {
  EndpointSet& endpoints = *client_.resources().endpoints;
  std::array<const Endpoint*, 16> avoid;
  const std::size_t tried = std::min(tried_.size(), avoid.size());
  for (std::size_t i = 0; i < tried; ++i) avoid[i] = tried_[i].get();
  std::size_t count = tried;
  attempt.picked_at = client_.resources().clock->Now();
  // Nobody's failure: neither breaker nor endpoint is to learn of it.
  if (call_.deadline().has_value() && attempt.picked_at >= *call_.deadline()) {
    return absl::DeadlineExceededError(
        "the deadline passed before the call could be sent");
  }
  for (;;) {
    attempt.pick = endpoints.TryPick({.hash_key = options_.hash_key,
                                      .avoid = avoid.data(),
                                      .avoid_count = count,
                                      .now = attempt.picked_at});
    if (!attempt.pick) return false;
    const Endpoint* const picked = attempt.pick.endpoint.get();
    CircuitBreaker* const breaker = attempt.pick.endpoint->breaker();
    if (breaker == nullptr) return true;
    attempt.endpoint_permit = breaker->TryAcquire();
    if (attempt.endpoint_permit) return true;
    // Another one, unless this one came again for want of others.
    const auto* const refused = avoid.data() + tried;
    const auto* const end = avoid.data() + count;
    if (count == avoid.size() || std::find(refused, end, picked) != end) {
      return CircuitOpen(attempt.pick.endpoint->address(), *breaker);
    }
    avoid[count++] = picked;
  }
}

absl::Status CallRun::StartAttempt(RunningAttempt& attempt, bool hedged) {
  if (method_.breaker != nullptr) {
    attempt.permit = method_.breaker->TryAcquire();
    if (!attempt.permit) {
      return CircuitOpen(method_.breaker_key, *method_.breaker);
    }
  }
  ClientEndpoint& endpoint = *attempt.pick.endpoint;
  // What came before, a wait for a place or an endpoint, is not its doing.
  ClientCallDriver::StartAttempt(call_, attempt.info, endpoint.address(),
                                 hedged, attempt.picked_at);
  if (method_.chain != nullptr && method_.chain->wants_attempts()) {
    absl::Status status =
        method_.chain->AttemptStart(call_, attempt.info, attempt.started_hooks);
    status.Update(CheckMetadata(ClientCallDriver::metadata(attempt.info)));
    if (!status.ok()) {
      const grpc::Status refused = ToGrpcStatus(status);
      method_.chain->AttemptEnd(call_, attempt.info, refused,
                                attempt.started_hooks);
      return status;
    }
  }
  MakeContext(attempt);
  // Attempts beside each other are to be at different endpoints; of those one
  // after the other, only a failure is a reason, see EndAttempt.
  if (method_.attempts.hedging.has_value()) {
    tried_.push_back(attempt.pick.endpoint);
  }
  attempt.waiting_since = attempt.info.started_at();
  endpoint.OnStart(attempt.info.started_at());
  return absl::OkStatus();
}

void CallRun::MakeContext(RunningAttempt& attempt) {
  if (options_.parent != nullptr) {
    attempt.child_context = grpc::ClientContext::FromServerContext(
        options_.parent->context(), grpc::PropagationOptions()
                                        .disable_deadline_propagation()
                                        .disable_census_stats_propagation()
                                        .disable_census_tracing_propagation());
  } else {
    attempt.own_context.emplace();
  }
  grpc::ClientContext& context = attempt.context();
  const Clock::TimePoint now = attempt.info.started_at();
  // How long a stream lasts says nothing about the server, so an attempt's
  // time-out does not hold for it.
  const std::optional<Clock::TimePoint> deadline =
      method_.method.kind == CallKind::kUnary ? plan_->AttemptDeadline(now)
                                              : call_.deadline();
  if (deadline.has_value()) context.set_deadline(ToCore(*deadline - now));
  context.AddMetadata(std::string(metadata::kRequestId),
                      std::string(call_.request_id()));
  AddAll(call_.metadata(), context);
  AddAll(ClientCallDriver::metadata(attempt.info), context);
}

void CallRun::OnFirstMessage(RunningAttempt& attempt) {
  const Clock::TimePoint now = client_.resources().clock->Now();
  const Clock::Duration rtt = now - attempt.waiting_since;
  attempt.delivered = true;
  attempt.pick.endpoint->OnFirstMessage(rtt, now);
  attempt.permit.Record(Outcome::kSuccess, rtt);
  attempt.endpoint_permit.Record(Outcome::kSuccess, rtt);
  plan_->OnAttemptEnd({}, now);
}

void CallRun::OnMessageSent() {
  ClientCallDriver::CountSent(call_);
  if (method_.chain != nullptr && method_.method.client_streams()) {
    method_.chain->MessageSent(call_);
  }
}

void CallRun::OnMessageReceived() {
  ClientCallDriver::CountReceived(call_);
  if (method_.chain != nullptr && method_.method.server_streams()) {
    method_.chain->MessageReceived(call_);
  }
}

void RunningAttempt::BeforeRead(google::protobuf::MessageLite& message) {
  // Those of a lite runtime have no place for a mark.
  auto* const full = dynamic_cast<google::protobuf::Message*>(&message);
  if (full != nullptr) read_mark_.Put(*full);
}

bool RunningAttempt::AfterRead(bool ok) {
  // An interceptor may have answered, and parsed nothing.
  const bool untouched = read_mark_.Take();
  if (ok) return unreadable_;
  if (untouched) return false;
  unreadable_ = true;
  context().TryCancel();
  return true;
}

grpc::Status RunningAttempt::Judged(grpc::Status status) const {
  if (!unreadable_) return status;
  return ToGrpcStatus(WithReason(
      absl::InternalError("a message of the server's does not parse"),
      "MALFORMED_RESPONSE", kErrorDomain));
}

AttemptEnd CallRun::EndAttempt(RunningAttempt& attempt,
                               const grpc::Status& status, bool superseded) {
  attempt.ended = true;
  const ServiceResources& resources = client_.resources();
  const Clock::TimePoint now = resources.clock->Now();
  attempt.ended_at = now;
  const Clock::Duration rtt = now - attempt.waiting_since;
  const grpc::StatusCode code = status.error_code();
  Outcome outcome = Outcome::kIgnored;
  if (!superseded || code != grpc::StatusCode::CANCELLED) {
    outcome = resources.options->classifier
                  ? resources.options->classifier(code)
                  : OutcomeOf(code);
  }
  if (attempt.delivered) {
    resources.endpoints->OnStreamEnd(*attempt.pick.endpoint, outcome, now);
  } else {
    resources.endpoints->OnEnd(*attempt.pick.endpoint, outcome, rtt, now);
  }
  attempt.permit.Record(outcome, rtt);
  attempt.endpoint_permit.Record(outcome, rtt);
  if (method_.chain != nullptr && attempt.started_hooks > 0) {
    method_.chain->AttemptEnd(call_, attempt.info, status,
                              attempt.started_hooks);
  }

  AttemptEnd end{.code = code};
  if (status.ok()) return end;
  if (!method_.attempts.hedging.has_value()) {
    tried_.push_back(attempt.pick.endpoint);
  }
  end.deadline_passed = now >= deadline();
  const grpc::ClientContext& context = attempt.context();
  if (const grpc::string_ref* pushback =
          FindTrailer(context, metadata::kRetryPushback)) {
    end.pushback_ms =
        ParseRetryPushback({pushback->data(), pushback->length()});
  }
  end.certainly_not_processed =
      FindTrailer(context, metadata::kNotProcessed) != nullptr;
  return end;
}

grpc::Status CallRun::Finish(grpc::Status status, RunningAttempt* last) {
  client_.resources().totals.Add(!status.ok(), call_.attempts());
  if (last != nullptr) {
    ClientCallDriver::set_endpoint(call_, last->info.endpoint());
  }
  if (method_.chain != nullptr && started_hooks_ > 0) {
    method_.chain->Finish(call_, status, started_hooks_);
  }
  if (options_.info == nullptr) return status;
  CallInfo& info = *options_.info;
  info = CallInfo();
  info.attempts = call_.attempts();
  info.stop_reason = plan_->stop_reason();
  info.request_id = call_.request_id();
  info.duration = client_.resources().clock->Now() - call_.started_at();
  if (last != nullptr) {
    info.endpoint = last->info.endpoint();
    for (const auto& [key, value] :
         last->context().GetServerTrailingMetadata()) {
      info.trailing_metadata.emplace_back(
          std::string(key.data(), key.size()),
          std::string(value.data(), value.size()));
    }
  }
  return status;
}

}  // namespace grpccommon::internal
