// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "grpccommon/testing/conformance_checks.h"
#include "grpccommon/testing/status_matchers.h"

namespace grpccommon::testing {

/// What every ServerInterceptor must do. For one of your own:
///
///   INSTANTIATE_TEST_SUITE_P(
///       Mine, InterceptorConformanceTest,
///       ::testing::Values(ConformanceCase{.name = "mine", …}),
///       ConformanceCaseName);
///
/// Run it under ThreadSanitizer too.
class InterceptorConformanceTest
    : public ::testing::TestWithParam<ConformanceCase> {};

inline std::string ConformanceCaseName(
    const ::testing::TestParamInfo<ConformanceCase>& info) {
  return info.param.name;
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(InterceptorConformanceTest);

TEST_P(InterceptorConformanceTest, HasANameForMetricsAndLogs) {
  EXPECT_THAT(CheckName(GetParam()), IsOk());
}

TEST_P(InterceptorConformanceTest, RegistersMethodsOfEveryKind) {
  EXPECT_THAT(CheckRegistration(GetParam()), IsOk());
}

TEST_P(InterceptorConformanceTest, AdmitsAndLeavesAGoodStatusAlone) {
  EXPECT_THAT(CheckAdmission(GetParam()), IsOk());
}

TEST_P(InterceptorConformanceTest, GivesBackWhatACallTook) {
  EXPECT_THAT(CheckGivesBack(GetParam()), IsOk());
}

TEST_P(InterceptorConformanceTest, RefusesWithAStatusThatSaysWhy) {
  EXPECT_THAT(CheckRefusal(GetParam()), IsOk());
}

TEST_P(InterceptorConformanceTest, RefusesAndAdmitsAlikeHoweverOften) {
  EXPECT_THAT(CheckManyRefusals(GetParam()), IsOk());
}

TEST_P(InterceptorConformanceTest, AdmitsSoManyAtOnceAndNoMore) {
  EXPECT_THAT(CheckAtOnce(GetParam()), IsOk());
}

TEST_P(InterceptorConformanceTest, FinishesCallsThatOthersRefusedOrCancelled) {
  EXPECT_THAT(CheckCallsOthersEnded(GetParam()), IsOk());
}

TEST_P(InterceptorConformanceTest, LeavesAnErrorAnError) {
  EXPECT_THAT(CheckErrors(GetParam()), IsOk());
}

TEST_P(InterceptorConformanceTest, LetsMessagesPassInCallsOfEveryKind) {
  EXPECT_THAT(CheckMessages(GetParam()), IsOk());
}

TEST_P(InterceptorConformanceTest, LetsMessagesPassBothWaysAtOnce) {
  EXPECT_THAT(CheckBothWaysAtOnce(GetParam()), IsOk());
}

TEST_P(InterceptorConformanceTest, ServesManyThreadsAtOnce) {
  EXPECT_THAT(CheckThreads(GetParam()), IsOk());
}

}  // namespace grpccommon::testing
