// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "base/grpc_compat.h"

#if GRPCCOMMON_GRPC_GPR_LOG

#include <gmock/gmock.h>
#include <grpc/support/log.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "google/protobuf/stubs/common.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/log/sink.h"

#if GRPCCOMMON_PROTOBUF_LOG
#include "google/protobuf/stubs/logging.h"
#endif

namespace grpccommon {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class RecordingSink : public LogSink {
 public:
  void Write(std::string_view line) override {
    lines.emplace_back(line);
    // As a sink does that itself uses gRPC, or fails and says so.
    gpr_log(GPR_ERROR, "from inside the sink");
  }
  void Flush() override {}
  std::vector<std::string> lines;
};

class GrpcLogTest : public ::testing::Test {
 protected:
  void SetUp() override { gpr_set_log_verbosity(GPR_LOG_SEVERITY_DEBUG); }
  std::shared_ptr<RecordingSink> sink_ = std::make_shared<RecordingSink>();
};

// What gRPC's GPR_ASSERT does, whose message would wait for others.
using GrpcLogDeathTest = GrpcLogTest;
TEST_F(GrpcLogDeathTest, TheLastWordsOfAnAbortAreWritten) {
  const auto abort_after = [](const char* file, const char* text) {
    const auto sink =
        CreateLogSink({.batch_interval = std::chrono::seconds(10)});
    InstallGrpcLog(Logger(*sink, "tasks", LogLevel::kInfo));
    gpr_log(file, 1, GPR_LOG_SEVERITY_ERROR, "assertion failed: %s", text);
    std::abort();
  };
  EXPECT_DEATH(abort_after("src/core/x.cc", "count == 0"),
               "assertion failed: count == 0");
}

#if GRPCCOMMON_PROTOBUF_LOG
TEST_F(GrpcLogDeathTest, AndThoseOfProtobufs) {
  const auto die = [] {
    const auto sink =
        CreateLogSink({.batch_interval = std::chrono::seconds(10)});
    InstallGrpcLog(Logger(*sink, "tasks", LogLevel::kInfo));
    try {
      GOOGLE_LOG(FATAL) << "no such field";
    } catch (const google::protobuf::FatalException&) {
      std::abort();  // as it does where nobody catches it
    }
  };
  EXPECT_DEATH(die(), "no such field");
}
#endif

TEST_F(GrpcLogTest, CarriesMessageSeverityAndPlaceOnceEach) {
  InstallGrpcLog(Logger(sink_, "tasks", LogLevel::kInfo));
  gpr_log("src/core/x.cc", 12, GPR_LOG_SEVERITY_ERROR, "broken \"%s\"", "pipe");
  gpr_log("src/core/y.cc", 34, GPR_LOG_SEVERITY_INFO, "fine");
  gpr_log("src/core/z.cc", 56, GPR_LOG_SEVERITY_DEBUG, "below the level");
  EXPECT_THAT(sink_->lines,
              ElementsAre(AllOf(HasSubstr("\"level\":\"error\""),
                                HasSubstr("\"msg\":\"broken \\\"pipe\\\"\""),
                                HasSubstr("\"service\":\"tasks\""),
                                HasSubstr("\"logger\":\"grpc\",\"file\":"
                                          "\"src/core/x.cc\",\"line\":12")),
                          AllOf(HasSubstr("\"level\":\"info\""),
                                HasSubstr("\"msg\":\"fine\""))));
}

TEST_F(GrpcLogTest, ALaterLoggerReplacesAnEarlierOne) {
  const auto second = std::make_shared<RecordingSink>();
  InstallGrpcLog(Logger(sink_, "first"));
  InstallGrpcLog(Logger(second, "second"));
  gpr_log(GPR_ERROR, "message");
  EXPECT_THAT(sink_->lines, IsEmpty());
  EXPECT_EQ(second->lines.size(), 1u);
}

#if GRPCCOMMON_PROTOBUF_LOG
TEST_F(GrpcLogTest, WhatProtobufSaysOfARequestIsALineToo) {
  InstallGrpcLog(Logger(sink_, "tasks"));
  GOOGLE_LOG(ERROR) << "field x contains invalid UTF-8 data";
  GOOGLE_LOG(WARNING) << "odd";
  EXPECT_THAT(
      sink_->lines,
      ElementsAre(AllOf(HasSubstr("\"level\":\"error\""),
                        HasSubstr("field x contains invalid UTF-8 data"),
                        HasSubstr("\"logger\":\"protobuf\"")),
                  HasSubstr("\"level\":\"warning\"")));
}
#endif

}  // namespace
}  // namespace grpccommon

#else  // what logs through Abseil has no function of gRPC to be tested with

TEST(GrpcLogTest, IsAbseils) { GTEST_SKIP() << "gRPC logs through Abseil"; }

#endif
