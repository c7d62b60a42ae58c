// SPDX-License-Identifier: Apache-2.0
#include "base/json_reader.h"

#include <gmock/gmock.h>

#include <string>

#include "grpccommon/testing/status_matchers.h"

namespace grpccommon::internal {
namespace {

using ::grpccommon::testing::IsOk;
using ::grpccommon::testing::IsOkAndHolds;
using ::grpccommon::testing::MessageIs;
using ::grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

absl::StatusOr<nlohmann::json> Parse(std::string_view text) {
  return ParseJson(text, "it", 1000, 4, 3);
}

auto IsRefused(const std::string& what) {
  return AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
               MessageIs(HasSubstr("it: " + what)));
}

TEST(JsonReaderTest, BuildsTheTreeThatStandsThere) {
  for (const char* text :
       {"null", "true", "-1.5", "\"x\"", "[]", "{}",
        R"({"a":[1,{"b":null},"c"],"d":{"a":18446744073709551615}})"}) {
    EXPECT_THAT(Parse(text), IsOkAndHolds(nlohmann::json::parse(text)));
  }
}

TEST(JsonReaderTest, RefusesWhatIsNotExactlyOneValue) {
  for (const char* text : {"", " ", "{", "[1,]", "{}{}", "nul", "'a'",
                           "{\"a\":}", "01", "\"\xFF\"", "// no\n1"}) {
    EXPECT_THAT(Parse(text), IsRefused("not JSON at byte")) << text;
  }
}

TEST(JsonReaderTest, ReadsBeyondAZeroByte) {
  for (const std::string_view text :
       {std::string_view("1\0", 2), std::string_view("{}\0{}", 5),
        std::string_view("[\0]", 3), std::string_view("\"\0\"", 3)}) {
    EXPECT_THAT(Parse(text), IsRefused("not JSON at byte"));
  }
  EXPECT_THAT(Parse("\"\\u0000\""),
              IsOkAndHolds(nlohmann::json(std::string(1, '\0'))));
}

TEST(JsonReaderTest, QuotesNoValueInItsErrors) {
  const auto parsed = Parse(R"({"password": hunter2})");
  EXPECT_THAT(parsed.status(), Not(MessageIs(HasSubstr("hunter2"))));
}

TEST(JsonReaderTest, RefusesAMemberThatAppearsTwice) {
  EXPECT_THAT(Parse(R"({"a":1,"b":{"a":1},"a":1})"),
              IsRefused("member \"a\" appears twice"));
  EXPECT_THAT(Parse(R"([{"a":1},{"a":1}])"), IsOk());
}

TEST(JsonReaderTest, RefusesMoreThanItsLimits) {
  EXPECT_THAT(Parse("[[[[]]]]"), IsOk());
  EXPECT_THAT(Parse("[[[[[]]]]]"), IsRefused("nested deeper than 4"));
  EXPECT_THAT(Parse(R"({"a":1,"b":1,"c":1})"), IsOk());
  EXPECT_THAT(Parse(R"({"a":1,"b":1,"c":1,"d":1})"),
              IsRefused("an object has more than 3 members"));
  EXPECT_THAT(Parse(std::string(1001, ' ')),
              IsRefused("larger than 1000 bytes"));
}

TEST(JsonReaderTest, NamesAnUnknownMember) {
  const nlohmann::json object = {{"known", 1}, {"unknown", 2}};
  EXPECT_THAT(CheckMembers(object, "it", {"known", "unknown"}), IsOk());
  EXPECT_THAT(CheckMembers(object, "it", {"known"}),
              IsRefused("unknown member \"unknown\""));
  EXPECT_THAT(CheckMembers(nlohmann::json::array(), "it", {}),
              IsRefused("must be an object"));
}

}  // namespace
}  // namespace grpccommon::internal
