// SPDX-License-Identifier: Apache-2.0
#include "metrics/process_metrics.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <string>
#include <thread>

namespace grpccommon::internal {
namespace {

std::map<std::string, double> Collect() {
  std::vector<prometheus::MetricFamily> families;
  CollectProcessMetrics(families);
  std::map<std::string, double> values;
  for (const auto& family : families) {
    values[family.name] = family.type == prometheus::MetricType::Counter
                              ? family.metric.at(0).counter.value
                              : family.metric.at(0).gauge.value;
  }
  return values;
}

TEST(ParseProcessStatTest, ReadsItsFieldsBehindAnyName) {
  const auto stat = ParseProcessStat(
      "42 (a) b (c) R 1 2 3 4 5 6 7 8 9 10 700 33 -1 -2 20 0 5 0 123456 "
      "1048576 256 18446744073709551615 1\n");
  ASSERT_TRUE(stat.has_value());
  EXPECT_EQ(stat->cpu_ticks, 733u);
  EXPECT_EQ(stat->threads, 5);
  EXPECT_EQ(stat->start_ticks, 123456u);
  EXPECT_EQ(stat->virtual_bytes, 1048576u);
  EXPECT_EQ(stat->resident_pages, 256);
}

TEST(ParseProcessStatTest, RefusesWhatIsCutOffOrNoNumber) {
  EXPECT_FALSE(ParseProcessStat("").has_value());
  EXPECT_FALSE(ParseProcessStat("42 (a").has_value());
  EXPECT_FALSE(ParseProcessStat("42 (a)").has_value());
  EXPECT_FALSE(ParseProcessStat("42 (a) R 1 2 3 4 5 6 7 8 9 10 700 33 -1 -2 20 "
                                "0 5 0 123456 1048576")
                   .has_value());
  EXPECT_FALSE(ParseProcessStat("42 (a) R 1 2 3 4 5 6 7 8 9 10 x 33 -1 -2 20 0 "
                                "5 0 123456 1048576 256")
                   .has_value());
}

TEST(ParseBootTimeTest, FindsTheLine) {
  EXPECT_EQ(ParseBootTime("cpu 1 2\nctxt 5\nbtime 1767225600\nprocesses 3\n"),
            1767225600.0);
  EXPECT_FALSE(ParseBootTime("cpu 1 2\n").has_value());
  EXPECT_FALSE(ParseBootTime("btime").has_value());
  EXPECT_FALSE(ParseBootTime("btime soon\n").has_value());
}

TEST(CollectProcessMetricsTest, TellsOfThisProcess) {
  const std::map<std::string, double> values = Collect();
  EXPECT_GT(values.at("process_resident_memory_bytes"), 1e6);
  EXPECT_GT(values.at("process_virtual_memory_bytes"),
            values.at("process_resident_memory_bytes"));
  EXPECT_LT(values.at("process_open_fds"), values.at("process_max_fds"));
  const double now = std::chrono::duration<double>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
  EXPECT_NEAR(values.at("process_start_time_seconds"), now, 3600.0);
}

TEST(CollectProcessMetricsTest, CountsOpenFiles) {
  const double before = Collect().at("process_open_fds");
  const int fd = open("/dev/null", O_RDONLY);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(Collect().at("process_open_fds"), before + 1);
  close(fd);
  EXPECT_EQ(Collect().at("process_open_fds"), before);
}

TEST(CollectProcessMetricsTest, CountsThreadsAndCpuTime) {
  const std::map<std::string, double> before = Collect();
  std::atomic<bool> stop = false;
  std::jthread thread([&] {
    while (!stop) stop.wait(false);
  });
  // A sanitizer may add one of its own.
  EXPECT_GE(Collect().at("process_threads"), before.at("process_threads") + 1);
  stop = true;
  stop.notify_all();

  // Works until the clock of the kernel has moved, however coarse that is.
  const double cpu = before.at("process_cpu_seconds_total");
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (Collect().at("process_cpu_seconds_total") <= cpu) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
  }
}

}  // namespace
}  // namespace grpccommon::internal
