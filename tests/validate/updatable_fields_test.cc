// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/validate/updatable_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "google/protobuf/field_mask.pb.h"
#include "google/protobuf/util/message_differencer.h"
#include "google/rpc/error_details.pb.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/status_matchers.h"
#include "validate/updates.pb.h"

namespace grpccommon {
namespace {

using google::protobuf::FieldMask;
using google::protobuf::util::MessageDifferencer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::SizeIs;
using testing::StatusIs;
using validate_test::v1::Book;

FieldMask Mask(const std::vector<std::string>& paths) {
  FieldMask mask;
  mask.mutable_paths()->Assign(paths.begin(), paths.end());
  return mask;
}

std::vector<std::string> FieldsOf(const absl::Status& status) {
  google::rpc::BadRequest request;
  EXPECT_TRUE(GetDetail(status, request)) << status;
  std::vector<std::string> fields;
  for (const auto& violation : request.field_violations()) {
    fields.push_back(violation.field());
  }
  return fields;
}

class UpdatableFieldsTest : public ::testing::Test {
 protected:
  UpdatableFieldsTest() {
    stored_.set_id("1");
    stored_.set_title("old");
    stored_.set_pages(7);
    stored_.add_tags("a");
    stored_.add_tags("b");
    stored_.mutable_price()->set_units(10);
    stored_.mutable_price()->set_currency("EUR");
    stored_.mutable_stock()->set_units(3);
    stored_.mutable_stock()->set_currency("boxes");
  }

  const UpdatableFields fields_ = *UpdatableFields::Create(
      *Book::descriptor(),
      {"title", "pages", "tags", "price", "stock.units", "next"});
  Book stored_;
};

TEST_F(UpdatableFieldsTest, ChangesWhatTheMaskNamesAndNothingElse) {
  Book update;
  update.set_id("2");
  update.set_title("new");
  update.set_pages(9);
  Book expected = stored_;
  expected.set_title("new");
  EXPECT_THAT(fields_.Apply(Mask({"title"}), update, stored_), IsOk());
  EXPECT_TRUE(MessageDifferencer::Equals(stored_, expected));
}

TEST_F(UpdatableFieldsTest, ClearsWhatIsNotSet) {
  ASSERT_THAT(fields_.Apply(Mask({"title", "tags", "price", "stock.units"}),
                            Book(), stored_),
              IsOk());
  EXPECT_EQ(stored_.title(), "");
  EXPECT_THAT(stored_.tags(), SizeIs(0));
  EXPECT_FALSE(stored_.has_price());
  EXPECT_EQ(stored_.stock().units(), 0);
  EXPECT_EQ(stored_.stock().currency(), "boxes");
}

TEST_F(UpdatableFieldsTest, ReplacesListsAndMessagesAsAWhole) {
  Book update;
  update.add_tags("c");
  update.mutable_price()->set_units(11);
  ASSERT_THAT(fields_.Apply(Mask({"tags", "price"}), update, stored_), IsOk());
  EXPECT_THAT(stored_.tags(), ElementsAre("c"));
  EXPECT_EQ(stored_.price().units(), 11);
  EXPECT_EQ(stored_.price().currency(), "");
}

TEST_F(UpdatableFieldsTest, TakesPartsOfAMessage) {
  Book update;
  update.mutable_price()->set_units(11);
  update.mutable_stock()->set_units(4);
  ASSERT_THAT(
      fields_.Apply(Mask({"price.units", "stock.units"}), update, stored_),
      IsOk());
  EXPECT_EQ(stored_.price().units(), 11);
  EXPECT_EQ(stored_.price().currency(), "EUR");
  EXPECT_EQ(stored_.stock().units(), 4);
}

TEST_F(UpdatableFieldsTest, AStarIsAllThatMayChange) {
  Book update;
  update.set_id("2");
  update.set_title("new");
  update.mutable_stock()->set_units(4);
  ASSERT_THAT(fields_.Apply(Mask({"*"}), update, stored_), IsOk());
  EXPECT_EQ(stored_.id(), "1");
  EXPECT_EQ(stored_.title(), "new");
  EXPECT_EQ(stored_.pages(), 0);
  EXPECT_FALSE(stored_.has_price());
  EXPECT_EQ(stored_.stock().units(), 4);
  EXPECT_EQ(stored_.stock().currency(), "boxes");
}

TEST_F(UpdatableFieldsTest, NamesEveryPathThatMayNotChangeAndChangesNothing) {
  const Book before = stored_;
  const absl::Status status =
      fields_.Apply(Mask({"title", "id", "titl", "titles", "stock",
                          "stock.currency", "", "tags.length", "price.",
                          ".title", "price.units.cents", "price..units"}),
                    Book(), stored_);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(FieldsOf(status),
              ElementsAre("update_mask.paths[1]", "update_mask.paths[2]",
                          "update_mask.paths[3]", "update_mask.paths[4]",
                          "update_mask.paths[5]", "update_mask.paths[6]",
                          "update_mask.paths[7]", "update_mask.paths[8]",
                          "update_mask.paths[9]", "update_mask.paths[10]",
                          "update_mask.paths[11]"));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("\"id\" cannot be changed: not one of title, pages"));
  EXPECT_TRUE(MessageDifferencer::Equals(stored_, before));
}

TEST_F(UpdatableFieldsTest, AMaskWithoutPathsIsAMistake) {
  const absl::Status status = fields_.Check(FieldMask(), "mask");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(FieldsOf(status), ElementsAre("mask"));
}

TEST_F(UpdatableFieldsTest, BoundsWhatItSaysAboutAHostileMask) {
  FieldMask mask;
  for (int i = 0; i < 1000; ++i) {
    mask.add_paths(std::string(1000, '\n') + std::to_string(i));
  }
  const absl::Status status = fields_.Check(mask);
  EXPECT_THAT(FieldsOf(status), SizeIs(UpdatableFields::kMaxViolations));
  EXPECT_LT(std::string(status.message()).size(), 512u);
  EXPECT_THAT(std::string(status.message()), ::testing::Not(HasSubstr("\n")));
}

// Whoever walks down such a path recurses; this one would take all the stack.
TEST_F(UpdatableFieldsTest, RefusesPathsThatAreTooDeep) {
  std::string deep = "next";
  for (std::size_t i = 1; i < UpdatableFields::kMaxPathParts; ++i) {
    deep += ".next";
  }
  EXPECT_THAT(fields_.Check(Mask({deep})), IsOk());
  EXPECT_THAT(fields_.Check(Mask({deep + ".next"})),
              StatusIs(absl::StatusCode::kInvalidArgument));
  for (int i = 0; i < 100'000; ++i) deep += ".next";
  EXPECT_THAT(fields_.Apply(Mask({deep}), Book(), stored_),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(UpdatableFieldsTest, PathsMayRepeatAndOverlap) {
  Book update;
  update.mutable_price()->set_units(1);
  ASSERT_THAT(
      fields_.Apply(Mask({"price.units", "price", "price"}), update, stored_),
      IsOk());
  EXPECT_EQ(stored_.price().currency(), "");
}

TEST_F(UpdatableFieldsTest, RefusesMessagesOfAnotherType) {
  validate_test::v1::Amount amount;
  EXPECT_THAT(fields_.Apply(Mask({"title"}), stored_, amount),
              StatusIs(absl::StatusCode::kInternal));
  EXPECT_THAT(fields_.Apply(Mask({"title"}), amount, stored_),
              StatusIs(absl::StatusCode::kInternal));
}

TEST(UpdatableFieldsCreateTest, RefusesAPathThatIsNoField) {
  const auto fields =
      UpdatableFields::Create(*Book::descriptor(), {"title", "author"});
  EXPECT_THAT(fields, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(std::string(fields.status().message()), HasSubstr("author"));
}

}  // namespace
}  // namespace grpccommon
