// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "grpccommon/call/server_interceptor.h"
#include "grpccommon/testing/fake_call.h"
#include "grpcpp/support/status.h"

namespace grpccommon::testing {

/// An interceptor and calls for it.
struct ConformanceCase {
  std::string name;
  std::function<std::shared_ptr<ServerInterceptor>()> make;
  /// A call that it admits, however many came before.
  std::function<FakeCallOptions()> admitted;
  /// A call that it refuses; empty for one that refuses nothing.
  std::function<FakeCallOptions()> refused;
};

/// What every ServerInterceptor must do. For one of your own:
///
///   INSTANTIATE_TEST_SUITE_P(
///       Mine, InterceptorConformanceTest,
///       ::testing::Values(ConformanceCase{.name = "mine", …}),
///       ConformanceCaseName);
///
/// Run it under ThreadSanitizer too.
class InterceptorConformanceTest
    : public ::testing::TestWithParam<ConformanceCase> {
 protected:
  InterceptorConformanceTest() : interceptor_(GetParam().make()) {}

  // Registers the call's method, as a server does before it starts.
  Hooks Register(const FakeCallOptions& options) {
    const absl::StatusOr<Hooks> hooks = interceptor_->Register(options.method);
    EXPECT_TRUE(hooks.ok()) << hooks.status();
    return hooks.ok() ? *hooks : Hooks::None();
  }

  // A whole call as the server drives it; the status that it ends with.
  grpc::Status Run(const FakeCallOptions& options, const Hooks& hooks) {
    FakeCall call(options);
    absl::Status admitted;
    if (hooks.start) admitted = interceptor_->OnStart(*call);
    grpc::Status status;
    if (!admitted.ok()) {
      call.SetRefusedBy(interceptor_.get());
      status = grpc::Status(static_cast<grpc::StatusCode>(admitted.code()),
                            std::string(admitted.message()));
    }
    if (hooks.finish) interceptor_->OnFinish(*call, status);
    return status;
  }

  const std::shared_ptr<ServerInterceptor> interceptor_;
};

inline std::string ConformanceCaseName(
    const ::testing::TestParamInfo<ConformanceCase>& info) {
  return info.param.name;
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(InterceptorConformanceTest);

TEST_P(InterceptorConformanceTest, HasANameForMetricsAndLogs) {
  const std::string name(interceptor_->name());
  ASSERT_FALSE(name.empty());
  for (const char c : name) {
    EXPECT_TRUE((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')
        << name << " is not lower_snake_case";
  }
  EXPECT_EQ(interceptor_->name(), name) << "the name changes";
  EXPECT_NE(StageName(interceptor_->stage()), "unknown");
}

TEST_P(InterceptorConformanceTest, RegistersMethodsOfEveryKind) {
  std::size_t index = 0;
  for (const CallKind kind : {CallKind::kUnary, CallKind::kClientStream,
                              CallKind::kServerStream, CallKind::kBidiStream}) {
    Method method;
    method.path = "/conformance.v1.Service/" + std::string(CallKindName(kind));
    method.service = "conformance.v1.Service";
    method.name = CallKindName(kind);
    method.kind = kind;
    method.index = index++;
    EXPECT_TRUE(interceptor_->Register(method).ok());
  }
}

TEST_P(InterceptorConformanceTest, AdmitsAndLeavesAGoodStatusAlone) {
  const FakeCallOptions options = GetParam().admitted();
  const grpc::Status status = Run(options, Register(options));
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_P(InterceptorConformanceTest, GivesBackWhatACallTook) {
  const FakeCallOptions options = GetParam().admitted();
  const Hooks hooks = Register(options);
  for (int i = 0; i < 10000; ++i) {
    ASSERT_TRUE(Run(GetParam().admitted(), hooks).ok())
        << "the call after " << i << " finished ones is refused";
  }
}

TEST_P(InterceptorConformanceTest, RefusesWithAStatusThatSaysWhy) {
  if (!GetParam().refused) return;
  const FakeCallOptions options = GetParam().refused();
  const grpc::Status status = Run(options, Register(options));
  EXPECT_FALSE(status.ok());
  EXPECT_FALSE(status.error_message().empty());
  EXPECT_NE(status.error_code(), grpc::StatusCode::UNKNOWN);
}

TEST_P(InterceptorConformanceTest, FinishesCallsThatOthersRefusedOrCancelled) {
  const FakeCallOptions options = GetParam().admitted();
  const Hooks hooks = Register(options);
  for (int i = 0; i < 1000; ++i) {
    FakeCall call(GetParam().admitted());
    if (hooks.start) {
      ASSERT_TRUE(interceptor_->OnStart(*call).ok());
    }
    call.Cancel();
    grpc::Status status(grpc::StatusCode::CANCELLED, "gone");
    if (hooks.finish) interceptor_->OnFinish(*call, status);
    EXPECT_FALSE(status.ok()) << "an error became OK";
  }
  EXPECT_TRUE(Run(options, hooks).ok());
}

TEST_P(InterceptorConformanceTest, ServesManyThreadsAtOnce) {
  const Hooks hooks = Register(GetParam().admitted());
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        if (!Run(GetParam().admitted(), hooks).ok()) ++refused;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(refused, 0);
}

}  // namespace grpccommon::testing
