// SPDX-License-Identifier: Apache-2.0
// Component `testing` from outside: its fakes link and work.

#include <gtest/gtest.h>

#include <chrono>

#include "grpccommon/testing/fake_call.h"
#include "grpccommon/testing/fake_clock.h"

namespace {

TEST(InstalledTestingTest, TimeMovesOnlyByAdvance) {
  grpccommon::testing::FakeClock clock;
  const auto start = clock.Now();
  clock.Advance(std::chrono::seconds(1));
  EXPECT_EQ(clock.Now() - start, std::chrono::seconds(1));
}

TEST(InstalledTestingTest, AFakeCallStandsInForARealOne) {
  grpccommon::testing::FakeCall call({.metadata = {{"x-tenant", "blue"}}});
  EXPECT_EQ(call->method().name, "Test");
  EXPECT_EQ(call->metadata("x-tenant"), "blue");
}

}  // namespace
