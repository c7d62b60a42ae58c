// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/call/redact.h"

#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "call/secrets.pb.h"

namespace grpccommon {
namespace {

using nlohmann::json;
using test::v1::Account;
using test::v1::Plain;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::size_t kNoLimit = 1 << 20;
constexpr char kSecret[] = "hunter2";

std::string Rendered(const google::protobuf::Message& message,
                     std::size_t max_bytes = kNoLimit) {
  std::string text;
  Redactor(*message.GetDescriptor()).AppendJson(message, max_bytes, text);
  return text;
}

// An account with every secret set, directly.
Account Filled() {
  Account account;
  account.set_name("ann");
  account.set_password(kSecret);
  account.set_key(kSecret);
  account.set_pin(271828);
  account.set_vip(true);
  account.set_mood(test::v1::COLOUR_RED);
  account.mutable_hidden()->set_name(kSecret);
  account.add_codes(kSecret);
  account.add_codes(kSecret);
  (*account.mutable_headers())[kSecret] = kSecret;
  account.mutable_hint()->set_value(kSecret);
  (*account.mutable_profile()->mutable_fields())[kSecret].set_string_value(
      kSecret);
  account.set_nickname(kSecret);
  account.set_token(kSecret);
  return account;
}

void ExpectNoSecretIn(const std::string& text) {
  for (const char* const trace :
       {kSecret, "aHVudGVyMg", "271828", "COLOUR_RED"}) {
    EXPECT_THAT(text, Not(HasSubstr(trace)));
  }
}

TEST(RedactTest, ASecretOfAnyTypeBecomesAMark) {
  const json expected = {
      {"name", "ann"},       {"password", kRedacted}, {"key", kRedacted},
      {"pin", kRedacted},    {"vip", kRedacted},      {"mood", kRedacted},
      {"hidden", kRedacted}, {"codes", kRedacted},    {"headers", kRedacted},
      {"hint", kRedacted},   {"profile", kRedacted},  {"nickname", kRedacted},
      {"token", kRedacted}};
  EXPECT_EQ(json::parse(Rendered(Filled())), expected);
}

TEST(RedactTest, ASecretIsFoundInANestedMessage) {
  Account account;
  *account.mutable_partner()->mutable_partner() = Filled();
  const std::string text = Rendered(account);
  ExpectNoSecretIn(text);
  EXPECT_EQ(json::parse(text)["partner"]["partner"]["name"], "ann");
}

TEST(RedactTest, ASecretIsFoundInEachElementOfAList) {
  Account account;
  *account.add_children() = Filled();
  *account.add_children()->add_children() = Filled();
  const std::string text = Rendered(account);
  ExpectNoSecretIn(text);
  EXPECT_EQ(json::parse(text)["children"][1]["children"][0]["name"], "ann");
}

TEST(RedactTest, ASecretIsFoundInMapValues) {
  Account account;
  (*account.mutable_by_name())["a"] = Filled();
  const std::string text = Rendered(account);
  ExpectNoSecretIn(text);
  EXPECT_EQ(json::parse(text)["byName"]["a"]["pin"], kRedacted);
}

TEST(RedactTest, ASecretIsFoundInAOneof) {
  Account account;
  *account.mutable_delegate() = Filled();
  ExpectNoSecretIn(Rendered(account));
  account.set_login("ann");
  EXPECT_EQ(Rendered(account), "{\"login\":\"ann\"}");
}

TEST(RedactTest, ASecretIsFoundInsideAnyAtAnyDepth) {
  Account inner;
  inner.mutable_extra()->PackFrom(Filled());
  Account account;
  account.mutable_extra()->PackFrom(inner);
  account.add_extras()->PackFrom(Filled());
  const std::string text = Rendered(account);
  ExpectNoSecretIn(text);
  const json parsed = json::parse(text);
  EXPECT_EQ(parsed["extra"]["@type"],
            "type.googleapis.com/grpccommon.test.v1.Account");
  EXPECT_EQ(parsed["extra"]["extra"]["name"], "ann");
  EXPECT_EQ(parsed["extras"][0]["password"], kRedacted);
}

TEST(RedactTest, OfAnAnyOfUnknownOrBrokenContentOnlyTheSizeRemains) {
  Account account;
  account.mutable_extra()->set_type_url("example.com/unknown.Type");
  account.mutable_extra()->set_value(kSecret);
  EXPECT_EQ(Rendered(account),
            "{\"extra\":{\"@type\":\"example.com/unknown.Type\",\"bytes\":7}}");
  account.mutable_extra()->set_type_url("x/grpccommon.test.v1.Account");
  account.mutable_extra()->set_value("\xff\xff\xff");
  EXPECT_EQ(json::parse(Rendered(account))["extra"]["bytes"], 3);
}

TEST(RedactTest, OfAnAnyThatIsMuchLargerThanTheLineOnlyTheSizeRemains) {
  google::protobuf::Any inner;
  Account large;
  large.set_password(std::string(1 << 20, 'x'));  // which would be short
  inner.PackFrom(large);
  // One within another, whose types take fewer bytes than the limit.
  for (int i = 0; i < 50; ++i) {
    google::protobuf::Any outer;
    outer.PackFrom(inner);
    inner = std::move(outer);
  }
  Account account;
  *account.mutable_extra() = inner;
  const std::string size = std::to_string(inner.value().size());
  EXPECT_EQ(
      json::parse(Rendered(account, 4096))["extra"].dump(),
      "{\"@type\":\"type.googleapis.com/google.protobuf.Any\",\"bytes\":" +
          size + "}");
}

TEST(RedactTest, WhatIsParsedOfAllAnysTogetherHasALimit) {
  constexpr std::size_t kMaxBytes = 16 << 10;
  Account account;
  Account small;
  small.set_password(std::string(1000, 'x'));
  for (int i = 0; i < 100; ++i) account.add_extras()->PackFrom(small);
  const json extras = json::parse(Rendered(account, kMaxBytes))["extras"];
  ASSERT_EQ(extras.size(), 100u);
  EXPECT_EQ(extras[0]["password"], kRedacted);
  EXPECT_TRUE(json::parse(Rendered(account, kMaxBytes))["extras"][99].contains(
      "password"));
  account.mutable_extras(99)->PackFrom([] {
    Account larger;
    larger.set_password(std::string(16 * kMaxBytes, 'x'));
    return larger;
  }());
  EXPECT_TRUE(json::parse(Rendered(account, kMaxBytes))["extras"][99].contains(
      "bytes"));
}

TEST(RedactTest, UnknownFieldsAreLeftOut) {
  Account account;
  Account::GetReflection()->MutableUnknownFields(&account)->AddLengthDelimited(
      4711, kSecret);
  EXPECT_EQ(Rendered(account), "{}");
}

TEST(RedactTest, TheRestIsProtobufsJson) {
  Plain plain;
  plain.set_text("naïve \"quoted\"\n");
  plain.set_data(std::string("\0\xff\xfe", 3));
  plain.set_small(-7);
  plain.set_small_unsigned(4294967295u);
  plain.set_large(std::numeric_limits<std::int64_t>::min());
  plain.set_large_unsigned(std::numeric_limits<std::uint64_t>::max());
  plain.set_real(0.5);
  plain.set_real_small(0.25f);
  plain.set_flag(true);
  plain.set_colour(test::v1::COLOUR_RED);
  plain.add_numbers(1);
  plain.add_numbers(2);
  plain.add_items()->set_text("item");
  plain.add_items();
  (*plain.mutable_by_number())[5] = "five";
  (*plain.mutable_by_name())["k\n"].set_small(1);
  (*plain.mutable_by_flag())[true] = 1.5;
  plain.mutable_at()->set_seconds(1767225600);
  plain.mutable_length()->set_seconds(90);
  (*plain.mutable_structure()->mutable_fields())["a"].set_number_value(2);
  plain.mutable_wrapped()->set_value(0);
  google::protobuf::Duration duration;
  duration.set_seconds(1);
  plain.mutable_any()->PackFrom(duration);
  plain.set_another_name("x");

  std::string expected;
  ASSERT_TRUE(
      google::protobuf::util::MessageToJsonString(plain, &expected).ok());
  EXPECT_EQ(json::parse(Rendered(plain)), json::parse(expected));
}

TEST(RedactTest, NumbersThatJsonLacksAndEnumNumbersWithoutNameAreKept) {
  Plain plain;
  plain.set_real(std::numeric_limits<double>::infinity());
  plain.set_real_small(std::numeric_limits<float>::quiet_NaN());
  plain.set_colour(static_cast<test::v1::Colour>(99));
  EXPECT_EQ(json::parse(Rendered(plain)),
            json({{"real", "Infinity"}, {"realSmall", "NaN"}, {"colour", 99}}));
}

TEST(RedactTest, AWellKnownValueOutOfRangeDoesNotSpoilTheRest) {
  Plain plain;
  plain.set_text("kept");
  plain.mutable_at()->set_seconds(std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(json::parse(Rendered(plain)),
            json({{"text", "kept"}, {"at", "[invalid]"}}));
}

TEST(RedactTest, AValueWithoutAKindIsNull) {
  Plain plain;
  plain.mutable_any()->PackFrom(google::protobuf::Value());
  EXPECT_EQ(json::parse(Rendered(plain))["any"]["value"], nullptr);
}

TEST(RedactTest, AnEmptyMessageIsAnEmptyObject) {
  EXPECT_EQ(Rendered(Plain()), "{}");
}

TEST(RedactTest, ALongMessageIsCutWithinTheLimitAndWithoutSplittingACharacter) {
  Plain plain;
  for (int i = 0; i < 1000; ++i) plain.add_items()->set_text("語語語");
  const std::string whole = Rendered(plain);
  const Redactor redactor(*Plain::descriptor());
  for (std::size_t limit = 16; limit < 64; ++limit) {
    std::string text = "before ";
    EXPECT_FALSE(redactor.AppendJson(plain, limit, text));
    EXPECT_LE(text.size(), 7 + limit);
    EXPECT_GT(text.size(), 7 + limit - 4);
    EXPECT_THAT("before " + whole, StartsWith(text));
  }
  std::string text;
  EXPECT_TRUE(redactor.AppendJson(plain, whole.size(), text));
  EXPECT_EQ(text, whole);
  text.clear();
  EXPECT_FALSE(redactor.AppendJson(plain, whole.size() - 1, text));
}

TEST(RedactTest, AHugeValueIsNotRenderedWholeToBeCut) {
  Plain plain;
  plain.set_text(std::string(64 << 20, 'x'));
  plain.set_data(std::string(64 << 20, 'x'));
  std::string text;
  EXPECT_FALSE(Redactor(*Plain::descriptor()).AppendJson(plain, 100, text));
  EXPECT_EQ(text.size(), 100u);
  EXPECT_LT(text.capacity(), 10000u);
}

TEST(RedactTest, AMessageNestedBeyondAllMeasureEnds) {
  Account account;
  Account* inner = &account;
  for (int i = 0; i < 5000; ++i) inner = inner->mutable_partner();
  inner->set_password(kSecret);
  const std::string text = Rendered(account);
  ExpectNoSecretIn(text);
  EXPECT_THAT(text, HasSubstr("[too deep]"));
}

TEST(RedactTest, KnowsWhetherATypeHasSecrets) {
  EXPECT_TRUE(Redactor(*Account::descriptor()).has_secrets());
  EXPECT_FALSE(Redactor(*Plain::descriptor()).has_secrets());
}

}  // namespace
}  // namespace grpccommon
