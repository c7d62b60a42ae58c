// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/retry/retry_policy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using grpc::StatusCode;

template <typename Policy>
std::string Message(const Policy& policy) {
  return std::string(CheckPolicy(policy).message());
}

TEST(CodeSetTest, HoldsCodesOfGrpcAndNothingElse) {
  CodeSet codes = {StatusCode::UNAVAILABLE, StatusCode::UNAUTHENTICATED};
  EXPECT_TRUE(codes.Contains(StatusCode::UNAVAILABLE));
  EXPECT_TRUE(codes.Contains(StatusCode::UNAUTHENTICATED));
  EXPECT_FALSE(codes.Contains(StatusCode::OK));
  const CodeSet before = codes;
  for (const int number : {-32, -1, 17, 31}) {
    codes.Insert(static_cast<StatusCode>(number));
    EXPECT_FALSE(codes.Contains(static_cast<StatusCode>(number)));
  }
  EXPECT_EQ(codes, before);
  EXPECT_TRUE(CodeSet().empty());
  EXPECT_FALSE(codes.empty());
}

TEST(RetryPolicyTest, DefaultsAreValid) {
  EXPECT_EQ(Message(RetryPolicy()), "");
  EXPECT_EQ(Message(HedgingPolicy()), "");
}

TEST(RetryPolicyTest, NamesTheFieldThatIsOutOfRange) {
  const auto with = [](auto change) {
    RetryPolicy policy;
    change(policy);
    return Message(policy);
  };
  EXPECT_EQ(with([](auto& p) { p.max_attempts = 0; }),
            "retry.max_attempts must be in [1, 10], got 0");
  EXPECT_EQ(with([](auto& p) { p.max_attempts = 11; }),
            "retry.max_attempts must be in [1, 10], got 11");
  EXPECT_EQ(with([](auto& p) { p.backoff.initial = 0ns; }),
            "retry.backoff.initial must be in [1e-09 s, 86400 s], got 0 s");
  EXPECT_EQ(with([](auto& p) { p.backoff.max = 24ms; }),
            "retry.backoff.max must be in [0.025 s, 86400 s], got 0.024 s");
  EXPECT_EQ(
      with([](auto& p) { p.codes = {}; }),
      "retry.codes must not be empty; max_attempts = 1 turns retries off");
  EXPECT_EQ(with([](auto& p) { p.codes.Insert(StatusCode::OK); }),
            "retry.codes must not contain OK, which ends a call");
  EXPECT_EQ(with([](auto& p) { p.codes.Insert(StatusCode::CANCELLED); }),
            "retry.codes must not contain CANCELLED, which ends a call");
  EXPECT_EQ(with([](auto& p) { p.attempt_timeout = 0ns; }),
            "retry.attempt_timeout must be in [1e-09 s, 86400 s], got 0 s");
}

TEST(RetryPolicyTest, NamesTheFieldOfHedgingThatIsOutOfRange) {
  const auto with = [](auto change) {
    HedgingPolicy policy;
    change(policy);
    return Message(policy);
  };
  EXPECT_EQ(with([](auto& p) { p.max_attempts = 1; }),
            "hedging.max_attempts must be in [2, 5], got 1");
  EXPECT_EQ(with([](auto& p) { p.max_attempts = 6; }),
            "hedging.max_attempts must be in [2, 5], got 6");
  EXPECT_EQ(with([](auto& p) { p.delay = -1ns; }),
            "hedging.delay must be in [0 s, 3600 s], got -1e-09 s");
  EXPECT_EQ(with([](auto& p) { p.delay = 0ns; }), "");
  EXPECT_EQ(with([](auto& p) { p.min_delay = 2h; }),
            "hedging.min_delay must be in [0 s, 3600 s], got 7200 s");
  EXPECT_EQ(with([](auto& p) { p.non_fatal_codes.Insert(StatusCode::OK); }),
            "hedging.non_fatal_codes must not contain OK, which ends a call");
  EXPECT_EQ(with([](auto& p) { p.non_fatal_codes = {}; }), "");
  EXPECT_EQ(with([](auto& p) { p.max_extra = 0; }),
            "hedging.max_extra must be in [0.001, 1], got 0");
  EXPECT_NE(with([](auto& p) { p.max_extra = std::nan(""); }), "");
}

TEST(CompileRetryPolicyTest, TakesWhatTheRuleSays) {
  const auto policy = CompileRetryPolicy({.max_attempts = 5,
                                          .initial_backoff = 10ms,
                                          .max_backoff = 2s,
                                          .codes = {4, 14},
                                          .attempt_timeout = 300ms});
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_EQ(policy->max_attempts, 5);
  EXPECT_EQ(policy->backoff.initial, 10ms);
  EXPECT_EQ(policy->backoff.max, 2s);
  EXPECT_EQ(policy->codes,
            CodeSet({StatusCode::DEADLINE_EXCEEDED, StatusCode::UNAVAILABLE}));
  EXPECT_EQ(policy->attempt_timeout, 300ms);
  EXPECT_FALSE(policy->retry_unsafe);
}

TEST(CompileRetryPolicyTest, LeavesTheRestToTheDefaults) {
  const RetryPolicy defaults = {.max_attempts = 7,
                                .backoff = {.kind = BackoffKind::kEqualJitter,
                                            .initial = 5ms,
                                            .max = 50ms},
                                .codes = {StatusCode::ABORTED},
                                .attempt_timeout = 1s,
                                .retry_unsafe = true};
  const auto policy = CompileRetryPolicy({.max_attempts = 2}, defaults);
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_EQ(policy->max_attempts, 2);
  EXPECT_EQ(policy->backoff.kind, BackoffKind::kEqualJitter);
  EXPECT_EQ(policy->backoff.initial, 5ms);
  EXPECT_EQ(policy->backoff.max, 50ms);
  EXPECT_EQ(policy->codes, CodeSet({StatusCode::ABORTED}));
  EXPECT_EQ(policy->attempt_timeout, 1s);
  EXPECT_TRUE(policy->retry_unsafe);
}

TEST(CompileRetryPolicyTest, OneBoundOfTheBackoffBendsTheOther) {
  const auto slow =
      CompileRetryPolicy({.max_attempts = 2, .initial_backoff = 5s});
  ASSERT_TRUE(slow.ok()) << slow.status();
  EXPECT_EQ(slow->backoff.max, 5s);
  const auto fast = CompileRetryPolicy({.max_attempts = 2, .max_backoff = 1ms});
  ASSERT_TRUE(fast.ok()) << fast.status();
  EXPECT_EQ(fast->backoff.initial, 1ms);
}

TEST(CompileRetryPolicyTest, RefusesWhatIsOutOfRangeByName) {
  const auto message = [](const RetryRule& rule) {
    return std::string(CompileRetryPolicy(rule).status().message());
  };
  EXPECT_EQ(message({.max_attempts = 0}),
            "retry.max_attempts must be in [1, 10], got 0");
  EXPECT_EQ(message({.max_attempts = 2, .codes = {14, 17}}),
            "retry.codes must be in [2, 16], got 17");
  EXPECT_EQ(message({.max_attempts = 2, .codes = {0}}),
            "retry.codes must be in [2, 16], got 0");
  EXPECT_EQ(message({.max_attempts = 2, .codes = {1}}),
            "retry.codes must be in [2, 16], got 1");
  EXPECT_EQ(
      message({.max_attempts = 2, .initial_backoff = 2s, .max_backoff = 1s}),
      "retry.backoff.max must be in [2 s, 86400 s], got 1 s");
  EXPECT_NE(message({.max_attempts = 2, .attempt_timeout = -1s}), "");
  EXPECT_NE(message({.max_attempts = 2, .initial_backoff = -1s}), "");
}

}  // namespace
}  // namespace grpccommon
