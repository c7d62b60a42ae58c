// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/tracing/batch_span_processor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <thread>

namespace grpccommon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""h;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""us;

// What an exporter of the test saw; outlives it. Exports wait while held.
class Exports {
 public:
  void Hold() {
    const MutexLock lock(mutex_);
    held_ = true;
  }
  void Release() {
    const MutexLock lock(mutex_);
    held_ = false;
    changed_.NotifyAll();
  }
  void FailWith(absl::Status status) {
    const MutexLock lock(mutex_);
    result_ = std::move(status);
  }
  void Throw() {
    const MutexLock lock(mutex_);
    throws_ = true;
  }

  absl::Status Take(const SpanResource& resource,
                    std::span<const SpanData> spans) {
    const MutexLock lock(mutex_);
    resource_ = resource;
    batches_.push_back(spans.size());
    for (const SpanData& span : spans) names_.push_back(span.name);
    changed_.NotifyAll();
    while (held_) changed_.Wait(mutex_);
    if (throws_) throw std::runtime_error("no");
    return result_;
  }
  void CountShutdown() {
    const MutexLock lock(mutex_);
    ++shutdowns_;
  }

  // Waits until `count` spans have come, at most a minute.
  bool WaitForSpans(std::size_t count) {
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    const MutexLock lock(mutex_);
    while (names_.size() < count) {
      if (!changed_.WaitUntil(mutex_, deadline)) return false;
    }
    return true;
  }
  std::vector<std::string> names() {
    const MutexLock lock(mutex_);
    return names_;
  }
  std::vector<std::size_t> batches() {
    const MutexLock lock(mutex_);
    return batches_;
  }
  SpanResource resource() {
    const MutexLock lock(mutex_);
    return resource_;
  }
  int shutdowns() {
    const MutexLock lock(mutex_);
    return shutdowns_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  bool throws_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status result_ ABSL_GUARDED_BY(mutex_);
  SpanResource resource_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::size_t> batches_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> names_ ABSL_GUARDED_BY(mutex_);
  int shutdowns_ ABSL_GUARDED_BY(mutex_) = 0;
};

class TestExporter : public SpanExporter {
 public:
  explicit TestExporter(Exports& exports) : exports_(exports) {}
  absl::Status Export(const SpanResource& resource,
                      std::span<const SpanData> spans) override {
    return exports_.Take(resource, spans);
  }
  void Shutdown() override { exports_.CountShutdown(); }

 private:
  Exports& exports_;
};

class RecordingSink : public LogSink {
 public:
  void Write(std::string_view line) override {
    const MutexLock lock(mutex_);
    lines_.emplace_back(line);
  }
  void Flush() override {}
  std::vector<std::string> lines() {
    const MutexLock lock(mutex_);
    return lines_;
  }

 private:
  Mutex mutex_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

class BatchSpanProcessorTest : public ::testing::Test {
 protected:
  // By default nothing leaves before it is told to.
  std::unique_ptr<BatchSpanProcessor> Make(
      BatchSpanProcessorOptions options = {}) {
    if (options.interval == BatchSpanProcessorOptions().interval) {
      options.interval = 1h;
    }
    auto processor = BatchSpanProcessor::Create(
        std::make_unique<TestExporter>(exports_), std::move(options));
    EXPECT_TRUE(processor.ok()) << processor.status();
    return *std::move(processor);
  }
  static SpanData Named(std::string name) {
    SpanData span;
    span.name = std::move(name);
    return span;
  }
  static void Submit(BatchSpanProcessor& processor, int count) {
    for (int i = 0; i < count; ++i) processor.Submit(Named("s"));
  }

  Exports exports_;
};

TEST_F(BatchSpanProcessorTest, ExportsOnFlushInTheOrderOfAThread) {
  const auto processor =
      Make({.resource = {{"service.name", std::string("test")}}});
  for (const char* name : {"a", "b", "c"}) processor->Submit(Named(name));
  EXPECT_EQ(processor->queued(), 3u);
  EXPECT_TRUE(exports_.names().empty());
  ASSERT_TRUE(processor->Flush(60s));
  EXPECT_THAT(exports_.names(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(exports_.resource(),
            (SpanResource{{"service.name", std::string("test")}}));
  EXPECT_EQ(processor->exported(), 3u);
  EXPECT_EQ(processor->queued(), 0u);
  EXPECT_EQ(processor->dropped(), 0u);
}

TEST_F(BatchSpanProcessorTest, AFullBatchLeavesAtOnce) {
  const auto processor = Make({.max_batch_spans = 4});
  Submit(*processor, 4);
  ASSERT_TRUE(exports_.WaitForSpans(4));
  EXPECT_THAT(exports_.batches(), ElementsAre(4));
}

TEST_F(BatchSpanProcessorTest, ASpanLeavesWhenTheIntervalIsOver) {
  const auto processor = Make({.interval = 1ms});
  Submit(*processor, 1);
  EXPECT_TRUE(exports_.WaitForSpans(1));
  // And again, after the thread has slept.
  Submit(*processor, 1);
  EXPECT_TRUE(exports_.WaitForSpans(2));
}

TEST_F(BatchSpanProcessorTest, NoBatchIsLargerThanItMayBe) {
  const auto processor = Make({.max_queued_spans = 100, .max_batch_spans = 4});
  exports_.Hold();
  Submit(*processor, 4);
  ASSERT_TRUE(exports_.WaitForSpans(4));
  Submit(*processor, 11);
  exports_.Release();
  ASSERT_TRUE(processor->Flush(60s));
  EXPECT_THAT(exports_.batches(), ElementsAre(4, 4, 4, 3));
}

TEST_F(BatchSpanProcessorTest, WhatDoesNotFitIsDroppedAndCounted) {
  const auto processor = Make({.max_queued_spans = 5, .max_batch_spans = 2});
  exports_.Hold();
  Submit(*processor, 2);
  ASSERT_TRUE(exports_.WaitForSpans(2));
  // Those that are being exported still take up room.
  Submit(*processor, 10);
  EXPECT_EQ(processor->dropped(), 7u);
  EXPECT_EQ(processor->queued(), 5u);
  exports_.Release();
  ASSERT_TRUE(processor->Flush(60s));
  EXPECT_EQ(processor->exported(), 5u);
  Submit(*processor, 1);
  EXPECT_EQ(processor->dropped(), 7u);
}

TEST_F(BatchSpanProcessorTest, FlushGivesUpAfterItsTimeOut) {
  const auto processor = Make();
  exports_.Hold();
  Submit(*processor, 1);
  EXPECT_FALSE(processor->Flush(1ms));
  exports_.Release();
  EXPECT_TRUE(processor->Flush(std::chrono::nanoseconds::max()));
}

TEST_F(BatchSpanProcessorTest, FlushOfNothingReturns) {
  const auto processor = Make();
  EXPECT_TRUE(processor->Flush(60s));
  EXPECT_TRUE(exports_.batches().empty());
}

TEST_F(BatchSpanProcessorTest, ShutdownExportsTheRestAndDropsWhatComesLater) {
  const auto processor = Make();
  Submit(*processor, 3);
  processor->Shutdown();
  EXPECT_EQ(processor->exported(), 3u);
  EXPECT_EQ(exports_.shutdowns(), 1);
  Submit(*processor, 2);
  EXPECT_EQ(processor->dropped(), 2u);
  EXPECT_EQ(processor->queued(), 0u);
  EXPECT_FALSE(processor->Flush(60s));
  processor->Shutdown();
  EXPECT_EQ(exports_.shutdowns(), 1);
}

TEST_F(BatchSpanProcessorTest, TheDestructorShutsDown) {
  {
    const auto processor = Make();
    Submit(*processor, 3);
  }
  EXPECT_EQ(exports_.names().size(), 3u);
  EXPECT_EQ(exports_.shutdowns(), 1);
}

TEST_F(BatchSpanProcessorTest, AFailingExporterIsReportedWhenItChanges) {
  const auto sink = std::make_shared<RecordingSink>();
  const auto processor = Make({.logger = Logger(sink, "test")});
  exports_.FailWith(absl::UnavailableError("collector is away"));
  for (int i = 0; i < 3; ++i) {
    Submit(*processor, 1);
    ASSERT_TRUE(processor->Flush(60s));
  }
  EXPECT_EQ(processor->failed(), 3u);
  EXPECT_EQ(processor->exported(), 0u);
  EXPECT_EQ(processor->queued(), 0u);
  exports_.FailWith(absl::OkStatus());
  for (int i = 0; i < 2; ++i) {
    Submit(*processor, 1);
    ASSERT_TRUE(processor->Flush(60s));
  }
  EXPECT_EQ(processor->exported(), 2u);
  EXPECT_THAT(sink->lines(), ElementsAre(HasSubstr("collector is away"),
                                         HasSubstr("exported again")));
}

TEST_F(BatchSpanProcessorTest, AnExporterThatThrowsLosesItsBatchOnly) {
  const auto processor = Make();
  exports_.Throw();
  Submit(*processor, 2);
  ASSERT_TRUE(processor->Flush(60s));
  EXPECT_EQ(processor->failed(), 2u);
}

TEST_F(BatchSpanProcessorTest, EverySpanOfManyThreadsIsCountedOnce) {
  constexpr std::uint64_t kThreads = 8;
  constexpr std::uint64_t kSpans = 2000;
  const auto processor =
      Make({.max_queued_spans = 64, .max_batch_spans = 16, .interval = 1ms});
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] { Submit(*processor, kSpans); });
    }
    // While they submit, two others shut down.
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&] {
        EXPECT_TRUE(exports_.WaitForSpans(32));
        processor->Shutdown();
      });
    }
  }
  EXPECT_EQ(processor->exported() + processor->dropped(), kThreads * kSpans);
  EXPECT_EQ(exports_.names().size(), processor->exported());
  EXPECT_EQ(processor->queued(), 0u);
  for (const std::size_t size : exports_.batches()) EXPECT_LE(size, 16u);
}

TEST_F(BatchSpanProcessorTest, RefusesOptionsOutOfRangeByName) {
  const auto refusal = [&](BatchSpanProcessorOptions options) {
    const absl::Status status =
        BatchSpanProcessor::Create(std::make_unique<TestExporter>(exports_),
                                   std::move(options))
            .status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(refusal({.max_queued_spans = 0}), HasSubstr("max_queued_spans"));
  EXPECT_THAT(refusal({.max_queued_spans = 1'000'001}),
              HasSubstr("max_queued_spans"));
  EXPECT_THAT(refusal({.max_batch_spans = 0}), HasSubstr("max_batch_spans"));
  EXPECT_THAT(refusal({.max_queued_spans = 10, .max_batch_spans = 11}),
              HasSubstr("max_batch_spans"));
  EXPECT_THAT(refusal({.interval = 999us}), HasSubstr("interval"));
  EXPECT_THAT(refusal({.interval = 2h}), HasSubstr("interval"));
  EXPECT_THAT(
      std::string(BatchSpanProcessor::Create(nullptr).status().message()),
      HasSubstr("exporter"));
}

}  // namespace
}  // namespace grpccommon
