// SPDX-License-Identifier: Apache-2.0
#include "registry/instance_file.h"

#include <gmock/gmock.h>

#include <string>
#include <utility>

#include "grpccommon/testing/status_matchers.h"

namespace grpccommon::internal {
namespace {

using ::grpccommon::testing::IsOk;
using ::grpccommon::testing::IsOkAndHolds;
using ::grpccommon::testing::MessageIs;
using ::grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(InstanceFileTest, ReadsEveryMember) {
  EXPECT_THAT(
      ParseInstanceFile(R"({"services": {"a.B": [
          {"address": "b:1", "weight": 2.5, "zone": "z", "version": "v",
           "metadata": {"k": "w", "l": ""}, "healthy": false}]}})"),
      IsOkAndHolds(ElementsAre(
          Pair("a.B", ElementsAre(Instance{.address = "b:1",
                                           .weight = 2.5,
                                           .zone = "z",
                                           .version = "v",
                                           .metadata = {{"k", "w"}, {"l", ""}},
                                           .healthy = false})))));
}

TEST(InstanceFileTest, NeedsTheAddressOnlyAndSorts) {
  EXPECT_THAT(ParseInstanceFile(
                  R"({"services": {"s": [{"address": "b:1"},
                                         {"address": "a:1"}]}})"),
              IsOkAndHolds(ElementsAre(
                  Pair("s", ElementsAre(Instance{.address = "a:1"},
                                        Instance{.address = "b:1"})))));
}

TEST(InstanceFileTest, NothingMayBeServed) {
  EXPECT_THAT(ParseInstanceFile(R"({"services": {}})"),
              IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(ParseInstanceFile(R"({"services": {"s": []}})"),
              IsOkAndHolds(ElementsAre(Pair("s", IsEmpty()))));
}

using Case = std::pair<const char*, const char*>;
class BadInstanceFileTest : public ::testing::TestWithParam<Case> {};

TEST_P(BadInstanceFileTest, IsRefusedByThePlace) {
  const auto& [text, message] = GetParam();
  EXPECT_THAT(ParseInstanceFile(text),
              AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                    MessageIs(HasSubstr(message))));
}

INSTANTIATE_TEST_SUITE_P(
    Files, BadInstanceFileTest,
    ::testing::Values(
        Case("", "not JSON at byte"),
        Case("\x7F"
             "ELF",
             "not JSON at byte"),
        Case("null", "file: must be an object"),
        Case("[]", "file: must be an object"),
        Case("{}", "has no \"services\""),
        Case(R"({"services": {}, "Services": {}})",
             "unknown member \"Services\""),
        Case(R"({"services": {}, "services": {}})",
             "\"services\" appears twice"),
        Case(R"({"services": []})", "services: must be an object"),
        Case(R"({"services": {}} {})", "not JSON at byte"),
        Case(R"({"services": {"a/b": []}})", "service \"a/b\""),
        Case(R"({"services": {"": []}})", "service's name"),
        Case(R"({"services": {"s": [], "s": []}})", "\"s\" appears twice"),
        Case(R"({"services": {"s": null}})", "services.s: must be an array"),
        Case(R"({"services": {"s": {}}})", "services.s: must be an array"),
        Case(R"({"services": {"s": [[[[[]]]]]}})", "nested deeper")));

INSTANTIATE_TEST_SUITE_P(
    Instances, BadInstanceFileTest,
    ::testing::Values(
        Case(R"({"services": {"s": ["a:1"]}})",
             "services.s[0]: must be an object"),
        Case(R"({"services": {"s": [{}]}})", "services.s[0]: has no address"),
        Case(R"({"services": {"s": [{"address": 1}]}})",
             "services.s[0].address: must be a string"),
        Case(R"({"services": {"s": [{"address": "a:1"}, {"address": "a"}]}})",
             "services.s[1]: address \"a\""),
        Case(R"({"services": {"s": [{"address": "a:1"}, {"address": "a:1"}]}})",
             "services.s: instance \"a:1\" comes twice"),
        Case(R"({"services": {"s": [{"address": "a:1", "adress": "a:1"}]}})",
             "services.s[0]: unknown member \"adress\""),
        Case(R"({"services": {"s": [{"address": "a:1", "weight": "1"}]}})",
             "services.s[0].weight: must be a number"),
        Case(R"({"services": {"s": [{"address": "a:1", "weight": 0}]}})",
             "services.s[0]: weight must be in"),
        Case(R"({"services": {"s": [{"address": "a:1", "weight": -1}]}})",
             "services.s[0]: weight must be in"),
        Case(R"({"services": {"s": [{"address": "a:1", "weight": 1e999}]}})",
             "not JSON at byte"),
        Case(R"({"services": {"s": [{"address": "a:1", "healthy": 1}]}})",
             "services.s[0].healthy: must be true or false"),
        Case(R"({"services": {"s": [{"address": "a:1", "zone": null}]}})",
             "services.s[0].zone: must be a string"),
        Case(R"({"services": {"s": [{"address": "a:1", "zone": "a\nb"}]}})",
             "services.s[0]: zone"),
        Case(R"({"services": {"s": [{"address": "a:1", "version": []}]}})",
             "services.s[0].version: must be a string"),
        Case(R"({"services": {"s": [{"address": "a:1", "metadata": []}]}})",
             "services.s[0].metadata: must be an object"),
        Case(R"({"services": {"s": [{"address": "a:1",
                                     "metadata": {"k": 1}}]}})",
             "services.s[0].metadata.k: must be a string"),
        Case(R"({"services": {"s": [{"address": "a:1",
                                     "metadata": {"": "v"}}]}})",
             "services.s[0]: metadata key")));

TEST(InstanceFileTest, TakesAThousandServicesAndNoMore) {
  std::string services;
  for (int i = 0; i < 1000; ++i) {
    services += (i > 0 ? ",\"s" : "\"s") + std::to_string(i) + "\":[]";
  }
  EXPECT_THAT(ParseInstanceFile("{\"services\":{" + services + "}}"), IsOk());
  EXPECT_THAT(ParseInstanceFile("{\"services\":{" + services + ",\"t\":[]}}"),
              MessageIs(HasSubstr("more than 1000 members")));
}

TEST(InstanceFileTest, RefusesAFileThatIsTooLarge) {
  EXPECT_THAT(ParseInstanceFile(std::string((16 << 20) + 1, ' ')),
              MessageIs(HasSubstr("larger than 16777216 bytes")));
}

}  // namespace
}  // namespace grpccommon::internal
