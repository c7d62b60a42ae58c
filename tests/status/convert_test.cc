// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/status/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpccommon/base/utf8.h"
#include "grpccommon/status/details.h"

namespace grpccommon {
namespace {

using namespace std::string_literals;
using ::testing::ElementsAre;
using ::testing::StartsWith;

constexpr char kErrorInfoUrl[] = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr char kForeignUrl[] = "types.example.com/shop.v1.OutOfStock";

std::vector<std::string> SentTypes(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  std::vector<std::string> types;
  for (const auto& detail : details.details()) {
    const std::string& url = detail.type_url();
    types.push_back(url.substr(url.rfind('/') + 1));
  }
  return types;
}

std::size_t EncodedSize(const std::string& message) {
  std::size_t size = 0;
  for (const unsigned char c : message) {
    size += c >= 0x20 && c <= 0x7e && c != '%' ? 1 : 3;
  }
  return size;
}

bool IsUtf8(const std::string& text) { return RepairUtf8(text) == text; }

class EveryCodeTest : public ::testing::TestWithParam<int> {};

TEST_P(EveryCodeTest, SurvivesBothWays) {
  const absl::Status status(static_cast<absl::StatusCode>(GetParam()), "why");
  const grpc::Status sent = ToGrpcStatus(status);
  EXPECT_EQ(sent.error_code(), GetParam());
  EXPECT_EQ(FromGrpcStatus(sent), status);
}

TEST_P(EveryCodeTest, HasTheNameThatAbseilGivesIt) {
  EXPECT_EQ(
      CodeName(static_cast<grpc::StatusCode>(GetParam())),
      absl::StatusCodeToString(static_cast<absl::StatusCode>(GetParam())));
}

INSTANTIATE_TEST_SUITE_P(Codes, EveryCodeTest, ::testing::Range(0, 17));

TEST(ConvertTest, DetailsReachTheOtherSideAsGoogleRpcStatus) {
  google::rpc::Help help;
  help.add_links()->set_url("https://example.com");
  absl::Status status = WithReason(absl::NotFoundError("no such task"),
                                   "TASK_GONE", "example", {{"id", "7"}});
  AddDetail(status, help);

  google::rpc::Status sent;
  ASSERT_TRUE(sent.ParseFromString(ToGrpcStatus(status).error_details()));
  EXPECT_EQ(sent.code(), 5);
  EXPECT_EQ(sent.message(), "no such task");
  ASSERT_EQ(sent.details_size(), 2);
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(sent.details(0).UnpackTo(&info));
  EXPECT_EQ(info.metadata().at("id"), "7");
  ASSERT_TRUE(sent.details(1).UnpackTo(&help));
}

TEST(ConvertTest, DetailsOfAnotherImplementationAreReadAndSentOnUnchanged) {
  google::rpc::Status received;
  received.set_code(9);
  received.set_message("not now");
  google::rpc::ErrorInfo info;
  info.set_reason("CLOSED");
  received.add_details()->PackFrom(info);
  auto& foreign = *received.add_details();
  foreign.set_type_url(kForeignUrl);
  foreign.set_value(std::string("\0\xff\n", 3));

  const absl::Status status =
      FromGrpcStatus(grpc::Status(grpc::StatusCode::FAILED_PRECONDITION,
                                  "not now", received.SerializeAsString()));
  EXPECT_EQ(ReasonOf(status), "CLOSED");
  EXPECT_EQ(status.GetPayload(kForeignUrl), absl::Cord("\0\xff\n"s));
  EXPECT_EQ(ToGrpcStatus(status).error_details(), received.SerializeAsString());
}

TEST(ConvertTest, SeveralDetailsOfOneTypeAllSurviveInOrder) {
  google::rpc::Status received;
  received.set_code(3);
  received.set_message("m");
  for (int i = 1; i <= 12; ++i) {
    google::rpc::LocalizedMessage message;
    message.set_locale(absl::StrCat("locale-", i));
    received.add_details()->PackFrom(message);
  }
  const absl::Status status = FromGrpcStatus(grpc::Status(
      grpc::StatusCode::INVALID_ARGUMENT, "m", received.SerializeAsString()));
  google::rpc::LocalizedMessage first;
  ASSERT_TRUE(GetDetail(status, first));
  EXPECT_EQ(first.locale(), "locale-1");
  EXPECT_EQ(ToGrpcStatus(status).error_details(), received.SerializeAsString());
}

TEST(ConvertTest, DetailsThatDoNotParseAreDroppedAndTheStatusStays) {
  for (const std::string& broken :
       {std::string("\xff\xff\xff"), std::string("\x1a\x7f"),
        std::string("\x12\x02\xc3\x28")}) {
    EXPECT_EQ(FromGrpcStatus(
                  grpc::Status(grpc::StatusCode::ABORTED, "again", broken)),
              absl::AbortedError("again"));
  }
}

TEST(ConvertTest, ADetailWhoseTypeUrlForgesARepeatIsDropped) {
  google::rpc::Status received;
  auto& forged = *received.add_details();
  forged.set_type_url(absl::StrCat(kErrorInfoUrl, "#2"));
  const absl::Status status = FromGrpcStatus(grpc::Status(
      grpc::StatusCode::ABORTED, "again", received.SerializeAsString()));
  EXPECT_EQ(status, absl::AbortedError("again"));
}

TEST(ConvertTest, APeerCannotMakeAStatusOfCountlessDetails) {
  google::rpc::Status received;
  for (int i = 0; i < 100000; ++i) received.add_details()->set_type_url("t");
  const absl::Status status = FromGrpcStatus(grpc::Status(
      grpc::StatusCode::ABORTED, "again", received.SerializeAsString()));
  int count = 0;
  status.ForEachPayload([&](absl::string_view, const absl::Cord&) { ++count; });
  EXPECT_EQ(count, 128);
}

TEST(ConvertTest, ACodeOutsideTheEnumBecomesUnknown) {
  // The enum has room for no more.
  for (const int code : {-1, 17, 31}) {
    const auto foreign = static_cast<grpc::StatusCode>(code);
    EXPECT_EQ(FromGrpcStatus(grpc::Status(foreign, "m")),
              absl::UnknownError("m"));
    EXPECT_EQ(CodeName(foreign), "UNKNOWN");
    EXPECT_EQ(HttpStatusFromCode(foreign), 500);
  }
  EXPECT_EQ(ToGrpcStatus(absl::Status(static_cast<absl::StatusCode>(99), "m"))
                .error_code(),
            grpc::StatusCode::UNKNOWN);
}

TEST(ConvertTest, AnOkStatusCarriesNothing) {
  EXPECT_TRUE(
      FromGrpcStatus(grpc::Status(grpc::StatusCode::OK, "m", "x")).ok());
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_EQ(ToGrpcStatus(absl::OkStatus()).error_message(), "");
}

TEST(ConvertTest, AStatusWithoutDetailsSendsNoDetailsHeader) {
  EXPECT_EQ(ToGrpcStatus(absl::AbortedError("m")).error_details(), "");
}

TEST(ConvertTest, ALongMessageIsCutAtACharacter) {
  for (const std::string& character : {"a"s, "é"s, "語"s, "😀"s, "%"s}) {
    for (std::size_t offset = 0; offset < 12; ++offset) {
      std::string message(offset, 'x');
      while (message.size() < 3000) message += character;
      const std::string sent =
          ToGrpcStatus(absl::InternalError(message)).error_message();
      EXPECT_TRUE(IsUtf8(sent)) << sent;
      EXPECT_THAT(message, StartsWith(sent));
      EXPECT_LE(EncodedSize(sent), kMaxMessageBytes);
      EXPECT_GT(EncodedSize(sent), kMaxMessageBytes - 12);
    }
  }
}

TEST(ConvertTest, AMessageThatFitsIsNotCut) {
  const std::string message(kMaxMessageBytes, 'm');
  EXPECT_EQ(ToGrpcStatus(absl::InternalError(message)).error_message(),
            message);
}

TEST(ConvertTest, WhatIsNotUtf8InAMessageIsReplaced) {
  absl::Status status = absl::InternalError("a\xff\xc3(b\xed\xa0\x80");
  EXPECT_EQ(ToGrpcStatus(status).error_message(),
            "a\uFFFD\uFFFD(b\uFFFD\uFFFD\uFFFD");
  status = WithReason(std::move(status), "R\xff", "d");
  google::rpc::Status sent;
  EXPECT_TRUE(sent.ParseFromString(ToGrpcStatus(status).error_details()));
}

TEST(ConvertTest, DetailsGoInOrderOfImportanceHoweverTheyWereAdded) {
  absl::Status status = absl::InternalError("m");
  AddDetail(status, google::rpc::DebugInfo());
  status.SetPayload(kForeignUrl, absl::Cord("x"));
  AddDetail(status, google::rpc::Help());
  AddDetail(status, google::rpc::BadRequest());
  AddDetail(status, google::rpc::RetryInfo());
  AddDetail(status, google::rpc::ErrorInfo());
  // Statuses at different addresses visit their payloads in different orders.
  std::vector<absl::Status> copies;
  for (int i = 0; i < 32; ++i) {
    copies.push_back(status);
    copies.back().SetPayload("unshare", absl::Cord("x"));
    copies.back().ErasePayload("unshare");
    EXPECT_THAT(SentTypes(ToGrpcStatus(copies.back())),
                ElementsAre("google.rpc.ErrorInfo", "google.rpc.RetryInfo",
                            "google.rpc.BadRequest", "google.rpc.Help",
                            "shop.v1.OutOfStock", "google.rpc.DebugInfo"));
  }
}

TEST(ConvertTest, DetailsBeyondTheLimitAreLeftOutLastFirst) {
  absl::Status status = WithReason(absl::InternalError("m"), "REASON", "d");
  google::rpc::Help help;
  help.add_links()->set_description(std::string(3000, 'h'));
  AddDetail(status, help);
  google::rpc::DebugInfo debug;
  debug.set_detail(std::string(3000, 'd'));
  AddDetail(status, debug);

  const grpc::Status sent = ToGrpcStatus(status);
  EXPECT_LE(sent.error_details().size(), kMaxDetailsBytes);
  EXPECT_THAT(SentTypes(sent),
              ElementsAre("google.rpc.ErrorInfo", "google.rpc.Help"));
}

TEST(ConvertTest, AGiantDetailDoesNotPushOutTheSmallOnesAfterIt) {
  absl::Status status = absl::InternalError("m");
  google::rpc::Help help;
  help.add_links()->set_description(std::string(1 << 20, 'h'));
  AddDetail(status, help);
  status.SetPayload(kForeignUrl, absl::Cord("small"));
  EXPECT_THAT(SentTypes(ToGrpcStatus(status)),
              ElementsAre("shop.v1.OutOfStock"));
}

TEST(ConvertTest, OfTooManyBrokenRulesTheFirstArriveAndTheHeaderIsKept) {
  for (const std::size_t length : {1u, 60u, 500u}) {
    std::vector<FieldViolation> violations;
    for (int i = 0; i < 10000; ++i) {
      violations.push_back(
          {absl::StrCat("items[", i, "]"), std::string(length, 'x')});
    }
    const grpc::Status sent = ToGrpcStatus(InvalidFields(violations));
    EXPECT_LE(sent.error_details().size(), kMaxDetailsBytes);
    EXPECT_GT(sent.error_details().size(), kMaxDetailsBytes - length - 100);
    google::rpc::BadRequest bad_request;
    ASSERT_TRUE(GetDetail(FromGrpcStatus(sent), bad_request));
    ASSERT_GT(bad_request.field_violations_size(), 1);
    EXPECT_EQ(bad_request.field_violations(0).field(), "items[0]");
  }
}

TEST(ConvertTest, ABrokenRuleThatIsTooLongByItselfIsLeftOut) {
  const grpc::Status sent =
      ToGrpcStatus(InvalidFields({{"name", std::string(10000, 'x')}}));
  EXPECT_THAT(SentTypes(sent), ElementsAre("google.rpc.ErrorInfo"));
  EXPECT_EQ(sent.error_message().size(), kMaxMessageBytes);
}

TEST(ConvertTest, TheDetailsLimitIsReachedExactly) {
  for (std::size_t size = 4900; size < 5200; ++size) {
    absl::Status status = absl::InternalError("m");
    status.SetPayload(kForeignUrl, absl::Cord(std::string(size, 'v')));
    google::rpc::Status whole;
    whole.set_code(13);
    whole.set_message("m");
    auto& any = *whole.add_details();
    any.set_type_url(kForeignUrl);
    any.set_value(std::string(size, 'v'));
    const grpc::Status sent = ToGrpcStatus(status);
    const bool fits = whole.ByteSizeLong() <= kMaxDetailsBytes;
    EXPECT_EQ(SentTypes(sent).size(), fits ? 1u : 0u) << size;
    if (fits) {
      EXPECT_EQ(sent.error_details(), whole.SerializeAsString());
    }
  }
}

TEST(ConvertTest, HttpStatusesAreThoseOfGoogleRpcCode) {
  const std::vector<int> expected = {200, 499, 500, 400, 504, 404,
                                     409, 403, 429, 400, 409, 400,
                                     501, 500, 503, 500, 401};
  std::vector<int> actual;
  for (int code = 0; code <= 16; ++code) {
    actual.push_back(HttpStatusFromCode(static_cast<grpc::StatusCode>(code)));
  }
  EXPECT_EQ(actual, expected);
}

TEST(ConvertTest, CodesOfHttpAreThoseOfGrpcsMapping) {
  EXPECT_EQ(CodeFromHttpStatus(400), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(CodeFromHttpStatus(401), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(CodeFromHttpStatus(403), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(CodeFromHttpStatus(404), grpc::StatusCode::UNIMPLEMENTED);
  for (const int transient : {429, 502, 503, 504}) {
    EXPECT_EQ(CodeFromHttpStatus(transient), grpc::StatusCode::UNAVAILABLE);
  }
  for (const int other : {0, 200, 302, 418, 500, 599}) {
    EXPECT_EQ(CodeFromHttpStatus(other), grpc::StatusCode::UNKNOWN);
  }
}

}  // namespace
}  // namespace grpccommon
