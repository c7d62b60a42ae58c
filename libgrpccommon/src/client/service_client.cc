// SPDX-License-Identifier: Apache-2.0
#include "client/service_client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/async_stream_call.h"
#include "client/async_unary_call.h"
#include "client/blocking_stream_call.h"
#include "client/blocking_unary_call.h"
#include "client/method_probe.h"
#include "google/protobuf/descriptor.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/call/contract.h"
#include "grpccommon/status/convert.h"

namespace grpccommon::internal {
namespace {

Method MethodOf(const google::protobuf::MethodDescriptor& descriptor) {
  Method method;
  method.service = descriptor.service()->full_name();
  method.name = descriptor.name();
  method.path = absl::StrCat("/", method.service, "/", method.name);
  method.kind = descriptor.client_streaming()
                    ? (descriptor.server_streaming() ? CallKind::kBidiStream
                                                     : CallKind::kClientStream)
                    : (descriptor.server_streaming() ? CallKind::kServerStream
                                                     : CallKind::kUnary);
  method.descriptor = &descriptor;
  return method;
}

// Of a method whose descriptor is not linked into the program.
Method MethodOf(std::string path, CallKind kind) {
  Method method;
  method.kind = kind;
  method.path = std::move(path);
  const std::size_t slash = method.path.rfind('/');
  if (slash != std::string::npos && slash > 0) {
    method.service = method.path.substr(1, slash - 1);
    method.name = method.path.substr(slash + 1);
  }
  return method;
}

}  // namespace

AsyncMessages::~AsyncMessages() = default;
BlockingStream::~BlockingStream() = default;
StreamReactions::~StreamReactions() = default;
AsyncStream::~AsyncStream() = default;
ClientCore::~ClientCore() = default;

ServiceClient::ServiceClient(std::shared_ptr<ServiceResources> resources,
                             ClientChain chain)
    : resources_(std::move(resources)), chain_(std::move(chain)) {
  const MutexLock lock(mutex_);
  tables_.push_back(std::make_unique<const Table>());
  table_.store(tables_.back().get(), std::memory_order_release);
}

ServiceClient::~ServiceClient() = default;

absl::StatusOr<std::shared_ptr<ServiceClient>> ServiceClient::Create(
    const char* grpc_service, std::shared_ptr<ServiceResources> resources,
    ClientChain chain) {
  std::shared_ptr<ServiceClient> client(
      new ServiceClient(std::move(resources), std::move(chain)));
  const google::protobuf::ServiceDescriptor* const descriptor =
      google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
          grpc_service);
  if (descriptor == nullptr) return client;
  const MutexLock lock(client->mutex_);
  for (int i = 0; i < descriptor->method_count(); ++i) {
    Method method = MethodOf(*descriptor->method(i));
    absl::StatusOr<MethodPolicy> policy = CompilePolicy(*descriptor->method(i));
    if (!policy.ok()) return policy.status();
    method.policy = *std::move(policy);
    const ClientMethod& added = client->AddMethod(std::move(method));
    if (!added.status.ok()) return added.status;
  }
  return client;
}

ClientMethod& ServiceClient::AddMethod(Method method) {
  method.index = methods_.size();
  methods_.push_back(std::make_unique<ClientMethod>(std::move(method)));
  ClientMethod& added = *methods_.back();
  added.status = Prepare(added);
  return added;
}

absl::Status ServiceClient::Prepare(ClientMethod& prepared) {
  const ClientOptions& options = *resources_->options;
  const Method& method = prepared.method;
  const auto named = [&method](const absl::Status& status) {
    return absl::Status(
        status.code(),
        absl::StrCat(method.path, ": ",
                     ToAbsl(std::string_view(status.message().data(),
                                             status.message().size()))));
  };

  absl::StatusOr<std::unique_ptr<const MethodChain>> chain =
      chain_.Compile(method);
  if (!chain.ok()) return chain.status();
  prepared.chain = *std::move(chain);

  MethodOverride special;
  for (const MethodOverride& candidate : options.methods) {
    if (!candidate.methods(method)) continue;
    special = candidate;
    break;
  }
  prepared.timeout =
      special.timeout.has_value() ? special.timeout : method.policy.timeout;
  const Idempotency idempotency =
      special.idempotency.value_or(method.policy.idempotency);

  AttemptPolicy& attempts = prepared.attempts;
  attempts.idempotent = idempotency != Idempotency::kUnknown;
  attempts.allowance = resources_->retry_allowance.get();
  if (special.retry.has_value()) {
    attempts.retry = *special.retry;
  } else if (method.policy.retry.has_value()) {
    absl::StatusOr<RetryPolicy> retry =
        CompileRetryPolicy(*method.policy.retry, options.retry);
    if (!retry.ok()) return named(retry.status());
    attempts.retry = *std::move(retry);
  } else {
    attempts.retry = options.retry;
  }
  if (special.hedging.has_value() && method.kind == CallKind::kUnary) {
    attempts.hedging = special.hedging;
    if (!special.hedging->delay.has_value()) {
      absl::StatusOr<std::unique_ptr<LatencyPercentile>> latency =
          LatencyPercentile::Create(
              {.quantile =
                   std::clamp(1 - special.hedging->max_extra, 0.01, 0.999)});
      if (!latency.ok()) return named(latency.status());
      prepared.latency = *std::move(latency);
      attempts.latency = prepared.latency.get();
    }
    absl::StatusOr<std::unique_ptr<RetryBudget>> budget =
        RetryBudget::Create({.retry_share = special.hedging->max_extra,
                             .min_retries_per_second = 0});
    if (!budget.ok()) return named(budget.status());
    prepared.hedge_budget = *std::move(budget);
    attempts.hedge_allowance = prepared.hedge_budget.get();
  }
  if (absl::Status status = CheckPolicy(attempts); !status.ok()) {
    return named(status);
  }
  prepared.single_attempt = attempts;
  prepared.single_attempt.hedging.reset();
  prepared.single_attempt.retry.max_attempts = 1;

  if (resources_->breakers != nullptr) {
    prepared.breaker_key = options.breaker->scope == BreakerScope::kService
                               ? resources_->service
                               : method.path;
    absl::StatusOr<std::shared_ptr<CircuitBreaker>> breaker =
        resources_->breakers->Get(prepared.breaker_key);
    if (!breaker.ok()) return breaker.status();
    prepared.breaker = *std::move(breaker);
  }
  return absl::OkStatus();
}

const ClientMethod* ServiceClient::Find(const MethodKey& key) const {
  for (const auto& [known, method] : *table_.load(std::memory_order_acquire)) {
    if (known == key) return method;
  }
  return nullptr;
}

const ClientMethod& ServiceClient::Add(
    const MethodKey& key, CallKind kind,
    const std::function<
        void(const std::shared_ptr<grpc::ChannelInterface>& channel)>& call) {
  std::string path = ProbePath(call);
  const MutexLock lock(mutex_);
  if (const ClientMethod* const known = Find(key)) return *known;
  const auto named =
      std::find_if(methods_.begin(), methods_.end(),
                   [&path](const auto& m) { return m->method.path == path; });
  const ClientMethod& method = named != methods_.end()
                                   ? **named
                                   : AddMethod(MethodOf(std::move(path), kind));
  auto table = std::make_unique<Table>(*tables_.back());
  table->emplace_back(key, &method);
  table_.store(table.get(), std::memory_order_release);
  tables_.push_back(std::move(table));
  return method;
}

absl::Status ServiceClient::Call(const ClientMethod& method,
                                 const CallOptions& options,
                                 const google::protobuf::MessageLite& request,
                                 google::protobuf::MessageLite& response,
                                 MoveMessage move) {
  if (method.attempts.hedging.has_value() && options.retry) {
    return CallAndWait(*this, method, options, request, response, move);
  }
  grpc::Status status =
      BlockingUnaryCall(*this, method, options, request).Run(response);
  return status.ok() ? absl::OkStatus() : FromGrpcStatus(status);
}

void ServiceClient::CallAsync(const ClientMethod& method, CallOptions options,
                              std::unique_ptr<AsyncMessages> messages) {
  AsyncUnaryCall::Start(
      std::static_pointer_cast<ServiceClient>(shared_from_this()), method,
      std::move(options), std::move(messages));
}

StreamInputs ServiceClient::InputsOf(
    CallOptions options, const google::protobuf::MessageLite* request,
    google::protobuf::MessageLite* response) {
  StreamInputs inputs{
      .client = std::static_pointer_cast<ServiceClient>(shared_from_this()),
      .options = std::move(options),
      .response = response};
  if (request != nullptr) {
    std::unique_ptr<google::protobuf::MessageLite> copy(request->New());
    copy->CheckTypeAndMergeFrom(*request);
    inputs.request = std::move(copy);
  }
  return inputs;
}

std::unique_ptr<BlockingStream> ServiceClient::Open(
    const ClientMethod& method, CallOptions options,
    const google::protobuf::MessageLite* request,
    google::protobuf::MessageLite* response) {
  return std::make_unique<BlockingStreamCall>(
      InputsOf(std::move(options), request, response), method);
}

AsyncStream* ServiceClient::Open(const ClientMethod& method,
                                 CallOptions options,
                                 const google::protobuf::MessageLite* request,
                                 google::protobuf::MessageLite* response,
                                 std::unique_ptr<StreamReactions> reactions) {
  return AsyncStreamCall::Open(InputsOf(std::move(options), request, response),
                               method, std::move(reactions));
}

void RunBounded(std::size_t count, std::size_t max_parallel,
                const std::function<void(std::size_t index,
                                         std::function<void()> ended)>& start) {
  struct State {
    Mutex mutex;
    CondVar changed;
    std::size_t running ABSL_GUARDED_BY(mutex) = 0;
  };
  const auto state = std::make_shared<State>();
  const std::size_t most = std::clamp<std::size_t>(max_parallel, 1, 10'000);
  const auto wait_below = [&state](std::size_t limit) {
    const MutexLock lock(state->mutex);
    while (state->running >= limit) state->changed.Wait(state->mutex);
  };
  for (std::size_t i = 0; i < count; ++i) {
    wait_below(most);
    {
      const MutexLock lock(state->mutex);
      ++state->running;
    }
    start(i, [state] {
      const MutexLock lock(state->mutex);
      --state->running;
      state->changed.NotifyOne();
    });
  }
  wait_below(1);
}

}  // namespace grpccommon::internal
