// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/server/app_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "grpccommon/testing/certificates.h"
#include "grpccommon/testing/status_matchers.h"

namespace grpccommon {
namespace {

using grpccommon::testing::IsOk;
using grpccommon::testing::MessageIs;
using grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using namespace std::chrono_literals;

TEST(AppSettingsTest, HasDefaultsForWhatIsNotSet) {
  AppSettings settings({{"PATH", "/bin"}, {"GRPCCOMMON_NAME", "x"}});
  EXPECT_EQ(settings.Text("DATABASE", "here"), "here");
  EXPECT_TRUE(settings.Flag("FLAG", true));
  EXPECT_EQ(settings.Integer("NUMBER", 7, 8, 9), 7);
  EXPECT_EQ(settings.Duration("INTERVAL", 5s), 5s);
  EXPECT_THAT(settings.List("LIST", {"a"}), ElementsAre("a"));
  EXPECT_EQ(settings.Secret("PASSWORD"), "");
  EXPECT_THAT(settings.Check(), IsOk());
}

TEST(AppSettingsTest, ReadsEveryKindOfValue) {
  AppSettings settings({{"GRPCCOMMON_APP_TEXT", "a,b"},
                        {"GRPCCOMMON_APP_REQUIRED", "r"},
                        {"GRPCCOMMON_APP_FLAG", "false"},
                        {"GRPCCOMMON_APP_NUMBER", "-3"},
                        {"GRPCCOMMON_APP_SIZE", "4KiB"},
                        {"GRPCCOMMON_APP_INTERVAL", "1.5s"},
                        {"GRPCCOMMON_APP_LIST", " a, b ,c"},
                        {"GRPCCOMMON_APP_NOTHING", ""},
                        {"GRPCCOMMON_APP_SECRET", "s"}});
  EXPECT_EQ(settings.Text("TEXT", ""), "a,b");
  EXPECT_EQ(settings.RequiredText("REQUIRED"), "r");
  EXPECT_FALSE(settings.Flag("FLAG", true));
  EXPECT_EQ(settings.Integer("NUMBER", 0), -3);
  EXPECT_EQ(settings.Integer("SIZE", 0, 1, 4096), 4096);
  const std::size_t size = settings.Integer("SIZE", std::size_t{1});
  EXPECT_EQ(size, 4096u);
  EXPECT_EQ(settings.Duration("INTERVAL", 5s), 1500ms);
  EXPECT_THAT(settings.List("LIST"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(settings.List("NOTHING", {"a"}), IsEmpty());
  EXPECT_EQ(settings.Secret("SECRET"), "s");
  EXPECT_THAT(settings.Check(), IsOk());
}

TEST(AppSettingsTest, TellsEverythingThatIsWrongAtOnce) {
  AppSettings settings({{"GRPCCOMMON_APP_FLAG", "yes"},
                        {"GRPCCOMMON_APP_NUMBER", "12"},
                        {"GRPCCOMMON_APP_TEXT_NUMBER", "1x"},
                        {"GRPCCOMMON_APP_NEGATIVE", "-1"},
                        {"GRPCCOMMON_APP_TOO_LARGE", "128"},
                        {"GRPCCOMMON_APP_INTERVAL", "5"},
                        {"GRPCCOMMON_APP_SHORT", "1ms"},
                        {"GRPCCOMMON_APP_LIST", "a,,b"},
                        {"GRPCCOMMON_APP_DATABSE", "mistyped"}});
  EXPECT_TRUE(settings.Flag("FLAG", true));
  EXPECT_EQ(settings.Integer("NUMBER", 7, 0, 10), 7);
  EXPECT_EQ(settings.Integer("TEXT_NUMBER", 7), 7);
  EXPECT_EQ(settings.Integer("NEGATIVE", 7u), 7u);
  EXPECT_EQ(settings.Integer("TOO_LARGE", std::int8_t{7}), 7);
  EXPECT_EQ(settings.Duration("INTERVAL", 5s), 5s);
  EXPECT_EQ(settings.Duration("SHORT", 5s, 1s, 10s), 5s);
  EXPECT_THAT(settings.List("LIST", {"x"}), ElementsAre("x"));
  EXPECT_EQ(settings.RequiredText("MISSING"), "");
  EXPECT_EQ(settings.Text("DATABASE", "here"), "here");
  EXPECT_THAT(
      settings.Check(),
      AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
            MessageIs(AllOf(
                HasSubstr("GRPCCOMMON_APP_FLAG must be true or false"),
                HasSubstr("GRPCCOMMON_APP_NUMBER must be a whole number in "
                          "[0, 10], got \"12\""),
                HasSubstr("GRPCCOMMON_APP_TEXT_NUMBER"),
                HasSubstr("GRPCCOMMON_APP_NEGATIVE"),
                HasSubstr("GRPCCOMMON_APP_TOO_LARGE"),
                HasSubstr("GRPCCOMMON_APP_INTERVAL must be a duration"),
                HasSubstr("GRPCCOMMON_APP_SHORT is out of range"),
                HasSubstr("GRPCCOMMON_APP_LIST must be a list"),
                HasSubstr("GRPCCOMMON_APP_MISSING must be set"),
                HasSubstr("unknown setting GRPCCOMMON_APP_DATABSE"),
                Not(HasSubstr("mistyped"))))));
}

TEST(AppSettingsTest, ReadsASecretFromAFile) {
  const testing::TemporaryFolder folder;
  AppSettings settings(
      {{"GRPCCOMMON_APP_KEY_FILE", folder.Write("key", " s3cret \n\n")}});
  EXPECT_EQ(settings.Secret("KEY"), " s3cret");
  EXPECT_THAT(settings.Check(), IsOk());
}

TEST(AppSettingsTest, NeverShowsASecret) {
  const testing::TemporaryFolder folder;
  AppSettings settings(
      {{"GRPCCOMMON_APP_KEY", "s3cret"},
       {"GRPCCOMMON_APP_KEY_FILE", folder.Write("key", "s3cret")},
       {"GRPCCOMMON_APP_OTHER_FILE", folder.path() + "/missing"}});
  EXPECT_EQ(settings.Secret("KEY"), "");
  EXPECT_EQ(settings.Secret("OTHER"), "");
  EXPECT_THAT(
      settings.Check(),
      MessageIs(AllOf(HasSubstr("GRPCCOMMON_APP_KEY and its _FILE"),
                      HasSubstr("GRPCCOMMON_APP_OTHER_FILE names a file"),
                      Not(HasSubstr("s3cret")))));
}

TEST(AppSettingsTest, ReadsTheEnvironmentOfTheProcess) {
  setenv("GRPCCOMMON_APP_FOR_THIS_TEST", "here", 1);
  AppSettings settings;
  unsetenv("GRPCCOMMON_APP_FOR_THIS_TEST");
  EXPECT_EQ(settings.Text("FOR_THIS_TEST", ""), "here");
}

}  // namespace
}  // namespace grpccommon
