// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/validate/validator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "benchmarks/count_allocations.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/dynamic_message.h"
#include "google/protobuf/text_format.h"
#include "google/rpc/error_details.pb.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "grpccommon/v1/options.pb.h"
#include "validate/proto2_rules.pb.h"
#include "validate/rules.pb.h"

namespace grpccommon {
namespace {

using namespace validate_test::v1;  // NOLINT: the messages under test
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::vector<std::string> ViolationsOf(const absl::Status& status) {
  std::vector<std::string> all;
  google::rpc::BadRequest bad_request;
  if (status.ok()) return all;
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_TRUE(GetDetail(status, bad_request)) << status;
  for (const auto& violation : bad_request.field_violations()) {
    all.push_back(violation.field() + ": " + violation.description());
  }
  return all;
}

// "field: description" of each violation.
std::vector<std::string> Check(const google::protobuf::Message& message) {
  const auto validator = Validator::Create(*message.GetDescriptor());
  if (!validator.ok()) return {std::string(validator.status().message())};
  return ViolationsOf((*validator)->Validate(message));
}

template <typename T>
T Parse(const std::string& text) {
  T message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

template <typename T>
std::vector<std::string> CheckText(const std::string& text) {
  return Check(Parse<T>(text));
}

// A file whose message M has the given body.
absl::Status Compile(const std::string& body) {
  google::protobuf::FileDescriptorProto file;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "name: 'm.proto' package: 'p' syntax: 'proto3' "
      "dependency: 'google/protobuf/duration.proto' "
      "message_type { name: 'M' " +
          body + " }",
      &file));
  google::protobuf::DescriptorPool pool(
      google::protobuf::DescriptorPool::generated_pool());
  const auto* const built = pool.BuildFile(file);
  EXPECT_NE(built, nullptr);
  return Validator::Create(*built->message_type(0)).status();
}

// The same for a message of one field `f`.
std::string CompileField(const std::string& type, const std::string& contract) {
  const absl::Status status =
      Compile("field { name: 'f' number: 1 " + type +
              " options { [grpccommon.v1.field] { " + contract + " } } }");
  if (status.ok()) return "";
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("contract of p.M.f: "));
  return std::string(status.message());
}

constexpr char kString[] = "type: TYPE_STRING label: LABEL_OPTIONAL";
constexpr char kStrings[] = "type: TYPE_STRING label: LABEL_REPEATED";
constexpr char kBytes[] = "type: TYPE_BYTES label: LABEL_OPTIONAL";
constexpr char kInt32[] = "type: TYPE_INT32 label: LABEL_OPTIONAL";
constexpr char kUint64[] = "type: TYPE_UINT64 label: LABEL_OPTIONAL";
constexpr char kInt64[] = "type: TYPE_INT64 label: LABEL_OPTIONAL";
constexpr char kDouble[] = "type: TYPE_DOUBLE label: LABEL_OPTIONAL";
constexpr char kFloat[] = "type: TYPE_FLOAT label: LABEL_OPTIONAL";
constexpr char kBool[] = "type: TYPE_BOOL label: LABEL_OPTIONAL";
constexpr char kDuration[] =
    "type: TYPE_MESSAGE label: LABEL_OPTIONAL "
    "type_name: '.google.protobuf.Duration'";
constexpr char kDurations[] =
    "type: TYPE_MESSAGE label: LABEL_REPEATED "
    "type_name: '.google.protobuf.Duration'";

TEST(ValidatorTest, RequiresWhatIsRequired) {
  EXPECT_THAT(Check(Strings()), ElementsAre("name: is required"));
  EXPECT_THAT(CheckText<Strings>("name: 'ada'"), IsEmpty());
}

TEST(ValidatorTest, CountsLengthsInCodePoints) {
  EXPECT_THAT(CheckText<Strings>("name: 'äöüß€'"), IsEmpty());
  EXPECT_THAT(CheckText<Strings>("name: 'abcdef'"),
              ElementsAre("name: must have at most 5 characters, got 6"));
  EXPECT_THAT(CheckText<Strings>("name: '€'"),
              ElementsAre("name: must have at least 2 characters, got 1"));
}

TEST(ValidatorTest, LeavesUnsetFieldsAlone) {
  EXPECT_THAT(CheckText<Strings>("name: 'ada' code: ''"), IsEmpty());
  EXPECT_THAT(CheckText<Numbers>("count: 0"), IsEmpty());
  EXPECT_THAT(Check(Choice()), IsEmpty());
}

TEST(ValidatorTest, HoldsRulesForADefaultValueThatWasSetExplicitly) {
  EXPECT_THAT(CheckText<Strings>("name: 'ada' nick: ''"),
              ElementsAre("nick: must have at least 1 character, got 0"));
  EXPECT_THAT(CheckText<Numbers>("signed: 0"),
              ElementsAre("signed: must be at least 1, got 0"));
}

TEST(ValidatorTest, MatchesTheWholeValueWithAPattern) {
  EXPECT_THAT(CheckText<Strings>("name: 'ada' code: 'ABC-12'"), IsEmpty());
  for (const char* code : {"xABC-1", "ABC-1x", "ABC-1\\n", "ABC-"}) {
    EXPECT_THAT(
        CheckText<Strings>(std::string("name: 'ada' code: '") + code + "'"),
        ElementsAre("code: must match [A-Z]{3}-\\d+"))
        << code;
  }
}

TEST(ValidatorTest, KnowsItsListsAndFormats) {
  EXPECT_THAT(
      CheckText<Strings>(
          "name: 'ada' colour: 'green' email: 'a@b.c' "
          "id: '0198c2f1-7b7a-4cc1-9e1d-0f1e2d3c4b5a' link: 'http://h/p' "
          "host: 'h.example'"),
      IsEmpty());
  EXPECT_THAT(
      CheckText<Strings>("name: 'ada' colour: 'gree' email: 'a' id: '1' "
                         "link: 'h/p' host: 'h_'"),
      ElementsAre("colour: must be one of \"red\", \"green\"",
                  "email: must be an e-mail address", "id: must be a UUID",
                  "link: must be an absolute URI with an authority",
                  "host: must be a host name"));
}

TEST(ValidatorTest, RefusesStringsThatAreNotUtf8) {
  Proto2Rules message;
  message.set_text("\xff\xfe");
  message.add_unchecked("\xff");
  EXPECT_THAT(Check(message), ElementsAre("text: must be valid UTF-8"));
}

TEST(ValidatorTest, HoldsInProto2AndInGroups) {
  EXPECT_THAT(CheckText<Proto2Rules>("number: 0 Inner {}"),
              ElementsAre("number: must be at least 1, got 0",
                          "inner.name: is required"));
  EXPECT_THAT(CheckText<Proto2Rules>("Inner { name: '' }"), IsEmpty());
}

TEST(ValidatorTest, MeasuresBytesInBytes) {
  EXPECT_THAT(CheckText<Bytes>("data: '\\377\\377'"), IsEmpty());
  EXPECT_THAT(CheckText<Bytes>("data: '1'"),
              ElementsAre("data: must have at least 2 bytes, got 1"));
  EXPECT_THAT(CheckText<Bytes>("data: '12345'"),
              ElementsAre("data: must have at most 4 bytes, got 5"));
}

TEST(ValidatorTest, BoundsIntegersOfEverySize) {
  EXPECT_THAT(CheckText<Numbers>("small: -3"), IsEmpty());
  EXPECT_THAT(CheckText<Numbers>("small: 7"), IsEmpty());
  EXPECT_THAT(CheckText<Numbers>("small: 8"),
              ElementsAre("small: must be at least -3 and at most 7.5, got 8"));
  EXPECT_THAT(CheckText<Numbers>("small: -2147483648"), Not(IsEmpty()));
  EXPECT_THAT(CheckText<Numbers>("count: 1"),
              ElementsAre("count: must be at least 2, got 1"));
}

TEST(ValidatorTest, ComparesLargeIntegersExactly) {
  EXPECT_THAT(CheckText<Numbers>("large: 9007199254740991"), IsEmpty());
  EXPECT_THAT(CheckText<Numbers>("large: 9007199254740992"), Not(IsEmpty()));
  EXPECT_THAT(CheckText<Numbers>("large: 9007199254740993"), Not(IsEmpty()));
  EXPECT_THAT(CheckText<Numbers>("huge: 9223372036854775808"), Not(IsEmpty()));
  EXPECT_THAT(CheckText<Numbers>("huge: 9223372036854775809"), IsEmpty());
  EXPECT_THAT(CheckText<Numbers>("huge: 18446744073709551615"), IsEmpty());
}

TEST(ValidatorTest, ComparesAFloatWithTheBoundAsAFloat) {
  EXPECT_THAT(CheckText<Numbers>("ratio: 0.1"), IsEmpty());
  EXPECT_THAT(CheckText<Numbers>("ratio: 0.10000001"), Not(IsEmpty()));
  EXPECT_THAT(CheckText<Numbers>("ratio: inf"), Not(IsEmpty()));
}

TEST(ValidatorTest, KeepsExclusiveBoundsOut) {
  EXPECT_THAT(CheckText<Numbers>("share: 0.5"), IsEmpty());
  EXPECT_THAT(
      CheckText<Numbers>("share: 1"),
      ElementsAre("share: must be greater than 0 and less than 1, got 1"));
}

TEST(ValidatorTest, RefusesNaNWithBoundsAndWithout) {
  Numbers message;
  message.set_ratio(std::numeric_limits<float>::quiet_NaN());
  message.set_share(std::nan(""));
  message.set_real(std::nan(""));
  EXPECT_THAT(
      Check(message),
      ElementsAre("ratio: must be at least 0 and at most 0.1, got nan",
                  "share: must be greater than 0 and less than 1, got nan",
                  "real: must be a number, got nan"));
  message.Clear();
  message.set_real(-std::numeric_limits<double>::infinity());
  EXPECT_THAT(Check(message), IsEmpty());
}

TEST(ValidatorTest, TakesOnlyDeclaredEnumValues) {
  Enums message = Parse<Enums>("colours: COLOUR_RED");
  EXPECT_THAT(Check(message), IsEmpty());
  message.set_colour(static_cast<Colour>(3));
  EXPECT_THAT(Check(message),
              ElementsAre("colour: must be a declared value of "
                          "grpccommon.validate_test.v1.Colour, got 3"));
}

TEST(ValidatorTest, RefusesZeroInARequiredEnumOnly) {
  EXPECT_THAT(CheckText<Enums>("colours: [COLOUR_RED, COLOUR_UNSPECIFIED]"),
              ElementsAre("colours[1]: must not be unspecified"));
  EXPECT_THAT(Check(Enums()), ElementsAre("colours: is required"));
}

TEST(ValidatorTest, BoundsDurationsInclusively) {
  EXPECT_THAT(CheckText<Durations>("wait { nanos: 500000000 }"), IsEmpty());
  EXPECT_THAT(CheckText<Durations>("wait { seconds: 10 }"), IsEmpty());
  EXPECT_THAT(CheckText<Durations>("wait { seconds: 10 nanos: 1 }"),
              Not(IsEmpty()));
  EXPECT_THAT(CheckText<Durations>("wait {}"),
              ElementsAre("wait: must be at least 0.5s, got 0s"));
}

TEST(ValidatorTest, RefusesDurationsThatAreNone) {
  for (const char* text :
       {"wait { seconds: 1 nanos: -1 }", "wait { nanos: 1000000000 }",
        "wait { seconds: -9223372036854775808 }",
        "wait { seconds: 315576000001 }"}) {
    EXPECT_THAT(CheckText<Durations>(text),
                ElementsAre("wait: must be a valid duration"))
        << text;
  }
}

TEST(ValidatorTest, LooksIntoWrappers) {
  EXPECT_THAT(CheckText<Wrapped>("count { value: 1 }"),
              ElementsAre("text: is required"));
  EXPECT_THAT(CheckText<Wrapped>("text {} count {} data { value: 'abc' } "
                                 "counts { value: 9 } counts { value: 10 }"),
              ElementsAre("text: must have at least 1 character, got 0",
                          "count: must be at least 1, got 0",
                          "data: must have at most 2 bytes, got 3",
                          "counts[1]: must be at most 9, got 10"));
}

TEST(ValidatorTest, NamesElementsByTheirIndex) {
  EXPECT_THAT(CheckText<Lists>("items { sku: 'a' } items { price: 1 } "
                               "items { sku: 'c' price: -1 }"),
              ElementsAre("items[1].sku: is required",
                          "items[2].price: must be at least 0, got -1"));
}

TEST(ValidatorTest, BoundsTheNumberOfItemsAlsoOfAnEmptyList) {
  EXPECT_THAT(Check(Lists()),
              ElementsAre("items: must have at least 1 item, got 0"));
  EXPECT_THAT(CheckText<Lists>("items {} items {} items {} items {}"),
              ElementsAre("items: must have at most 3 items, got 4"));
}

TEST(ValidatorTest, FindsRepeatedItems) {
  EXPECT_THAT(
      CheckText<Lists>("items { sku: 'a' } tags: ['a', 'b', 'a', ''] "
                       "weights: [0, 1, -0.0] flags: [true, false, true] "
                       "numbers: [7, 7] colours: [COLOUR_RED, COLOUR_RED] "
                       "ids: [18446744073709551615, 1, 18446744073709551615]"),
      ElementsAre("tags[3]: must have at least 1 character, got 0",
                  "tags[2]: must not repeat an earlier item",
                  "weights[2]: must not repeat an earlier item",
                  "flags[2]: must not repeat an earlier item",
                  "numbers[1]: must not repeat an earlier item",
                  "colours[1]: must not repeat an earlier item",
                  "ids[2]: must not repeat an earlier item"));
}

TEST(ValidatorTest, FindsRepeatedItemsInLongLists) {
  Lists message = Parse<Lists>("items { sku: 'a' }");
  for (int i = 0; i < 1000; ++i) {
    message.add_tags(std::to_string(i));
    message.add_numbers(i);
  }
  EXPECT_THAT(Check(message), IsEmpty());
  message.add_tags("500");
  message.add_numbers(0);
  EXPECT_THAT(Check(message),
              ElementsAre("tags[1000]: must not repeat an earlier item",
                          "numbers[1000]: must not repeat an earlier item"));
}

TEST(ValidatorTest, NamesMapEntriesByTheirKey) {
  EXPECT_THAT(CheckText<Maps>("labels { key: 'k' value: 'v' } "
                              "by_name { key: 'x\"\\n' value {} } "
                              "names { key: -7 value: 'long' } "
                              "votes { key: true value: -1 } "
                              "by_time { key: -5000000000 value {} } "
                              "by_port { key: 4294967295 value {} } "
                              "by_id { key: 18446744073709551615 value {} }"),
              ElementsAre("by_name[\"x\\\"\\n\"].sku: is required",
                          "names[-7]: must have at most 3 characters, got 4",
                          "votes[true]: must be at least 0, got -1",
                          "by_time[-5000000000].sku: is required",
                          "by_port[4294967295].sku: is required",
                          "by_id[18446744073709551615].sku: is required"));
  EXPECT_THAT(CheckText<Maps>("labels { key: 'k' value: 'v' } "
                              "votes { key: false value: -1 }"),
              ElementsAre("votes[false]: must be at least 0, got -1"));
}

TEST(ValidatorTest, HoldsValueRulesForEmptyMapValues) {
  EXPECT_THAT(
      CheckText<Maps>("labels { key: 'k' }"),
      ElementsAre("labels[\"k\"]: must have at least 1 character, got 0"));
  EXPECT_THAT(Check(Maps()), ElementsAre("labels: is required"));
}

TEST(ValidatorTest, BoundsTheNumberOfEntries) {
  EXPECT_THAT(CheckText<Maps>("labels { key: 'k' value: 'v' } names { key: 1 } "
                              "names { key: 2 } names { key: 3 }"),
              ElementsAre("names: must have at most 2 items, got 3"));
}

TEST(ValidatorTest, EscapesAndShortensKeysFromOutside) {
  Proto2Rules message;
  (*message.mutable_scores())["\xff\xfe"] = 10;
  EXPECT_THAT(Check(message),
              ElementsAre("scores[\"\\xff\\xfe\"]: must be at most 9, got 10"));
  message.Clear();
  (*message.mutable_scores())[std::string(100'000, 'k')] = 10;
  const std::vector<std::string> violations = Check(message);
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_LT(violations[0].size(), 200u);
}

TEST(ValidatorTest, ChecksTheMemberOfAOneofThatIsSet) {
  EXPECT_THAT(CheckText<Choice>("text: ''"),
              ElementsAre("text: must have at least 3 characters, got 0"));
  EXPECT_THAT(CheckText<Choice>("item {}"),
              ElementsAre("item.sku: is required"));
  EXPECT_THAT(CheckText<Choice>("number: 0"),
              ElementsAre("number: must be at least 10, got 0"));
}

TEST(ValidatorTest, TellsNothingOfSecrets) {
  EXPECT_THAT(CheckText<Credentials>("password: 'hunter2' pin: 123456 "
                                     "inside { count: 1 }"),
              ElementsAre("password: must have at least 8 characters",
                          "pin: must be at most 9999",
                          "inside.count: must be at least 2"));
  EXPECT_THAT(CheckText<Maps>("labels { key: 'k' value: 'v' } "
                              "passwords { key: 'bob' value: 'p' }"),
              ElementsAre("passwords[?]: must have at least 8 characters"));
}

TEST(ValidatorTest, FollowsRecursiveTypes) {
  EXPECT_THAT(CheckText<Tree>("left { children { label: 'a' } "
                              "children { left { label: 'abcde' } } }"),
              ElementsAre("left.children[1].left.label: must have at most 4 "
                          "characters, got 5"));
  EXPECT_THAT(CheckText<Ping>("pong { ping { pong { item {} } } }"),
              ElementsAre("pong.ping.pong.item.sku: is required"));
}

TEST(ValidatorTest, RefusesEndlessNesting) {
  Tree tree;
  Tree* inner = &tree;
  for (int i = 0; i < Validator::kMaxDepth; ++i) inner = inner->mutable_left();
  EXPECT_THAT(Check(tree), IsEmpty());
  inner->mutable_left();
  const std::vector<std::string> violations = Check(tree);
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_THAT(violations[0], HasSubstr("is nested deeper than 128 messages"));
  EXPECT_LT(violations[0].size(), 400u);
}

TEST(ValidatorTest, StopsAfterTwentyViolations) {
  Lists message;
  message.add_items()->set_sku("a");
  for (int i = 0; i < 100'000; ++i) message.add_numbers(2000 + i);
  EXPECT_EQ(Check(message).size(), Validator::kMaxViolations);
}

TEST(ValidatorTest, FitsItsDetailsIntoATrailer) {
  // The longest paths there are: as deep as allowed, with long keys.
  Proto2Rules message;
  for (int i = 0; i < 100; ++i) {
    (*message.mutable_scores())[std::to_string(i) + std::string(500, 'k')] = 10;
  }
  const auto validator = Validator::Create(*Proto2Rules::descriptor());
  const absl::Status status = (*validator)->Validate(message);
  const absl::Status sent = FromGrpcStatus(ToGrpcStatus(status));
  EXPECT_GE(ViolationsOf(sent).size(), 10u);
}

TEST(ValidatorTest, CutsALongPathBetweenCharacters) {
  for (const char* last : {"a", "ab", "abc"}) {  // the cut moves with it
    Tree tree;
    Tree* inner = &tree;
    for (int i = 0; i < 8; ++i) {
      inner = &(*inner->mutable_branches())["語語語語語語語語語語"];
    }
    (*inner->mutable_branches())[last].set_label("too long");
    const std::vector<std::string> violations = Check(tree);
    ASSERT_EQ(violations.size(), 1u);
    EXPECT_THAT(violations[0], HasSubstr("..."));
    EXPECT_THAT(violations[0], Not(HasSubstr("\uFFFD")));
  }
}

TEST(ValidatorTest, BoundsBeyondAFloatHoldForInfinityToo) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  BeyondFloat message;
  message.set_ratio(std::numeric_limits<float>::max());
  EXPECT_THAT(Check(message), IsEmpty());
  message.set_ratio(kInfinity);
  EXPECT_THAT(Check(message),
              ElementsAre(HasSubstr("ratio: must be at least -1e+39 and at "
                                    "most 1e+39")));
  message.set_ratio(-kInfinity);
  EXPECT_EQ(Check(message).size(), 1u);
}

TEST(ValidatorTest, KnowsTypesWithoutRules) {
  const auto plain = Validator::Create(*Plain::descriptor());
  ASSERT_TRUE(plain.ok());
  EXPECT_FALSE((*plain)->has_rules());
  EXPECT_TRUE((*plain)->Validate(Parse<Plain>("text: 'x'")).ok());
  EXPECT_TRUE((*Validator::Create(*Ping::descriptor()))->has_rules());
}

TEST(ValidatorTest, RefusesAMessageOfAnotherType) {
  const auto validator = Validator::Create(*Strings::descriptor());
  EXPECT_EQ((*validator)->Validate(Plain()).code(),
            absl::StatusCode::kInternal);
}

TEST(ValidatorTest, ChecksDynamicMessages) {
  google::protobuf::DynamicMessageFactory factory;
  const google::protobuf::Descriptor& type = *Wrapped::descriptor();
  const std::unique_ptr<google::protobuf::Message> message(
      factory.GetPrototype(&type)->New());
  ASSERT_TRUE(message->ParseFromString(
      Parse<Wrapped>("count { value: -1 }").SerializeAsString()));
  EXPECT_THAT(
      Check(*message),
      ElementsAre("text: is required", "count: must be at least 1, got -1"));
}

TEST(ValidatorTest, ChecksAValidMessageWithoutAllocation) {
  if (!kCountsAllocations) GTEST_SKIP() << "a sanitizer allocates itself";
  const auto strings = *Validator::Create(*Strings::descriptor());
  const auto lists = *Validator::Create(*Lists::descriptor());
  const auto numbers = *Validator::Create(*Numbers::descriptor());
  const Strings text = Parse<Strings>(
      "name: 'ada' code: 'ABC-12' colour: 'green' email: 'a@b.c' "
      "id: '0198c2f1-7b7a-4cc1-9e1d-0f1e2d3c4b5a' link: 'http://h/p'");
  const Lists list = Parse<Lists>(
      "items { sku: 'a' price: 3 } items { sku: 'b' } tags: ['x', 'y']");
  const Numbers number = Parse<Numbers>("small: 1 share: 0.5 ratio: 0.05");
  ASSERT_TRUE(strings->Validate(text).ok());  // RE2 builds its automaton here
  const std::uint64_t before = thread_allocations;
  const bool valid = strings->Validate(text).ok() &&
                     lists->Validate(list).ok() &&
                     numbers->Validate(number).ok();
  EXPECT_EQ(thread_allocations - before, 0u);
  EXPECT_TRUE(valid);
}

TEST(ValidatorContractTest, RefusesPatternsThatRe2DoesNotKnow) {
  EXPECT_THAT(CompileField(kString, "string { pattern: '(a' }"),
              HasSubstr("string.pattern (a: missing"));
  EXPECT_THAT(CompileField(kString, "string { pattern: '(?=a)' }"),
              HasSubstr("string.pattern"));
  EXPECT_EQ(CompileField(kString, "string { pattern: 'a+' }"), "");
}

TEST(ValidatorContractTest, RefusesMinimaAboveMaxima) {
  EXPECT_THAT(CompileField(kString, "string { min_length: 5 max_length: 3 }"),
              HasSubstr("string.min_length 5 is above string.max_length 3"));
  EXPECT_THAT(CompileField(kBytes, "bytes { min_length: 5 max_length: 3 }"),
              HasSubstr("bytes.min_length is above"));
  EXPECT_THAT(CompileField(kStrings, "items { min: 5 max: 3 }"),
              HasSubstr("items.min 5 is above items.max 3"));
  EXPECT_THAT(
      CompileField(kDuration, "duration { minimum { seconds: 2 } maximum {} }"),
      HasSubstr("duration.minimum is above"));
  EXPECT_EQ(CompileField(kString, "string { min_length: 5 }"), "");
}

TEST(ValidatorContractTest, RefusesRangesWithoutANumber) {
  for (const char* contract :
       {"number { minimum: 2 maximum: 1 }", "number { minimum: nan }",
        "number { minimum: 1.2 maximum: 1.8 }",
        "number { minimum: 1 maximum: 1 exclusive_minimum: true }",
        R"(number { minimum: 1 maximum: 2
                    exclusive_minimum: true exclusive_maximum: true })",
        "number { minimum: 2147483648 }", "number { maximum: -inf }",
        "number { exclusive_minimum: true }",
        "number { minimum: 2147483647 exclusive_minimum: true }"}) {
    EXPECT_THAT(CompileField(kInt32, contract), HasSubstr("number"))
        << contract;
  }
  EXPECT_EQ(CompileField(kInt32, "number { minimum: -inf maximum: inf }"), "");
  EXPECT_THAT(CompileField(kUint64, "number { maximum: -1 }"),
              HasSubstr("in range"));
  EXPECT_THAT(CompileField(kUint64, "number { minimum: 18446744073709551616 }"),
              HasSubstr("in range"));
  EXPECT_THAT(CompileField(kInt64,
                           "number { maximum: -9223372036854775808 "
                           "exclusive_maximum: true }"),
              HasSubstr("in range"));
  EXPECT_THAT(CompileField(kDouble,
                           "number { minimum: 1 maximum: 1 "
                           "exclusive_maximum: true }"),
              HasSubstr("in range"));
  EXPECT_EQ(CompileField(kDouble, "number { minimum: 1 maximum: 1 }"), "");
  EXPECT_EQ(CompileField(kFloat, "number { maximum: 1e300 }"), "");
}

TEST(ValidatorContractTest, RefusesRulesForAnotherType) {
  EXPECT_THAT(CompileField(kInt32, "string {}"), HasSubstr("string: "));
  EXPECT_THAT(CompileField(kBytes, "string {}"), HasSubstr("string: "));
  EXPECT_THAT(CompileField(kString, "bytes {}"), HasSubstr("bytes: "));
  EXPECT_THAT(CompileField(kString, "number {}"), HasSubstr("number: "));
  EXPECT_THAT(CompileField(kBool, "number {}"), HasSubstr("number: "));
  EXPECT_THAT(CompileField(kInt32, "defined_only: true"),
              HasSubstr("defined_only: "));
  EXPECT_THAT(CompileField(kString, "items {}"), HasSubstr("items: "));
  EXPECT_THAT(CompileField(kString, "duration {}"), HasSubstr("duration: "));
  EXPECT_THAT(CompileField(kString, "string {} bytes {}"),
              HasSubstr("more than one type"));
  EXPECT_THAT(CompileField(kDurations, "items { unique: true }"),
              HasSubstr("items.unique"));
}

TEST(ValidatorContractTest, RefusesRulesThatNobodyCanMeet) {
  EXPECT_THAT(
      CompileField(kString, "string { max_length: 2 one_of: ['ab', 'abc'] }"),
      HasSubstr("string.one_of \"abc\" must have at most 2 characters"));
  EXPECT_THAT(CompileField(kString, "string { one_of: ['b'] pattern: 'a' }"),
              HasSubstr("string.one_of"));
  EXPECT_THAT(CompileField(kString, "string { uuid: true max_length: 35 }"),
              HasSubstr("no length is in range for what must be a UUID"));
  EXPECT_THAT(CompileField(kString, "string { uuid: true min_length: 37 }"),
              HasSubstr("no length is in range"));
  EXPECT_EQ(CompileField(kString,
                         "string { uuid: true min_length: 36 max_length: 36 }"),
            "");
  EXPECT_THAT(
      CompileField(kString, "string { hostname: true min_length: 254 }"),
      HasSubstr("must be a host name"));
  EXPECT_EQ(CompileField(kString, "string { email: true max_length: 3 }"), "");
  EXPECT_EQ(CompileField(kString, "string { uri: true max_length: 5 }"), "");
  for (const auto& field : {kInt32, kUint64, kDouble}) {
    EXPECT_THAT(
        CompileField(field, "required: true number { minimum: 0 maximum: 0 }"),
        HasSubstr("only 0 is in range"));
    EXPECT_EQ(CompileField(field, "number { minimum: 0 maximum: 0 }"), "");
  }
  const absl::Status oneof = Compile(
      "oneof_decl { name: 'o' } "
      "field { name: 'a' number: 1 type: TYPE_STRING label: LABEL_OPTIONAL "
      "oneof_index: 0 options { [grpccommon.v1.field] { required: true } } } "
      "field { name: 'b' number: 2 type: TYPE_STRING label: LABEL_OPTIONAL "
      "oneof_index: 0 options { [grpccommon.v1.field] { required: true } } }");
  EXPECT_THAT(std::string(oneof.message()),
              HasSubstr("contract of p.M.b: required, but so is a"));
}

TEST(ValidatorContractTest, RefusesRulesThatNeverApply) {
  EXPECT_THAT(CompileField(kString, "string { min_length: 1 }"),
              HasSubstr("say `required: true`"));
  EXPECT_THAT(CompileField(kBytes, "bytes { min_length: 1 }"),
              HasSubstr("say `required: true`"));
  EXPECT_EQ(CompileField(kString, "required: true string { min_length: 1 }"),
            "");
  EXPECT_THAT(CompileField(kString, "string { email: false }"),
              HasSubstr("must be `true`"));
}

TEST(ValidatorContractTest, RefusesBoundsThatAreNoDurations) {
  EXPECT_THAT(
      CompileField(kDuration, "duration { minimum { seconds: 1 nanos: -1 } }"),
      HasSubstr("not a valid duration"));
}

TEST(ValidatorContractTest, FindsErrorsInTypesFarInside) {
  const absl::Status status = Compile(
      "field { name: 'n' number: 1 type: TYPE_MESSAGE label: LABEL_REPEATED "
      "type_name: '.p.M.N' } "
      "nested_type { name: 'N' field { name: 'x' number: 1 type: TYPE_STRING "
      "label: LABEL_OPTIONAL options { [grpccommon.v1.field] { "
      "string { pattern: '[' } } } } }");
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("contract of p.M.N.x: "));
}

}  // namespace
}  // namespace grpccommon
