// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/call/cancellation.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

namespace grpccommon {
namespace {

TEST(CancellationTest, CallsWhatWasAddedOnce) {
  Cancellation cancellation;
  int first = 0;
  int second = 0;
  const CancellationCallback a(&cancellation, [&first] { ++first; });
  const CancellationCallback b(&cancellation, [&second] { ++second; });
  EXPECT_FALSE(cancellation.cancelled());
  cancellation.Cancel();
  cancellation.Cancel();
  EXPECT_TRUE(cancellation.cancelled());
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 1);
}

TEST(CancellationTest, CallsAtOnceWhatComesAfterIt) {
  Cancellation cancellation;
  cancellation.Cancel();
  int calls = 0;
  const CancellationCallback late(&cancellation, [&calls] { ++calls; });
  EXPECT_EQ(calls, 1);
}

TEST(CancellationTest, ForgetsWhatWasTakenOut) {
  Cancellation cancellation;
  int calls = 0;
  {
    const CancellationCallback gone(&cancellation, [&calls] { ++calls; });
  }
  cancellation.Cancel();
  EXPECT_EQ(calls, 0);
}

TEST(CancellationTest, NoCancellationIsNone) {
  int calls = 0;
  {
    const CancellationCallback none(nullptr, [&calls] { ++calls; });
  }
  EXPECT_EQ(calls, 0);
}

TEST(CancellationTest, ACallbackMayTakeItselfOut) {
  Cancellation cancellation;
  std::optional<CancellationCallback> callback;
  bool called = false;
  callback.emplace(&cancellation, [&] {
    callback.reset();
    called = true;
  });
  cancellation.Cancel();
  EXPECT_TRUE(called);
}

TEST(CancellationTest, DestructionWaitsForACallbackThatRuns) {
  for (int round = 0; round < 200; ++round) {
    Cancellation cancellation;
    auto seen = std::make_unique<std::atomic<int>>(0);
    auto callback = std::make_unique<CancellationCallback>(
        &cancellation, [raw = seen.get()] {
          raw->fetch_add(1);
          std::this_thread::yield();
          raw->fetch_add(1);
        });
    std::thread canceller([&cancellation] { cancellation.Cancel(); });
    callback.reset();
    // Never in the middle of it.
    EXPECT_NE(seen->load(), 1);
    seen.reset();
    canceller.join();
  }
}

}  // namespace
}  // namespace grpccommon
