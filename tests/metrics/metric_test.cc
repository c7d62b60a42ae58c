// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/metrics/metric.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <thread>

#include "metrics/cell_arena.h"

namespace grpccommon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using std::chrono_literals::operator""ms;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

class MetricTest : public ::testing::Test {
 protected:
  // Runs `update` on more threads than there are shards, many times each.
  template <typename Update>
  static void Hammer(Update update) {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([thread, update] {
        for (int i = 0; i < kUpdates; ++i) update(thread);
      });
    }
  }
  static constexpr int kThreads = 20;
  static constexpr int kUpdates = 2000;

  internal::CellArena arena_;
};

TEST_F(MetricTest, ACounterAddsUpWhatAllThreadsCount) {
  Counter counter(arena_);
  Hammer([&](int) { counter.Increment(); });
  counter.Increment(5);
  EXPECT_EQ(counter.Value(), std::uint64_t{kThreads} * kUpdates + 5);
}

TEST_F(MetricTest, AnUpDownCounterGoesUpOnOneThreadAndDownOnAnother) {
  UpDownCounter counter(arena_);
  Hammer([&](int thread) { counter.Add(thread % 2 == 0 ? 1 : -1); });
  EXPECT_EQ(counter.Value(), 0);
  std::jthread([&] { counter.Add(-3); }).join();
  EXPECT_EQ(counter.Value(), -3);
}

TEST_F(MetricTest, AGaugeKeepsWhatWasSetAndAddsUpWhatThreadsAdd) {
  Gauge gauge(arena_);
  EXPECT_EQ(gauge.Value(), 0.0);
  gauge.Set(0.5);
  Hammer([&](int) { gauge.Add(0.25); });
  EXPECT_EQ(gauge.Value(), 0.5 + 0.25 * kThreads * kUpdates);
  gauge.Set(-1.5);
  EXPECT_EQ(gauge.Value(), -1.5);
}

TEST_F(MetricTest, AHistogramCountsAValueInTheFirstBucketThatIsNotBelowIt) {
  Histogram histogram(arena_, {0.0, 1.0, 2.0});
  for (const double value : {-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 1e300}) {
    histogram.Observe(value);
  }
  const HistogramValue value = histogram.Value();
  EXPECT_THAT(value.counts, ElementsAre(2, 2, 2, 2));
  EXPECT_EQ(value.count, 8u);
  EXPECT_EQ(value.sum, 1e300);
}

TEST_F(MetricTest, AHistogramTakesDurationsInSeconds) {
  Histogram histogram(arena_, {0.0015, 0.0025});
  histogram.Observe(2ms);
  EXPECT_THAT(histogram.Value().counts, ElementsAre(0, 1, 0));
  EXPECT_DOUBLE_EQ(histogram.Value().sum, 0.002);
}

TEST_F(MetricTest, AHistogramLeavesOutWhatIsNotFinite) {
  Histogram histogram(arena_, {1.0});
  histogram.Observe(std::nan(""));
  histogram.Observe(kInfinity);
  histogram.Observe(-kInfinity);
  EXPECT_EQ(histogram.Value().count, 0u);
  EXPECT_EQ(histogram.Value().sum, 0.0);
}

TEST_F(MetricTest, AHistogramAddsUpWhatAllThreadsObserve) {
  Histogram histogram(arena_, {1.0, 2.0});
  Hammer([&](int thread) { histogram.Observe(0.5 + thread % 3); });
  const HistogramValue value = histogram.Value();
  EXPECT_THAT(value.counts,
              ElementsAre(7 * kUpdates, 7 * kUpdates, 6 * kUpdates));
  EXPECT_EQ(value.sum, (7 * 0.5 + 7 * 1.5 + 6 * 2.5) * kUpdates);
  EXPECT_EQ(value.count, std::uint64_t{kThreads} * kUpdates);
}

TEST_F(MetricTest, AHistogramsTotalNeverDisagreesWithItsBuckets) {
  Histogram histogram(arena_, {1.0});
  std::atomic<bool> stop = false;
  std::jthread writer([&] {
    while (!stop) histogram.Observe(0.5);
  });
  for (int i = 0; i < 1000; ++i) {
    const HistogramValue value = histogram.Value();
    ASSERT_EQ(value.count, value.counts[0] + value.counts[1]);
  }
  stop = true;
}

TEST_F(MetricTest, CellsOfDifferentMetricsNeverOverlap) {
  std::set<const internal::MetricCell*> cells;
  std::size_t handed_out = 0;
  for (std::size_t count : {1, 201, 1, 510, 3, 512, 1, 202, 202, 202}) {
    internal::MetricCell* const first = arena_.Take(count);
    for (std::size_t shard = 0; shard < internal::kMetricShards; ++shard) {
      for (std::size_t i = 0; i < count; ++i) {
        internal::MetricCell& cell =
            first[shard * internal::kMetricShardStride + i];
        EXPECT_EQ(cell.load(), 0u);
        cells.insert(&cell);
        ++handed_out;
      }
    }
  }
  EXPECT_EQ(cells.size(), handed_out);
}

TEST(CheckBucketsTest, TakesFiniteAscendingBounds) {
  EXPECT_TRUE(CheckBuckets(DefaultLatencyBuckets()).ok());
  EXPECT_TRUE(CheckBuckets(std::vector<double>{-1.0, 0.0, 1e9}).ok());
  std::vector<double> most(200);
  for (std::size_t i = 0; i < most.size(); ++i) {
    most[i] = static_cast<double>(i);
  }
  EXPECT_TRUE(CheckBuckets(most).ok());
}

TEST(CheckBucketsTest, RefusesAnythingElseAndSaysWhere) {
  const auto message = [](std::vector<double> buckets) {
    const absl::Status status = CheckBuckets(buckets);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(message({}), HasSubstr("number of buckets"));
  EXPECT_THAT(message(std::vector<double>(201, 1.0)),
              HasSubstr("number of buckets"));
  EXPECT_THAT(message({1.0, 1.0}), HasSubstr("got 1 at index 1"));
  EXPECT_THAT(message({1.0, 3.0, 2.0}), HasSubstr("got 2 at index 2"));
  EXPECT_THAT(message({1.0, kInfinity}), HasSubstr("got inf at index 1"));
  EXPECT_THAT(message({std::nan("")}), HasSubstr("index 0"));
  EXPECT_THAT(message({1.0, std::nan("")}), HasSubstr("index 1"));
}

TEST(DefaultLatencyBucketsTest, SpansHalfAMillisecondToTenSeconds) {
  EXPECT_EQ(DefaultLatencyBuckets().front(), 0.0005);
  EXPECT_EQ(DefaultLatencyBuckets().back(), 10.0);
}

}  // namespace
}  // namespace grpccommon
