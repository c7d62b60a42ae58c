// SPDX-License-Identifier: Apache-2.0
// Every server interceptor of the library, by the suite that it offers for
// those of others.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "grpccommon/accesslog/access_log.h"
#include "grpccommon/auth/api_key.h"
#include "grpccommon/auth/authenticate_interceptor.h"
#include "grpccommon/auth/authenticator.h"
#include "grpccommon/auth/authorize_interceptor.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/concurrency/concurrency_interceptor.h"
#include "grpccommon/concurrency/deadline_interceptor.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/log/sink.h"
#include "grpccommon/metrics/metrics_interceptor.h"
#include "grpccommon/metrics/metrics_registry.h"
#include "grpccommon/ratelimit/rate_limit_interceptor.h"
#include "grpccommon/testing/contract_cases.h"
#include "grpccommon/testing/contract_check.h"
#include "grpccommon/testing/fault_interceptor.h"
#include "grpccommon/testing/interceptor_conformance.h"
#include "grpccommon/tracing/batch_span_processor.h"
#include "grpccommon/tracing/span_exporter.h"
#include "grpccommon/tracing/tracer.h"
#include "grpccommon/tracing/tracing_interceptor.h"
#include "grpccommon/validate/validate_interceptor.h"
#include "testing/contracts.pb.h"

namespace grpccommon::testing {
namespace {

using namespace std::chrono_literals;
using google::protobuf::Message;
using testing_test::v1::NameRequest;
using testing_test::v1::OpenRequest;
using testing_test::v1::RulesRequest;

// A method of the test service, as a server registers it.
Method MethodOf(const std::string& name) {
  const google::protobuf::MethodDescriptor& descriptor =
      *OpenRequest::descriptor()
           ->file()
           ->FindServiceByName("ContractService")
           ->FindMethodByName(name);
  Method method = {
      .path = absl::StrCat("/", descriptor.service()->full_name(), "/", name),
      .service = descriptor.service()->full_name(),
      .name = name};
  if (descriptor.client_streaming()) {
    method.kind = descriptor.server_streaming() ? CallKind::kBidiStream
                                                : CallKind::kClientStream;
  } else if (descriptor.server_streaming()) {
    method.kind = CallKind::kServerStream;
  }
  method.policy = *CompilePolicy(descriptor);
  method.descriptor = &descriptor;
  return method;
}

const Message& Named(const std::string& name) {
  static auto& named = *new std::deque<NameRequest>();  // calls borrow them
  NameRequest& request = named.emplace_back();
  request.set_name(name);
  return request;
}

// One that keeps every rule.
const Message& ValidRules() {
  static const Message* const valid = [] {
    const ContractCases cases =
        *DeriveContractCases(*MethodOf("Rules").descriptor->service());
    auto* const request = new RulesRequest();
    for (const ContractCase& each : cases.cases) {
      if (each.kind == ContractCase::Kind::kValid &&
          each.method.name == "Rules") {
        request->ParseFromString(each.request);
        break;
      }
    }
    return request;
  }();
  return *valid;
}

std::function<FakeCallOptions()> CallsOf(const std::string& method,
                                         const Message& request) {
  return [method = MethodOf(method), &request] {
    return FakeCallOptions{.method = method, .request = &request};
  };
}

std::function<FakeCallOptions()> WithKey(const std::string& key) {
  return [key] { return FakeCallOptions{.metadata = {{"x-api-key", key}}}; };
}

FakeCallOptions OfPriority(CallPriority priority) {
  FakeCallOptions options;
  options.method.policy.priority = priority;
  return options;
}

// An interceptor with what it borrows.
template <typename Owned, typename Make>
std::shared_ptr<ServerInterceptor> Owning(std::unique_ptr<Owned> owned,
                                          const Make& make) {
  struct Both {
    std::unique_ptr<Owned> owned;
    std::shared_ptr<ServerInterceptor> interceptor;
  };
  auto both = std::make_shared<Both>();
  both->owned = std::move(owned);
  both->interceptor = make(*both->owned);
  return {both, both->interceptor.get()};
}

Scheduler& SharedScheduler() {
  static Scheduler* const scheduler = CreateScheduler().release();
  return *scheduler;
}

// Has lines written, and drops them.
class NoLines : public LogSink {
 public:
  void Write(std::string_view /*line*/) override {}
  void Flush() override {}
};

class NoSpans : public SpanExporter {
 public:
  absl::Status Export(const SpanResource& /*resource*/,
                      std::span<const SpanData> /*spans*/) override {
    return absl::OkStatus();
  }
};

Logger SomeLogger() { return Logger(std::make_shared<NoLines>(), "test"); }

std::shared_ptr<ServerInterceptor> MakeAccessLog() {
  return *AccessLog::Create({.payloads = {.requests = true,
                                          .replies = true,
                                          .stream_messages = true}},
                            SomeLogger());
}

std::shared_ptr<ServerInterceptor> MakeMetrics() {
  return Owning(std::make_unique<MetricsRegistry>(),
                [](MetricsRegistry& registry) {
                  return *MetricsInterceptor::Create(registry);
                });
}

std::shared_ptr<ServerInterceptor> MakeTracing() {
  struct Tracing {
    std::unique_ptr<BatchSpanProcessor> processor =
        *BatchSpanProcessor::Create(std::make_unique<NoSpans>());
    std::unique_ptr<Tracer> tracer =
        *Tracer::Create(processor.get(), {.sample_ratio = 1});
  };
  return Owning(std::make_unique<Tracing>(), [](const Tracing& tracing) {
    return std::make_shared<TracingInterceptor>(
        *tracing.tracer, TracingInterceptorOptions{.message_events = true});
  });
}

std::shared_ptr<ServerInterceptor> MakeAuthenticate(bool ignore) {
  return std::make_shared<AuthenticateInterceptor>(
      CreateApiKeyAuthenticator(*ApiKeySet::Create(
          {{.name = "ci", .sha256 = HashApiKey("the-key")}})),
      AuthenticateOptions{.ignore_bad_credentials = ignore,
                          .audit = SomeLogger()});
}

// Whose verdicts come later, from another thread.
std::shared_ptr<ServerInterceptor> MakeDelay() {
  return std::make_shared<FaultInterceptor>(Fault{.delay_share = 1},
                                            SharedScheduler());
}

std::shared_ptr<ServerInterceptor> MakeAuthorize() {
  return *AuthorizeInterceptor::Create({.audit = SomeLogger()},
                                       SharedScheduler());
}

FakeCallOptions AccessibleBy(AccessRule::Kind kind) {
  FakeCallOptions options;
  options.method.policy.access.kind = kind;
  return options;
}

const char kSpentPeer[] = "ipv4:10.255.255.255:1";

FakeCallOptions FromPeer(std::string peer) { return {.peer = std::move(peer)}; }

// Each call of somebody else.
FakeCallOptions FromNewPeer() {
  static std::atomic<int> last{0};
  const int peer = ++last;
  return FromPeer(absl::StrCat("ipv4:10.", peer >> 16, ".", (peer >> 8) & 0xff,
                               ".", peer & 0xff, ":1"));
}

// The server's budget of one peer is spent.
std::shared_ptr<ServerInterceptor> MakeRateLimit() {
  std::shared_ptr<RateLimitInterceptor> limit = *RateLimitInterceptor::Create(
      {.server_rule = RateLimitRule{.rate = 0.001, .key = RateLimitKey::kPeer},
       .max_keys = 50'000});
  const FakeCallOptions options = FromPeer(kSpentPeer);
  EXPECT_TRUE(limit->Register(options.method).ok());
  EXPECT_TRUE(limit->OnStart(*FakeCall(options)).ok());
  return limit;
}

constexpr int kPlaces = 10;

std::shared_ptr<ServerInterceptor> MakeConcurrency(ConcurrencyLimit limit) {
  return *ConcurrencyInterceptor::Create(
      {.server_limit = limit, .sheddable_share = 0.1, .count_streams = true});
}

// One call runs for ever, which takes the only place of sheddable ones.
std::shared_ptr<ServerInterceptor> MakeBusyConcurrency() {
  std::shared_ptr<ServerInterceptor> made =
      MakeConcurrency(FixedLimitOptions{kPlaces});
  const FakeCallOptions options = OfPriority(CallPriority::kSheddable);
  EXPECT_TRUE(made->Register(options.method).ok());
  EXPECT_TRUE(made->OnStart(*FakeCall(options)).ok());
  return made;
}

std::shared_ptr<ServerInterceptor> MakeMethodConcurrency() {
  return *ConcurrencyInterceptor::Create(
      {.server_limit = FixedLimitOptions{2 * kPlaces},
       .method_limits = {
           {.limit = FixedLimitOptions{kPlaces}, .count_streams = true}}});
}

FakeCallOptions Critical() { return OfPriority(CallPriority::kCritical); }

FakeCallOptions Plain() { return {}; }

INSTANTIATE_TEST_SUITE_P(
    Observing, InterceptorConformanceTest,
    ::testing::Values(
        ConformanceCase{.name = "access_log",
                        .make = MakeAccessLog,
                        .admitted = CallsOf("Rules", ValidRules())},
        ConformanceCase{.name = "access_log_of_streams",
                        .make = MakeAccessLog,
                        .admitted = CallsOf("Talk", Named("ada"))},
        ConformanceCase{
            .name = "metrics", .make = MakeMetrics, .admitted = Plain},
        ConformanceCase{
            .name = "tracing", .make = MakeTracing, .admitted = Plain},
        ConformanceCase{
            .name = "admitted_calls",
            .make = [] { return std::make_shared<AdmittedCalls>(); },
            .admitted = Plain}),
    ConformanceCaseName);

INSTANTIATE_TEST_SUITE_P(
    Protecting, InterceptorConformanceTest,
    ::testing::Values(
        ConformanceCase{
            .name = "concurrency",
            .make = MakeBusyConcurrency,
            .admitted = Critical,
            .refused = [] { return OfPriority(CallPriority::kSheddable); },
            .at_once = kPlaces - 1},
        ConformanceCase{.name = "adaptive_concurrency",
                        .make =
                            [] {
                              return MakeConcurrency(
                                  Gradient2Options{.initial_limit = kPlaces,
                                                   .min_limit = kPlaces,
                                                   .max_limit = kPlaces,
                                                   .window = 1ms,
                                                   .min_latency = 0ns});
                            },
                        .admitted = Critical,
                        .at_once = kPlaces},
        ConformanceCase{.name = "concurrency_of_methods",
                        .make = MakeMethodConcurrency,
                        .admitted = Critical,
                        .at_once = kPlaces},
        ConformanceCase{.name = "delay", .make = MakeDelay, .admitted = Plain}),
    ConformanceCaseName);

INSTANTIATE_TEST_SUITE_P(
    IdentifyingAndLimiting, InterceptorConformanceTest,
    ::testing::Values(
        ConformanceCase{.name = "authenticate",
                        .make = [] { return MakeAuthenticate(false); },
                        .admitted = WithKey("the-key"),
                        .refused = WithKey("another")},
        ConformanceCase{.name = "authenticate_who_comes",
                        .make = [] { return MakeAuthenticate(true); },
                        .admitted = WithKey("another")},
        ConformanceCase{.name = "rate_limit",
                        .make = MakeRateLimit,
                        .admitted = FromNewPeer,
                        .refused = [] { return FromPeer(kSpentPeer); }}),
    ConformanceCaseName);

INSTANTIATE_TEST_SUITE_P(
    Checking, InterceptorConformanceTest,
    ::testing::Values(
        ConformanceCase{
            .name = "authorize",
            .make = MakeAuthorize,
            .admitted = [] { return AccessibleBy(AccessRule::Kind::kPublic); },
            .refused =
                [] { return AccessibleBy(AccessRule::Kind::kAuthenticated); }},
        ConformanceCase{
            .name = "deadline",
            .make = [] { return *DeadlineInterceptor::Create(); },
            .admitted = [] { return FakeCallOptions{.timeout = 1h}; },
            .refused = [] { return FakeCallOptions{.timeout = -1s}; }},
        ConformanceCase{
            .name = "validate",
            .make = [] { return std::make_shared<ValidateInterceptor>(); },
            .admitted = CallsOf("Rules", ValidRules()),
            .refused = CallsOf("Rules", RulesRequest::default_instance())},
        ConformanceCase{
            .name = "validate_streams",
            .make = [] { return std::make_shared<ValidateInterceptor>(); },
            .admitted = CallsOf("Talk", Named("ada")),
            .refused = CallsOf("Talk", Named(""))},
        ConformanceCase{
            .name = "validate_sizes",
            .make = [] { return std::make_shared<ValidateInterceptor>(); },
            .admitted = CallsOf("Lenient", Named("ada")),
            .refused = CallsOf("Lenient", Named(std::string(64, 'a')))}),
    ConformanceCaseName);

}  // namespace
}  // namespace grpccommon::testing
