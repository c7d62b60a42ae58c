// SPDX-License-Identifier: Apache-2.0
#include "log/batching_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "grpccommon/testing/fake_clock.h"

namespace grpccommon::internal {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// What left the process, and a gate that lets it leave.
class Outside {
 public:
  void Close() {
    const MutexLock lock(mutex_);
    open_ = false;
  }
  void Open() {
    const MutexLock lock(mutex_);
    open_ = true;
    changed_.NotifyAll();
  }
  void Fail(bool fail) {
    const MutexLock lock(mutex_);
    fail_ = fail;
  }
  bool Pass(std::string_view lines) {
    const MutexLock lock(mutex_);
    ++arrivals_;
    changed_.NotifyAll();
    while (!open_) changed_.Wait(mutex_);
    if (fail_) return false;
    pieces_.emplace_back(lines);
    changed_.NotifyAll();
    return true;
  }
  // Until somebody stands at the gate, or has passed it.
  void AwaitArrival() {
    const MutexLock lock(mutex_);
    while (arrivals_ == 0) changed_.Wait(mutex_);
  }
  void AwaitPieces(std::size_t count) {
    const MutexLock lock(mutex_);
    while (pieces_.size() < count) changed_.Wait(mutex_);
  }
  void Forget() {
    const MutexLock lock(mutex_);
    pieces_ = {};
  }
  std::vector<std::string> pieces() const {
    const MutexLock lock(mutex_);
    return pieces_;
  }
  std::string all() const {
    std::string all;
    for (const std::string& piece : pieces()) all += piece;
    return all;
  }
  std::size_t lines() const {
    const std::string text = all();
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  }

 private:
  mutable Mutex mutex_;
  CondVar changed_;
  bool open_ ABSL_GUARDED_BY(mutex_) = true;
  bool fail_ ABSL_GUARDED_BY(mutex_) = false;
  int arrivals_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::string> pieces_ ABSL_GUARDED_BY(mutex_);
};

class GatedTransport : public LogTransport {
 public:
  explicit GatedTransport(Outside& outside) : outside_(outside) {}
  bool Write(std::string_view lines) override { return outside_.Pass(lines); }

 private:
  Outside& outside_;
};

class BatchingSinkTest : public ::testing::Test {
 protected:
  std::unique_ptr<BatchingSink> Create(LogSinkOptions options) {
    return std::make_unique<BatchingSink>(
        std::make_unique<GatedTransport>(outside_), options, clock_);
  }

  Outside outside_;
  testing::FakeClock clock_;
};

TEST_F(BatchingSinkTest, LinesOfOneIntervalLeaveTogetherAndInOrder) {
  const auto sink = Create({.batch_interval = 10s});
  for (int i = 0; i < 3; ++i) sink->Write(absl::StrCat(i, "\n"));
  EXPECT_THAT(outside_.pieces(), IsEmpty());
  sink->Flush();
  EXPECT_THAT(outside_.pieces(), ElementsAre("0\n1\n2\n"));
}

TEST_F(BatchingSinkTest, ALineLeavesByItselfAfterTheInterval) {
  const auto sink = Create({.batch_interval = 1ms});
  sink->Write("first\n");
  outside_.AwaitPieces(1);
  // And again, whether or not the writer has gone idle in between.
  sink->Write("second\n");
  outside_.AwaitPieces(2);
  EXPECT_EQ(outside_.all(), "first\nsecond\n");
}

TEST_F(BatchingSinkTest, AFullBufferLeavesBeforeTheInterval) {
  const auto sink = Create({.batch_interval = 10s, .queue_bytes = 64 << 10});
  const std::string line(1023, 'x');
  for (int i = 0; i < 16; ++i) sink->Write(line + "\n");
  outside_.AwaitPieces(1);
  EXPECT_GE(outside_.lines(), 16u);
}

TEST_F(BatchingSinkTest, FlushWithNothingToWriteReturns) {
  const auto sink = Create({});
  sink->Flush();
  sink->Flush();
  EXPECT_THAT(outside_.pieces(), IsEmpty());
}

TEST_F(BatchingSinkTest, FlushWaitsForABatchThatIsOnItsWay) {
  const auto sink = Create({.batch_interval = 1ms});
  outside_.Close();
  sink->Write("line\n");
  outside_.AwaitArrival();
  std::thread flushing([&] {
    sink->Flush();
    EXPECT_EQ(outside_.all(), "line\n");
  });
  outside_.Open();
  flushing.join();
}

TEST_F(BatchingSinkTest, TheDestructorWritesWhatIsLeft) {
  auto sink = Create({.batch_interval = 10s});
  sink->Write("last\n");
  sink.reset();
  EXPECT_EQ(outside_.all(), "last\n");
}

TEST_F(BatchingSinkTest, LinesOfManyThreadsAllArriveWholeAndInTheirOrder) {
  constexpr int kThreads = 8;
  constexpr int kLines = 5000;
  const auto sink = Create({.batch_interval = 1ms});
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&sink, t] {
      for (int i = 0; i < kLines; ++i) {
        sink->Write(absl::StrCat(t, " ", i, "\n"));
        if (i % 1000 == 0) sink->Flush();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  sink->Flush();
  EXPECT_EQ(sink->dropped(), 0u);
  std::vector<int> next(kThreads, 0);
  std::istringstream lines(outside_.all());
  int t;
  int i;
  while (lines >> t >> i) ASSERT_EQ(i, next.at(t)++);
  EXPECT_THAT(next, ::testing::Each(kLines));
}

TEST_F(BatchingSinkTest, AFullQueueDropsAndCountsAndDoesNotBlock) {
  constexpr std::size_t kQueue = 64 << 10;
  constexpr int kLines = 10000;
  const auto sink = Create({.batch_interval = 1ms, .queue_bytes = kQueue});
  outside_.Close();
  const std::string line = std::string(99, 'x') + "\n";
  // Returns although nothing leaves: the gate is shut.
  for (int i = 0; i < kLines; ++i) sink->Write(line);
  EXPECT_GE(sink->dropped(), kLines - kQueue / line.size());
  outside_.Open();
  sink->Flush();
  const std::string all = outside_.all();
  const auto arrived =
      static_cast<std::uint64_t>(std::count(all.begin(), all.end(), 'x') / 99);
  EXPECT_EQ(arrived + sink->dropped(), kLines);
  EXPECT_LE(arrived * line.size(), kQueue);
  EXPECT_GE(arrived * line.size(), kQueue / 2);
}

TEST_F(BatchingSinkTest, AQueueThatHasEmptiedTakesLinesAgain) {
  const auto sink = Create({.batch_interval = 10s, .queue_bytes = 64 << 10});
  const std::string line = std::string(999, 'x') + "\n";
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 50; ++i) sink->Write(line);
    sink->Flush();
  }
  EXPECT_EQ(sink->dropped(), 0u);
  EXPECT_EQ(outside_.lines(), 5000u);
}

TEST_F(BatchingSinkTest, ALineLargerThanTheQueueIsDroppedAndOthersAreNot) {
  const auto sink = Create({.queue_bytes = 64 << 10});
  sink->Write(std::string((64 << 10) + 1, 'x'));
  sink->Write("small\n");
  sink->Flush();
  EXPECT_EQ(sink->dropped(), 1u);
  EXPECT_THAT(outside_.all(), HasSubstr("small\n"));
}

TEST_F(BatchingSinkTest, LargeBatchesLeaveInPiecesOfWholeLines) {
  const auto sink = Create({.batch_interval = 10s});
  sink->Write(std::string(200000, 'a') + "\n");
  for (int i = 0; i < 300; ++i) sink->Write(std::string(999, 'b') + "\n");
  sink->Flush();
  EXPECT_EQ(outside_.lines(), 301u);
  for (const std::string& piece : outside_.pieces()) {
    EXPECT_TRUE(piece.ends_with('\n'));
    if (piece[0] == 'b') {
      EXPECT_LE(piece.size(), 65536u);
    }
  }
}

TEST_F(BatchingSinkTest, LinesWhoseWritingFailsAreCounted) {
  const auto sink = Create({.batch_interval = 10s});
  outside_.Fail(true);
  sink->Write("one\n");
  sink->Write("two\n");
  sink->Flush();
  EXPECT_EQ(sink->dropped(), 2u);
  outside_.Fail(false);
  sink->Write("three\n");
  sink->Flush();
  EXPECT_EQ(sink->dropped(), 2u);
  EXPECT_THAT(outside_.all(), HasSubstr("three\n"));
}

TEST_F(BatchingSinkTest, ALineOfItsOwnSaysHowManyWereLostOnceAMinute) {
  const auto sink = Create({.batch_interval = 10s});
  const auto lose = [&](int count) {
    outside_.Fail(true);
    for (int i = 0; i < count; ++i) sink->Write("lost\n");
    sink->Flush();
    outside_.Fail(false);
    sink->Flush();
  };
  lose(2);
  EXPECT_EQ(outside_.all(),
            "{\"ts\":\"2026-01-01T00:00:00.000000Z\",\"level\":\"warning\","
            "\"msg\":\"log lines were dropped\",\"dropped\":2,"
            "\"dropped_total\":2}\n");
  clock_.Advance(59s);
  lose(3);
  EXPECT_EQ(outside_.lines(), 1u);
  clock_.Advance(1s);
  sink->Flush();
  EXPECT_EQ(outside_.lines(), 2u);
  EXPECT_THAT(outside_.all(), HasSubstr("\"dropped\":3,\"dropped_total\":5}"));
}

TEST_F(BatchingSinkTest, GivesBackTheBuffersOfThreadsThatHaveGone) {
  constexpr std::size_t kThreads = 32;
  constexpr std::size_t kLines = 400;
  const auto sink = Create({.batch_interval = 10s});
  const auto in_use = [] {
    const struct mallinfo2 memory = mallinfo2();
    return memory.uordblks + memory.hblkhd;
  };
  const std::string line(1023, 'x');
  sink->Write("begin\n");
  sink->Flush();
  outside_.Forget();
  const std::size_t before = in_use();
  for (std::size_t i = 0; i < kThreads; ++i) {
    std::thread([&] {
      for (std::size_t k = 0; k < kLines; ++k) sink->Write(line + "\n");
    }).join();
    sink->Flush();
  }
  EXPECT_EQ(outside_.lines(), kThreads * kLines);
  for (int i = 0; i < 110; ++i) {
    sink->Write("end\n");
    sink->Flush();
  }
  outside_.Forget();
  // What is left is what one thread needs.
  if (before > 0) {  // a sanitizer's allocator does not say
    EXPECT_LT(in_use(), before + 3 * kLines * line.size());
  }
}

}  // namespace
}  // namespace grpccommon::internal
