// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/metrics/metrics_interceptor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "grpccommon/testing/fake_call.h"
#include "grpccommon/testing/fake_clock.h"

namespace grpccommon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using std::chrono_literals::operator""ms;

class Refuser : public ServerInterceptor {
 public:
  Refuser(std::string name, Stage stage)
      : name_(std::move(name)), stage_(stage) {}
  std::string_view name() const override { return name_; }
  Stage stage() const override { return stage_; }

 private:
  const std::string name_;
  const Stage stage_;
};

class MetricsInterceptorTest : public ::testing::Test {
 protected:
  static Method MakeMethod(std::string name, CallKind kind, std::size_t index) {
    return {.path = "/test.v1.Echo/" + name,
            .service = "test.v1.Echo",
            .name = name,
            .kind = kind,
            .index = index};
  }

  void Finish(testing::FakeCall& call, grpc::StatusCode code) {
    grpc::Status status(code, "");
    interceptor_->OnFinish(*call, status);
  }

  // One line of the exposition about a method of test.v1.Echo.
  static std::string Line(const std::string& metric, const std::string& type,
                          const std::string& method, int value) {
    return "\n" + metric + "{grpc_type=\"" + type +
           "\",grpc_service=\"test.v1.Echo\",grpc_method=\"" + method + "\"} " +
           std::to_string(value) + "\n";
  }
  static std::string HandledLine(const std::string& method,
                                 const std::string& code, int value) {
    return "\ngrpc_server_handled_total{grpc_type=\"unary\",grpc_service="
           "\"test.v1.Echo\",grpc_method=\"" +
           method + "\",grpc_code=\"" + code + "\"} " + std::to_string(value) +
           "\n";
  }

  testing::FakeClock clock_;
  MetricsRegistry registry_{{.process_metrics = false, .logger = Logger()}};
  std::unique_ptr<MetricsInterceptor> interceptor_ =
      *MetricsInterceptor::Create(registry_);
  const Method unary_ = MakeMethod("Say", CallKind::kUnary, 0);
};

TEST_F(MetricsInterceptorTest, EverySeriesIsThereFromTheStart) {
  ASSERT_TRUE(interceptor_->Register(unary_).ok());
  const std::string text = registry_.Expose();
  for (const char* code :
       {"OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded",
        "NotFound", "AlreadyExists", "PermissionDenied", "ResourceExhausted",
        "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented",
        "Internal", "Unavailable", "DataLoss", "Unauthenticated"}) {
    EXPECT_THAT(text, HasSubstr(HandledLine("Say", code, 0)));
  }
  for (const char* metric :
       {"grpc_server_started_total", "grpc_server_msg_received_total",
        "grpc_server_msg_sent_total", "grpc_server_handling_seconds_count"}) {
    EXPECT_THAT(text, HasSubstr(Line(metric, "unary", "Say", 0)));
  }
  EXPECT_THAT(text, HasSubstr("grpccommon_server_in_flight{grpc_service=\"test."
                              "v1.Echo\",grpc_method=\"Say\"} 0\n"));
}

TEST_F(MetricsInterceptorTest, CountsEachCodeUnderItsGoName) {
  ASSERT_TRUE(interceptor_->Register(unary_).ok());
  // More calls of each code than of the one before, so that no two mix up.
  for (int code = 0; code <= 16; ++code) {
    for (int i = 0; i <= code; ++i) {
      testing::FakeCall call({.method = unary_, .clock = &clock_});
      ASSERT_TRUE(interceptor_->OnStart(*call).ok());
      Finish(call, static_cast<grpc::StatusCode>(code));
    }
  }
  const std::string text = registry_.Expose();
  EXPECT_THAT(text,
              AllOf(HasSubstr(HandledLine("Say", "OK", 1)),
                    HasSubstr(HandledLine("Say", "Canceled", 2)),
                    HasSubstr(HandledLine("Say", "Unknown", 3)),
                    HasSubstr(HandledLine("Say", "InvalidArgument", 4)),
                    HasSubstr(HandledLine("Say", "DeadlineExceeded", 5)),
                    HasSubstr(HandledLine("Say", "NotFound", 6)),
                    HasSubstr(HandledLine("Say", "AlreadyExists", 7)),
                    HasSubstr(HandledLine("Say", "PermissionDenied", 8)),
                    HasSubstr(HandledLine("Say", "ResourceExhausted", 9))));
  EXPECT_THAT(text,
              AllOf(HasSubstr(HandledLine("Say", "FailedPrecondition", 10)),
                    HasSubstr(HandledLine("Say", "Aborted", 11)),
                    HasSubstr(HandledLine("Say", "OutOfRange", 12)),
                    HasSubstr(HandledLine("Say", "Unimplemented", 13)),
                    HasSubstr(HandledLine("Say", "Internal", 14)),
                    HasSubstr(HandledLine("Say", "Unavailable", 15)),
                    HasSubstr(HandledLine("Say", "DataLoss", 16)),
                    HasSubstr(HandledLine("Say", "Unauthenticated", 17))));
}

TEST_F(MetricsInterceptorTest, ACodeThatGrpcDoesNotKnowCountsAsUnknown) {
  ASSERT_TRUE(interceptor_->Register(unary_).ok());
  for (const int code : {17, 31, -1}) {
    testing::FakeCall call({.method = unary_, .clock = &clock_});
    ASSERT_TRUE(interceptor_->OnStart(*call).ok());
    Finish(call, static_cast<grpc::StatusCode>(code));
  }
  EXPECT_THAT(registry_.Expose(), HasSubstr(HandledLine("Say", "Unknown", 3)));
}

TEST_F(MetricsInterceptorTest, MeasuresAUnaryCall) {
  ASSERT_TRUE(interceptor_->Register(unary_).ok());
  testing::FakeCall call({.method = unary_, .clock = &clock_});
  ASSERT_TRUE(interceptor_->OnStart(*call).ok());
  EXPECT_THAT(
      registry_.Expose(),
      AllOf(HasSubstr(Line("grpc_server_started_total", "unary", "Say", 1)),
            HasSubstr("grpccommon_server_in_flight{grpc_service=\"test.v1."
                      "Echo\",grpc_method=\"Say\"} 1\n")));
  call.CountReceived(10);
  call.CountSent(20);
  clock_.Advance(7ms);
  Finish(call, grpc::StatusCode::OK);

  const std::string text = registry_.Expose();
  EXPECT_THAT(
      text,
      AllOf(
          HasSubstr(Line("grpc_server_msg_received_total", "unary", "Say", 1)),
          HasSubstr(Line("grpc_server_msg_sent_total", "unary", "Say", 1)),
          HasSubstr("\"Say\"} 0.007\n"),
          HasSubstr("grpccommon_server_in_flight{grpc_service=\"test.v1.Echo\","
                    "grpc_method=\"Say\"} 0\n")));
  const std::string bucket =
      "grpc_server_handling_seconds_bucket{grpc_type=\"unary\",grpc_service="
      "\"test.v1.Echo\",grpc_method=\"Say\",le=";
  EXPECT_THAT(text, AllOf(HasSubstr(bucket + "\"0.005\"} 0\n"),
                          HasSubstr(bucket + "\"0.01\"} 1\n"),
                          HasSubstr(bucket + "\"+Inf\"} 1\n")));
}

TEST_F(MetricsInterceptorTest, TheMessagesOfAStreamShowWhileItRuns) {
  const Method bidi = MakeMethod("Chat", CallKind::kBidiStream, 3);
  const absl::StatusOr<Hooks> hooks = interceptor_->Register(bidi);
  ASSERT_TRUE(hooks.ok());
  EXPECT_TRUE(hooks->start && hooks->finish && hooks->received && hooks->sent);
  testing::FakeCall call({.method = bidi, .clock = &clock_});
  ASSERT_TRUE(interceptor_->OnStart(*call).ok());
  for (int i = 0; i < 3; ++i) {
    call.CountReceived(1);
    ASSERT_TRUE(interceptor_->OnReceived(*call, nullptr).ok());
  }
  call.CountSent(1);
  interceptor_->OnSent(*call, nullptr);
  const auto expected = AllOf(
      HasSubstr(
          Line("grpc_server_msg_received_total", "bidi_stream", "Chat", 3)),
      HasSubstr(Line("grpc_server_msg_sent_total", "bidi_stream", "Chat", 1)));
  EXPECT_THAT(registry_.Expose(), expected);
  // And are not counted again when it ends.
  Finish(call, grpc::StatusCode::OK);
  EXPECT_THAT(registry_.Expose(), expected);
}

TEST_F(MetricsInterceptorTest, TheSingleMessageOfAStreamCountsWhenItEnds) {
  const Method client = MakeMethod("Upload", CallKind::kClientStream, 0);
  const Method server = MakeMethod("Watch", CallKind::kServerStream, 1);
  const Hooks client_hooks = *interceptor_->Register(client);
  EXPECT_TRUE(client_hooks.received);
  EXPECT_FALSE(client_hooks.sent);
  const Hooks server_hooks = *interceptor_->Register(server);
  EXPECT_FALSE(server_hooks.received);
  EXPECT_TRUE(server_hooks.sent);
  const Hooks unary_hooks =
      *interceptor_->Register(MakeMethod("Say", CallKind::kUnary, 2));
  EXPECT_FALSE(unary_hooks.received);
  EXPECT_FALSE(unary_hooks.sent);

  testing::FakeCall upload({.method = client, .clock = &clock_});
  ASSERT_TRUE(interceptor_->OnStart(*upload).ok());
  upload.CountSent(1);
  Finish(upload, grpc::StatusCode::OK);
  testing::FakeCall watch({.method = server, .clock = &clock_});
  ASSERT_TRUE(interceptor_->OnStart(*watch).ok());
  watch.CountReceived(1);
  Finish(watch, grpc::StatusCode::OK);

  EXPECT_THAT(registry_.Expose(),
              AllOf(HasSubstr(Line("grpc_server_msg_sent_total",
                                   "client_stream", "Upload", 1)),
                    HasSubstr(Line("grpc_server_msg_received_total",
                                   "server_stream", "Watch", 1))));
}

TEST_F(MetricsInterceptorTest, CountsRefusalsByStageAndInterceptor) {
  ASSERT_TRUE(interceptor_->Register(unary_).ok());
  const Refuser auth("auth", Stage::kIdentify);
  const Refuser other_auth("auth", Stage::kIdentify);
  const Refuser limit("rate_limit", Stage::kLimit);
  const auto refuse = [&](const ServerInterceptor& by, grpc::StatusCode code) {
    testing::FakeCall call({.method = unary_, .clock = &clock_});
    ASSERT_TRUE(interceptor_->OnStart(*call).ok());
    call.SetRefusedBy(&by);
    Finish(call, code);
  };
  for (int i = 0; i < 3; ++i) {
    refuse(auth, grpc::StatusCode::UNAUTHENTICATED);
    refuse(limit, grpc::StatusCode::RESOURCE_EXHAUSTED);
  }
  refuse(other_auth, grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(
      registry_.Expose(),
      AllOf(HasSubstr("grpccommon_server_refused_total{stage=\"identify\","
                      "reason=\"auth\"} 4\n"),
            HasSubstr("grpccommon_server_refused_total{stage=\"limit\",reason="
                      "\"rate_limit\"} 3\n"),
            HasSubstr(HandledLine("Say", "Unauthenticated", 4)),
            HasSubstr(HandledLine("Say", "ResourceExhausted", 3))));
}

TEST_F(MetricsInterceptorTest, AMethodMayHaveBucketsOfItsOwn) {
  MetricsRegistry registry;
  const auto interceptor = MetricsInterceptor::Create(
      registry, {.buckets = {1.0},
                 .method_buckets = {
                     {Selector::Path("/test.v1.Echo/Slow"), {30.0, 60.0}},
                     {Selector::Service("test.v1.Echo"), {2.0}},
                 }});
  ASSERT_TRUE(interceptor.ok());
  Method other = MakeMethod("Say", CallKind::kUnary, 2);
  other.service = "test.v1.Other";
  for (const Method& method :
       {MakeMethod("Slow", CallKind::kUnary, 0), unary_, other}) {
    ASSERT_TRUE((*interceptor)->Register(method).ok());
  }
  const std::string text = registry.Expose();
  EXPECT_THAT(text,
              AllOf(HasSubstr("Echo\",grpc_method=\"Slow\",le=\"60\"} 0\n"),
                    HasSubstr("Echo\",grpc_method=\"Say\",le=\"2\"} 0\n"),
                    HasSubstr("Other\",grpc_method=\"Say\",le=\"1\"} 0\n"),
                    Not(HasSubstr("grpc_method=\"Slow\",le=\"2\""))));
}

TEST_F(MetricsInterceptorTest, RefusesBadBuckets) {
  MetricsRegistry registry;
  EXPECT_EQ(
      MetricsInterceptor::Create(registry, {.buckets = {}}).status().code(),
      absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MetricsInterceptor::Create(
                registry, {.method_buckets = {{Selector(), {2.0, 1.0}}}})
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(MetricsInterceptorTest, RefusesARegistryWhereANameIsTaken) {
  MetricsRegistry registry;
  ASSERT_TRUE(registry.AddCounter("grpc_server_started_total", "Mine.").ok());
  EXPECT_EQ(MetricsInterceptor::Create(registry).status().code(),
            absl::StatusCode::kAlreadyExists);
}

TEST_F(MetricsInterceptorTest, TwoServersMayShareARegistry) {
  ASSERT_TRUE(interceptor_->Register(unary_).ok());
  const auto second = MetricsInterceptor::Create(registry_);
  ASSERT_TRUE(second.ok());
  const Method elsewhere = MakeMethod("Say", CallKind::kUnary, 5);
  ASSERT_TRUE((*second)->Register(elsewhere).ok());
  testing::FakeCall first_call({.method = unary_, .clock = &clock_});
  testing::FakeCall second_call({.method = elsewhere, .clock = &clock_});
  ASSERT_TRUE(interceptor_->OnStart(*first_call).ok());
  ASSERT_TRUE((*second)->OnStart(*second_call).ok());
  EXPECT_THAT(registry_.Expose(),
              HasSubstr("grpccommon_server_in_flight{grpc_service=\"test.v1."
                        "Echo\",grpc_method=\"Say\"} 2\n"));
}

TEST_F(MetricsInterceptorTest, CallsOnManyThreadsAddUp) {
  ASSERT_TRUE(interceptor_->Register(unary_).ok());
  const Refuser auth("auth", Stage::kIdentify);
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 8; ++thread) {
      threads.emplace_back([&] {
        for (int i = 0; i < 500; ++i) {
          testing::FakeCall call({.method = unary_, .clock = &clock_});
          EXPECT_TRUE(interceptor_->OnStart(*call).ok());
          call.SetRefusedBy(&auth);
          Finish(call, grpc::StatusCode::UNAUTHENTICATED);
        }
      });
    }
  }
  EXPECT_THAT(
      registry_.Expose(),
      AllOf(HasSubstr(Line("grpc_server_started_total", "unary", "Say", 4000)),
            HasSubstr(HandledLine("Say", "Unauthenticated", 4000)),
            HasSubstr("reason=\"auth\"} 4000\n"),
            HasSubstr("in_flight{grpc_service=\"test.v1.Echo\",grpc_method="
                      "\"Say\"} 0\n")));
}

}  // namespace
}  // namespace grpccommon
