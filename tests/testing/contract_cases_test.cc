// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/testing/contract_cases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "google/rpc/error_details.pb.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/status_matchers.h"
#include "grpccommon/validate/validator.h"
#include "testing/contracts.pb.h"

namespace grpccommon::testing {
namespace {

using google::protobuf::Message;
using google::protobuf::MessageFactory;
using google::protobuf::ServiceDescriptor;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::UnorderedElementsAre;
using Kind = ContractCase::Kind;

const ServiceDescriptor& Service(const std::string& name) {
  return *testing_test::v1::RulesRequest::descriptor()
              ->file()
              ->FindServiceByName(name);
}

std::unique_ptr<Message> RequestOf(const ContractCase& one) {
  std::unique_ptr<Message> message(
      MessageFactory::generated_factory()
          ->GetPrototype(one.method.descriptor->input_type())
          ->New());
  EXPECT_TRUE(message->ParseFromString(one.request)) << one.name;
  return message;
}

class ContractCasesTest : public ::testing::Test {
 protected:
  std::vector<ContractCase> Of(const std::string& method) const {
    std::vector<ContractCase> found;
    for (const ContractCase& one : all_.cases) {
      if (one.method.name == method) found.push_back(one);
    }
    return found;
  }
  std::vector<std::string> NamesOf(const std::string& method) const {
    std::vector<std::string> names;
    for (const ContractCase& one : Of(method)) names.push_back(one.name);
    return names;
  }

  const ContractCases all_ = *DeriveContractCases(Service("ContractService"));
};

// The validator is the other opinion on every rule: what the cases call valid
// must be so, and what they break must be that and nothing else.
TEST_F(ContractCasesTest, EachMessageBreaksWhatItSaysAndNothingElse) {
  std::map<const google::protobuf::Descriptor*, std::unique_ptr<Validator>>
      validators;
  int fields = 0;
  for (const ContractCase& one : all_.cases) {
    const auto* const type = one.method.descriptor->input_type();
    if (validators[type] == nullptr) {
      validators[type] = *Validator::Create(*type);
    }
    const std::unique_ptr<Message> request = RequestOf(one);
    const absl::Status status = validators[type]->Validate(*request);
    if (one.kind == Kind::kTooMany) continue;  // may send anything
    if (one.kind != Kind::kField) {
      EXPECT_THAT(status, IsOk()) << one.method.path << " " << one.name;
      continue;
    }
    ++fields;
    google::rpc::BadRequest bad;
    ASSERT_TRUE(GetDetail(status, bad))
        << one.name << ": " << request->ShortDebugString();
    ASSERT_EQ(bad.field_violations_size(), 1)
        << one.name << ": " << status.message();
    EXPECT_EQ(bad.field_violations(0).field(), one.field) << one.name;
  }
  EXPECT_GT(fields, 80);
}

TEST_F(ContractCasesTest, DerivesEveryRuleOfTheRequest) {
  EXPECT_THAT(NamesOf("Rules"),
              IsSupersetOf({"texts: missing",
                            "texts.plain: missing",
                            "texts.plain: too short",
                            "texts.plain: too long",
                            "texts.slug: too short",
                            "texts.slug: too long",
                            "texts.slug: not of its pattern",
                            "texts.no_nul: not of its pattern",
                            "texts.alias: not of its pattern",
                            "texts.alias: too long",
                            "texts.one_of: not one of those",
                            "texts.email: not of its format",
                            "texts.email: too long",
                            "texts.id: not of its format",
                            "texts.link: not of its format",
                            "texts.host: not of its format",
                            "texts.host: too long",
                            "texts.tags: missing",
                            "texts.tags: too many items",
                            "texts.tags: repeated",
                            "texts.tags[0]: too short",
                            "texts.tags[0]: too long",
                            "texts.tags[0]: not of its pattern",
                            "texts.nick: too short",
                            "texts.password: too short",
                            "texts.data: missing",
                            "texts.data: too short",
                            "texts.data: too long",
                            "numbers.small: too small",
                            "numbers.small: too large",
                            "numbers.positive: too small",
                            "numbers.count: too large",
                            "numbers.more: too small",
                            "numbers.part: too small",
                            "numbers.part: too large",
                            "numbers.part: at its excluded maximum",
                            "numbers.part: not a number",
                            "numbers.ratio: too large",
                            "numbers.colour: missing",
                            "numbers.colour: not declared",
                            "numbers.colours: repeated",
                            "numbers.colours[0]: not declared",
                            "numbers.colours[0]: unspecified",
                            "numbers.offsets: too few",
                            "numbers.offsets: too many items",
                            "numbers.offsets: repeated",
                            "numbers.offsets[0]: too small",
                            "numbers.agreed: missing",
                            "numbers.wrapped: too small",
                            "numbers.wrapped: too large",
                            "parts: too few",
                            "parts: too many items",
                            "parts[0].name: missing",
                            "parts[0].name: too long",
                            "parts[0].price: too small",
                            "by_name: too many items",
                            "by_name[\"k0\"].name: missing",
                            "by_number[?]: too long",
                            "part.name: too long",
                            "word: too long",
                            "tree.label: too long",
                            "tree.children: too many items",
                            "wrapped: too short",
                            "wrapped: too long",
                            "time: missing",
                            "time: too short a time",
                            "time: too long a time",
                            "time: not a duration",
                            "at: missing"}));
}

TEST_F(ContractCasesTest, SaysWhatNoMessageCanBreak) {
  EXPECT_THAT(
      all_.left_out,
      UnorderedElementsAre(
          HasSubstr("/Rules texts.anything: not of its pattern"),
          HasSubstr("/Rules numbers.count: too small (zero counts as not set"),
          HasSubstr("/Upload name: too long (the request would be too large")));
}

TEST_F(ContractCasesTest, DerivesWhoMayCall) {
  EXPECT_THAT(NamesOf("Open"),
              ElementsAre("valid, anonymous", "too many", "too large"));
  EXPECT_THAT(NamesOf("Empty"), ElementsAre("valid", "anonymous", "too many"));
  const std::vector<ContractCase> roles = Of("Roles");
  EXPECT_THAT(NamesOf("Roles"),
              ElementsAre("valid, as author", "valid, as admin",
                          "valid, with the scope things.write", "wrong role",
                          "anonymous", "too many"));
  EXPECT_THAT(roles[1].roles, ElementsAre("admin"));
  EXPECT_THAT(roles[2].scopes, ElementsAre("things.write"));
  EXPECT_EQ(roles[3].code, grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(roles[3].mentions,
              ElementsAre("author", "admin", "things.write"));
  EXPECT_EQ(roles[4].code, grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(roles[4].anonymous);
}

TEST_F(ContractCasesTest, TheServersDefaultDecidesWhereTheContractDoesNot) {
  const ContractCases open = *DeriveContractCases(
      Service("HardService"),
      {.default_access = {.kind = AccessRule::Kind::kPublic},
       .examples = {{"grpccommon.testing_test.v1.HardRequest.greek", "αβ"}}});
  EXPECT_EQ(open.cases.front().name, "valid, anonymous");
}

TEST_F(ContractCasesTest, OneByteMoreThanTheMethodTakesIsTooLarge) {
  for (const ContractCase& one : all_.cases) {
    if (one.kind != Kind::kTooLarge) continue;
    const std::size_t limit = *one.method.policy.max_request_bytes;
    EXPECT_GT(one.request.size(), limit);
    EXPECT_LE(one.request.size(), limit + 2);
    if (one.method.name == "Large") {
      EXPECT_EQ(one.code, grpc::StatusCode::RESOURCE_EXHAUSTED);
      EXPECT_EQ(one.reason, "");
    } else {
      EXPECT_EQ(one.code, grpc::StatusCode::INVALID_ARGUMENT);
      EXPECT_EQ(one.reason, "REQUEST_TOO_LARGE");
    }
  }
}

TEST_F(ContractCasesTest, AHandlerThatChecksMessagesItselfIsLeftThem) {
  EXPECT_THAT(NamesOf("Lenient"),
              ElementsAre("valid", "anonymous", "too many", "too large"));
}

TEST_F(ContractCasesTest, TooManyCallsAreOfAKindThatIsRefusedAnyway) {
  const ContractCase rules = Of("Rules").back();
  EXPECT_EQ(rules.kind, Kind::kTooMany);
  EXPECT_EQ(rules.burst, 5);
  EXPECT_THAT(
      (*Validator::Create(*testing_test::v1::RulesRequest::descriptor()))
          ->Validate(*RequestOf(rules)),
      StatusIs(absl::StatusCode::kInvalidArgument));
  const ContractCase roles = Of("Roles").back();
  EXPECT_THAT(roles.roles, ElementsAre("contract-check-stranger"));
}

TEST(ContractCasesErrorTest, AsksForAnExampleWhereItKnowsNone) {
  EXPECT_THAT(DeriveContractCases(Service("HardService")),
              AllOf(StatusIs(absl::StatusCode::kUnimplemented),
                    MessageIs(HasSubstr("HardRequest.greek"))));
  const absl::StatusOr<ContractCases> derived = DeriveContractCases(
      Service("HardService"),
      {.examples = {{"grpccommon.testing_test.v1.HardRequest.greek", "αβ"}}});
  ASSERT_THAT(derived, IsOk());
  std::vector<std::string> names;
  for (const ContractCase& one : derived->cases) names.push_back(one.name);
  EXPECT_THAT(names,
              ElementsAre("valid", "anonymous", "greek: missing",
                          "greek: too long", "greek: not of its pattern"));
}

TEST(ContractCasesErrorTest, NoticesARequestThatNeedsItself) {
  EXPECT_THAT(DeriveContractCases(Service("EndlessService")),
              AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                    MessageIs(HasSubstr("EndlessRequest"))));
}

}  // namespace
}  // namespace grpccommon::testing
