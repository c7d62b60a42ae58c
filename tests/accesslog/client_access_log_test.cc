// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/accesslog/client_access_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "grpccommon/testing/fake_client_call.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "grpccommon/testing/status_matchers.h"
#include "grpcpp/support/status.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using testing::FakeClientCall;
using testing::FakeClientCallOptions;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::MessageIs;
using ::testing::Not;
using testing::RecordingLogSink;
using ::testing::SizeIs;

class Refuser : public ClientInterceptor {
 public:
  std::string_view name() const override { return "credentials"; }
  Stage stage() const override { return Stage::kIdentify; }
};

class ClientAccessLogTest : public ::testing::Test {
 protected:
  void Create(const ClientAccessLogOptions& options = {},
              Random random = UniformRandom) {
    log_ = *ClientAccessLog::Create(options, logger_, std::move(random));
  }
  // One call from start to end; the lines that it left.
  std::vector<std::string> Call(const grpc::Status& end,
                                Clock::Duration duration = 3ms,
                                const ClientInterceptor* refused_by = nullptr,
                                CallKind kind = CallKind::kUnary) {
    FakeClientCallOptions options{.target = "users", .clock = &clock_};
    options.method.kind = kind;
    FakeClientCall call(std::move(options));
    if (served_by_ == nullptr) {
      served_by_ = log_->Register(call->method())->for_method;
    }
    if (refused_by == nullptr) {
      call.StartAttempt("10.0.0.1:80");
      call.StartAttempt("10.0.0.2:80");
      call.CountSent();
      call.SetEndpoint("10.0.0.2:80");
    }
    call.SetRefusedBy(refused_by);
    clock_.Advance(duration);
    request_id_ = call->request_id();
    grpc::Status status = end;
    served_by_->OnFinish(*call, status);
    std::vector<std::string> lines = sink_->lines();
    sink_->Clear();
    return lines;
  }
  std::string Field(const std::vector<std::string>& lines,
                    std::string_view name) {
    return lines.empty() ? "no line" : RecordingLogSink::Field(lines[0], name);
  }

  testing::FakeClock clock_;
  std::shared_ptr<RecordingLogSink> sink_ =
      std::make_shared<RecordingLogSink>();
  Logger logger_{sink_, "orders", LogLevel::kDebug, clock_};
  std::unique_ptr<ClientAccessLog> log_;
  std::shared_ptr<ClientInterceptor> served_by_;
  std::string request_id_;
  const grpc::Status unavailable_{grpc::StatusCode::UNAVAILABLE, "all down"};
};

TEST_F(ClientAccessLogTest, AFailedCallHasALine) {
  Create();
  const auto lines = Call(unavailable_);
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_EQ(Field(lines, "msg"), "outgoing call");
  EXPECT_EQ(Field(lines, "level"), "warning");
  EXPECT_EQ(Field(lines, "request_id"), request_id_);
  EXPECT_EQ(Field(lines, "grpc.method"), "/test.v1.TestService/Test");
  EXPECT_EQ(Field(lines, "grpc.kind"), "unary");
  EXPECT_EQ(Field(lines, "grpc.code"), "UNAVAILABLE");
  EXPECT_EQ(Field(lines, "duration_us"), "3000");
  EXPECT_EQ(Field(lines, "target"), "users");
  EXPECT_EQ(Field(lines, "endpoint"), "10.0.0.2:80");
  EXPECT_EQ(Field(lines, "attempts"), "2");
  EXPECT_EQ(Field(lines, "messages_sent"), "1");
  EXPECT_EQ(Field(lines, "error"), "all down");
  EXPECT_EQ(Field(lines, "refused_by"), "");
}

TEST_F(ClientAccessLogTest, CallsThatWentWellAreLoggedOnlyIfSlowOrWanted) {
  Create();
  EXPECT_THAT(Call(grpc::Status::OK, 999ms), IsEmpty());
  const auto slow = Call(grpc::Status::OK, 1s);
  EXPECT_EQ(Field(slow, "slow"), "true");
  EXPECT_EQ(Field(slow, "level"), "warning");
  served_by_ = nullptr;
  Create(
      {.ok = {.share = 1.0, .level = LogLevel::kDebug}, .slow_threshold = 0s});
  EXPECT_EQ(Field(Call(grpc::Status::OK, 2s), "level"), "debug");
}

TEST_F(ClientAccessLogTest, AStreamIsNeverSlow) {
  Create();
  EXPECT_THAT(Call(grpc::Status::OK, 1h, nullptr, CallKind::kBidiStream),
              IsEmpty());
}

TEST_F(ClientAccessLogTest, EachEndHasItsRule) {
  Create({.refused = {.level = LogLevel::kError},
          .client_error = {.level = LogLevel::kDebug},
          .server_error = {.level = LogLevel::kError}});
  const Refuser refuser;
  const auto refused = Call({grpc::StatusCode::UNAVAILABLE, ""}, 0s, &refuser);
  EXPECT_EQ(Field(refused, "level"), "error");
  EXPECT_EQ(Field(refused, "refused_by"), "credentials");
  EXPECT_EQ(Field(refused, "attempts"), "0");
  EXPECT_THAT(refused[0], Not(HasSubstr("\"endpoint\"")));
  EXPECT_EQ(Field(Call({grpc::StatusCode::NOT_FOUND, ""}), "level"), "debug");
  EXPECT_EQ(Field(Call({grpc::StatusCode::CANCELLED, ""}), "level"), "debug");
  EXPECT_EQ(Field(Call({grpc::StatusCode::INTERNAL, ""}), "level"), "error");
  EXPECT_EQ(Field(Call({grpc::StatusCode::DEADLINE_EXCEEDED, ""}), "level"),
            "warning");
}

TEST_F(ClientAccessLogTest, AShareIsDrawn) {
  double next = 0.0;
  Create({.unavailable = {.share = 0.5}}, [&next] { return next; });
  next = 0.49;
  EXPECT_THAT(Call(unavailable_), SizeIs(1));
  next = 0.5;
  EXPECT_THAT(Call(unavailable_), IsEmpty());
}

TEST_F(ClientAccessLogTest, TheLevelOfAMethodCanBeChanged) {
  Create();
  EXPECT_THAT(Call(unavailable_), SizeIs(1));
  log_->SetLevel(Selector::Service("other"), LogLevel::kOff);
  EXPECT_THAT(Call(unavailable_), SizeIs(1));
  log_->SetLevel({}, LogLevel::kError);
  EXPECT_THAT(Call(unavailable_), IsEmpty());
  log_->SetLevel({}, std::nullopt);
  EXPECT_THAT(Call(unavailable_), SizeIs(1));
  served_by_ = nullptr;
  log_->SetLevel({}, LogLevel::kOff);  // of a method that has gone
}

TEST_F(ClientAccessLogTest, WhatOthersChooseIsEscapedAndCut) {
  Create({.max_field_bytes = 64});
  const auto lines =
      Call({grpc::StatusCode::INTERNAL, "a\n\"b" + std::string(100, 'x')});
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], HasSubstr("a\\n\\\"b"));
  EXPECT_EQ(Field(lines, "error").size(), 64u);
}

TEST_F(ClientAccessLogTest, OptionsOutOfRangeAreNamed) {
  EXPECT_THAT(ClientAccessLog::Create({.ok = {.share = 1.1}}, logger_),
              MessageIs(HasSubstr("ok.share must be in")));
  EXPECT_THAT(ClientAccessLog::Create({.slow_threshold = 2h}, logger_),
              MessageIs(HasSubstr("slow_threshold must be in")));
  EXPECT_THAT(ClientAccessLog::Create({.max_field_bytes = 63}, logger_),
              MessageIs(HasSubstr("max_field_bytes must be in")));
}

}  // namespace
}  // namespace grpccommon
