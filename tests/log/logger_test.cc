// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/log/logger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace grpccommon {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

class RecordingSink : public LogSink {
 public:
  void Write(std::string_view line) override { lines.emplace_back(line); }
  void Flush() override {}
  std::vector<std::string> lines;
};

class FixedClock : public Clock {
 public:
  TimePoint Now() const override { return TimePoint(); }
  WallTime WallNow() const override {
    return WallTime(std::chrono::seconds(1767225600));
  }
};

class LoggerTest : public ::testing::Test {
 protected:
  FixedClock clock_;
  std::shared_ptr<RecordingSink> sink_ = std::make_shared<RecordingSink>();
  Logger logger_{sink_, "tasks", LogLevel::kInfo, clock_};
};

TEST_F(LoggerTest, WritesTimeLevelMessageServiceThenOwnFieldsThenTheLines) {
  logger_.With({"shard", 3})
      .With({"zone", "a\n"})
      .Warning("slow \"query\"", {{"rows", 12}, {"table", "t"}});
  EXPECT_THAT(
      sink_->lines,
      ElementsAre(
          "{\"ts\":\"2026-01-01T00:00:00.000000Z\",\"level\":\"warning\""
          ",\"msg\":\"slow \\\"query\\\"\",\"service\":\"tasks\","
          "\"shard\":3,\"zone\":\"a\\n\",\"rows\":12,\"table\":\"t\"}"
          "\n"));
}

TEST_F(LoggerTest, WithLeavesTheOriginalAlone) {
  const Logger with = logger_.With({"a", 1});
  logger_.Info("m");
  EXPECT_FALSE(json::parse(sink_->lines.at(0)).contains("a"));
}

TEST_F(LoggerTest, WritesNothingBelowItsLevel) {
  logger_.Debug("m");
  EXPECT_THAT(sink_->lines, ElementsAre());
  logger_.Info("m");
  logger_.set_level(LogLevel::kError);
  logger_.Warning("m");
  logger_.Error("m");
  EXPECT_EQ(sink_->lines.size(), 2u);
}

TEST_F(LoggerTest, WritesNothingWhenOffNotEvenAtThatLevel) {
  logger_.set_level(LogLevel::kOff);
  logger_.Error("m");
  logger_.Log(LogLevel::kOff, "m");
  EXPECT_THAT(sink_->lines, ElementsAre());
}

TEST_F(LoggerTest, ALevelHoldsForAllCopies) {
  const Logger copy = logger_.With({"a", 1});
  logger_.set_level(LogLevel::kDebug);
  EXPECT_TRUE(copy.Enabled(LogLevel::kDebug));
  EXPECT_EQ(copy.level(), LogLevel::kDebug);
  copy.Debug("m");
  EXPECT_EQ(sink_->lines.size(), 1u);
}

TEST_F(LoggerTest, ALineCanBeBuiltFieldByField) {
  LogLine line;
  logger_.Begin(line, LogLevel::kInfo, "call");
  line.AddInteger("bytes", 5).AddJson("request", "{\"a\":[1]}");
  logger_.Write(line);
  const json written = json::parse(sink_->lines.at(0));
  EXPECT_EQ(written["msg"], "call");
  EXPECT_EQ(written["service"], "tasks");
  EXPECT_EQ(written["request"]["a"][0], 1);
}

TEST(LoggerWithoutSinkTest, WritesNowhere) {
  Logger logger;
  EXPECT_FALSE(logger.Enabled(LogLevel::kError));
  logger.Error("m");
  logger.set_level(LogLevel::kDebug);
  logger.With({"a", 1}).Error("m", {{"b", 2}});
  EXPECT_EQ(logger.sink(), nullptr);
}

TEST(LogLevelTest, NamesAndValuesAgree) {
  for (const LogLevel level :
       {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError,
        LogLevel::kOff}) {
    EXPECT_EQ(ParseLogLevel(LogLevelName(level)), level);
  }
  EXPECT_EQ(LogLevelName(LogLevel::kWarning), "warning");
  EXPECT_EQ(ParseLogLevel("WARNING"), std::nullopt);
  EXPECT_EQ(ParseLogLevel(""), std::nullopt);
}

}  // namespace
}  // namespace grpccommon
