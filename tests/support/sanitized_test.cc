// SPDX-License-Identifier: Apache-2.0
#include "support/sanitized.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace grpccommon::test {
namespace {

using ::testing::Contains;
using ::testing::Not;
using ::testing::StartsWith;

TEST(SanitizerReportTest, IsWhatFollowsTheFirstMark) {
  EXPECT_THAT(SanitizerReport("{\"msg\":\"serving\"}\n==7==ERROR: "
                              "AddressSanitizer: heap-use-after-free\n#0"),
              StartsWith("ERROR: AddressSanitizer: heap-use-after-free\n#0"));
  EXPECT_THAT(SanitizerReport("WARNING: ThreadSanitizer: data race (pid=7)\n"
                              "a.cc:3:1: runtime error: overflow"),
              StartsWith("WARNING: ThreadSanitizer"));
  EXPECT_NE(SanitizerReport("==7==ERROR: LeakSanitizer: 8 bytes"), "");
  EXPECT_EQ(
      SanitizerReport("WARNING: ThreadSanitizer" + std::string(1 << 20, 'x'))
          .size(),
      8192);
  EXPECT_NE(SanitizerReport("a.cc:3:1: runtime error: shift"), "");
}

TEST(SanitizerReportTest, IsEmptyForALogWithErrorsOfItsOwn) {
  EXPECT_EQ(SanitizerReport(""), "");
  EXPECT_EQ(SanitizerReport("{\"level\":\"error\",\"msg\":\"runtime error\"}\n"
                            "{\"level\":\"warning\",\"msg\":\"draining\"}\n"),
            "");
}

TEST(InheritedEnvironmentTest, IsWhatIsSetOfASanitizersOptionsAndNoMore) {
  ASSERT_EQ(setenv("TSAN_OPTIONS", "second_deadlock_stack=1", 1), 0);
  ASSERT_EQ(unsetenv("UBSAN_OPTIONS"), 0);
  EXPECT_THAT(InheritedEnvironment(),
              Contains("TSAN_OPTIONS=second_deadlock_stack=1"));
  EXPECT_THAT(InheritedEnvironment(),
              Not(Contains(StartsWith("UBSAN_OPTIONS"))));
  EXPECT_THAT(InheritedEnvironment(), Not(Contains(StartsWith("PATH="))));
}

}  // namespace
}  // namespace grpccommon::test
