// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/status/details.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "absl/strings/cord.h"
#include "google/rpc/error_details.pb.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

TEST(DetailsTest, ADetailReplacesOneOfItsType) {
  absl::Status status = WithReason(absl::AbortedError("m"), "FIRST", "d");
  status = WithReason(status, "SECOND", "d");
  EXPECT_EQ(ReasonOf(status), "SECOND");
}

TEST(DetailsTest, AnOkStatusTakesNoDetail) {
  absl::Status status;
  AddDetail(status, google::rpc::Help());
  EXPECT_EQ(status, absl::OkStatus());
  EXPECT_EQ(ReasonOf(WithReason(status, "R", "d")), "");
}

TEST(DetailsTest, ReadingReportsWhatIsMissingOrDoesNotParse) {
  absl::Status status = absl::AbortedError("m");
  google::rpc::ErrorInfo info;
  EXPECT_FALSE(GetDetail(status, info));
  EXPECT_EQ(ReasonOf(status), "");
  status.SetPayload("type.googleapis.com/google.rpc.ErrorInfo",
                    absl::Cord("\xff\xff"));
  EXPECT_FALSE(GetDetail(status, info));
  EXPECT_EQ(ReasonOf(status), "");
}

TEST(DetailsTest, AReasonHasDomainAndMetadata) {
  const absl::Status status =
      WithReason(absl::NotFoundError("m"), "TASK_GONE", "tasks",
                 {{"id", "7"}, {"owner", "al\xffice"}});
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(GetDetail(status, info));
  EXPECT_EQ(info.reason(), "TASK_GONE");
  EXPECT_EQ(info.domain(), "tasks");
  EXPECT_EQ(info.metadata().at("id"), "7");
  EXPECT_EQ(info.metadata().at("owner"), "al\uFFFDice");
}

TEST(DetailsTest, ARetryDelaySurvivesToTheNanosecond) {
  for (const nanoseconds delay :
       {0ns, 1ns, 999999999ns, 1000000000ns, 90061s + 7ns}) {
    EXPECT_EQ(RetryDelayOf(WithRetryDelay(absl::AbortedError("m"), delay)),
              delay);
  }
  EXPECT_EQ(RetryDelayOf(absl::AbortedError("m")), std::nullopt);
}

TEST(DetailsTest, ANegativeRetryDelayMeansNow) {
  EXPECT_EQ(RetryDelayOf(WithRetryDelay(absl::AbortedError("m"), -5s)), 0ns);
}

TEST(DetailsTest, AForeignRetryDelayNeitherOverflowsNorGoesBack) {
  google::rpc::RetryInfo info;
  absl::Status status = absl::AbortedError("m");
  AddDetail(status, info);
  EXPECT_EQ(RetryDelayOf(status), std::nullopt);
  info.mutable_retry_delay()->set_seconds(
      std::numeric_limits<std::int64_t>::max());
  info.mutable_retry_delay()->set_nanos(
      std::numeric_limits<std::int32_t>::max());
  AddDetail(status, info);
  EXPECT_GT(*RetryDelayOf(status), std::chrono::hours(24 * 365 * 200));
  info.mutable_retry_delay()->set_seconds(
      std::numeric_limits<std::int64_t>::min());
  info.mutable_retry_delay()->set_nanos(
      std::numeric_limits<std::int32_t>::min());
  AddDetail(status, info);
  EXPECT_EQ(RetryDelayOf(status), 0ns);
}

TEST(DetailsTest, InvalidFieldsNamesTheFirstAndListsAll) {
  const absl::Status status =
      InvalidFields({{"name", "must not be empty"}, {"age", "is negative"}});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "name: must not be empty (and 1 more)");
  EXPECT_EQ(ReasonOf(status), "INVALID_FIELDS");
  google::rpc::BadRequest bad_request;
  ASSERT_TRUE(GetDetail(status, bad_request));
  ASSERT_EQ(bad_request.field_violations_size(), 2);
  EXPECT_EQ(bad_request.field_violations(1).field(), "age");
  EXPECT_EQ(bad_request.field_violations(1).description(), "is negative");
}

TEST(DetailsTest, InvalidFieldsOfOneAndOfNone) {
  EXPECT_EQ(InvalidFields({{"name", "is empty"}}).message(), "name: is empty");
  EXPECT_EQ(InvalidFields({}).code(), absl::StatusCode::kInvalidArgument);
}

TEST(DetailsTest, RefusalsOfIdentityHaveTheirCodeAndReason) {
  const absl::Status who = Unauthenticated("TOKEN_MISSING", "no token");
  EXPECT_EQ(who.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(who.message(), "no token");
  EXPECT_EQ(ReasonOf(who), "TOKEN_MISSING");
  const absl::Status what = PermissionDenied("ROLE_MISSING", "needs admin");
  EXPECT_EQ(what.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(what.message(), "needs admin");
  EXPECT_EQ(ReasonOf(what), "ROLE_MISSING");
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(GetDetail(what, info));
  EXPECT_EQ(info.domain(), kErrorDomain);
}

TEST(DetailsTest, ExhaustedSaysWhoseQuotaAndWhenToReturn) {
  const absl::Status status =
      Exhausted("RATE_LIMITED", "user:al\xff", "10 calls a second", 250ms);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "10 calls a second");
  EXPECT_EQ(ReasonOf(status), "RATE_LIMITED");
  EXPECT_EQ(RetryDelayOf(status), 250ms);
  google::rpc::QuotaFailure failure;
  ASSERT_TRUE(GetDetail(status, failure));
  ASSERT_EQ(failure.violations_size(), 1);
  EXPECT_EQ(failure.violations(0).subject(), "user:al\uFFFD");
  EXPECT_EQ(failure.violations(0).description(), "10 calls a second");
}

TEST(DetailsTest, OverloadedSaysWhenToReturn) {
  const absl::Status status = Overloaded("SHED", "too many calls", 1s);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(status), "SHED");
  EXPECT_EQ(RetryDelayOf(status), 1s);
}

TEST(DetailsTest, NotFoundNamesTheResource) {
  const absl::Status status = NotFound("task", "7");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "task \"7\" was not found");
  google::rpc::ResourceInfo info;
  ASSERT_TRUE(GetDetail(status, info));
  EXPECT_EQ(info.resource_type(), "task");
  EXPECT_EQ(info.resource_name(), "7");
}

TEST(DetailsTest, AVersionConflictTellsTheCurrentVersion) {
  const absl::Status status = VersionConflict("book", "b1", 7);
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(status.message(), "book \"b1\" has version 7 now: read it again");
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(GetDetail(status, info));
  EXPECT_EQ(info.reason(), "VERSION_CONFLICT");
  EXPECT_EQ(info.metadata().at("current_version"), "7");
}

}  // namespace
}  // namespace grpccommon
