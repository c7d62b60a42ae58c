// SPDX-License-Identifier: Apache-2.0
#include "services/execution/languages.h"

#include <chrono>
#include <string>

#include "gmock/gmock.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "gtest/gtest.h"
#include "services/execution/fake_sandbox.h"

namespace platform::execution {
namespace {

using grpccommon::testing::RecordingLogSink;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace std::chrono_literals;

// The languages of this machine, whose tools answer as told.
class LanguagesTest : public ::testing::Test {
 protected:
  Languages Detect() {
    testing::FakeSandbox sandbox(
        [this](const SandboxRequest&) { return std::optional(answer_); });
    sandbox.PumpByItself();
    return Languages::Detect(
        sandbox, grpccommon::Logger(log_, "test", grpccommon::LogLevel::kInfo));
  }

  SandboxResult answer_ = testing::Exited("tool 1.2.3\nCopyright …\n");
  std::shared_ptr<RecordingLogSink> log_ = std::make_shared<RecordingLogSink>();
};

TEST_F(LanguagesTest, VersionsAreTheFirstLineOfWhatToolsSay) {
  const Languages languages = Detect();
  for (const char* id : {"c", "cpp", "python", "javascript"}) {
    ASSERT_NE(languages.Find(id), nullptr) << id;
    EXPECT_EQ(languages.Find(id)->version, "tool 1.2.3");
  }
  EXPECT_TRUE(languages.Find("cpp")->compiled);
  EXPECT_FALSE(languages.Find("python")->compiled);
  EXPECT_EQ(languages.Find("cobol"), nullptr);
}

TEST_F(LanguagesTest, AVersionMayComeOnStandardError) {
  answer_ = testing::Exited("");
  answer_.error = "tool 4 \xFF";
  EXPECT_EQ(Detect().Find("c")->version, "tool 4 \xEF\xBF\xBD");
}

TEST_F(LanguagesTest, WhatDoesNotRunInTheSandboxIsLeftOutAndLogged) {
  answer_ = testing::Exited("", 127);
  EXPECT_THAT(Detect().all(), IsEmpty());
  EXPECT_THAT(log_->lines(), Contains(HasSubstr("\"language\":\"cpp\"")));
}

TEST(LanguageRequestTest, BuildsInAnEmptyFolder) {
  const Languages languages = testing::FakeLanguages();
  const SandboxRequest request =
      BuildRequest(*languages.Find("cpp"), "source", nullptr);
  EXPECT_THAT(request.argv, ElementsAre("/usr/bin/g++", "main.cpp"));
  ASSERT_THAT(request.files, SizeIs(1));
  EXPECT_EQ(request.files[0].path, "main.cpp");
  EXPECT_EQ(request.files[0].content, "source");
  EXPECT_THAT(request.keep, ElementsAre("main"));
  EXPECT_THAT(request.environment, IsEmpty());
}

TEST(LanguageRequestTest, ARunHasTheProgramsLimitsAndItsRuntimes) {
  const Language language = {
      .id = "x",
      .run = {"/usr/bin/x", "-p{program MiB}", "--all={all MiB}m", "-"},
      .runtime_memory_bytes = 96 << 20,
      .processes = 7};
  const RunLimits limits = {
      .cpu_time = 1500ms, .memory_bytes = 64 << 20, .output_bytes = 1000};
  const SandboxRequest request = RunRequest(language, nullptr, "input", limits);
  EXPECT_THAT(request.argv,
              ElementsAre("/usr/bin/x", "-p64", "--all=160m", "-"));
  EXPECT_EQ(request.input, "input");
  EXPECT_EQ(request.limits.cpu_time, 1500ms);
  EXPECT_EQ(request.limits.wall_time, 6500ms);
  EXPECT_EQ(request.limits.memory_bytes, 160 << 20);
  EXPECT_EQ(request.limits.output_bytes, 1000);
  EXPECT_EQ(request.limits.processes, 7);
  EXPECT_THAT(request.files, IsEmpty());
  EXPECT_THAT(request.keep, IsEmpty());
}

TEST(LanguageRequestTest, AsksForNoLessMemoryThanASandboxHas) {
  const Language language = {.id = "x", .run = {"/program/main"}};
  EXPECT_EQ(RunRequest(language, nullptr, "",
                       {.cpu_time = 1s, .memory_bytes = 1, .output_bytes = 1})
                .limits.memory_bytes,
            1 << 20);
}

TEST(LanguageRequestTest, ALanguagesEnvironmentComesWithTheUsualOne) {
  Language language = {.id = "x", .build = {"/usr/bin/x"}};
  language.environment = {{"GOCACHE", "/tmp/go"}};
  const auto environment = BuildRequest(language, "", nullptr).environment;
  EXPECT_THAT(environment, Contains(std::pair<std::string, std::string>(
                               "GOCACHE", "/tmp/go")));
  EXPECT_THAT(environment,
              Contains(std::pair<std::string, std::string>("HOME", "/work")));
}

}  // namespace
}  // namespace platform::execution
