// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/registry/registry.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "grpccommon/testing/status_matchers.h"
#include "registry/instances.h"

namespace grpccommon {
namespace {

using ::grpccommon::testing::IsOk;
using ::grpccommon::testing::MessageIs;
using ::grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;

auto IsRefused(const std::string& what) {
  return AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
               MessageIs(HasSubstr(what)));
}

Instance At(std::string address) { return {.address = std::move(address)}; }

TEST(CheckInstanceTest, TakesEveryKindOfAddress) {
  for (const char* address :
       {"host:80", "10.0.0.1:80", "[::1]:80", "unix:/run/x.sock"}) {
    EXPECT_THAT(CheckInstance(At(address)), IsOk()) << address;
  }
  EXPECT_THAT(CheckInstance(At("unix:/" + std::string(106, 'a'))), IsOk());
}

TEST(CheckInstanceTest, RefusesMalformedAddressesByName) {
  for (const char* address :
       {"", "host", "host:0", "[::1]", "dns:///host:80"}) {
    EXPECT_THAT(CheckInstance(At(address)), IsRefused("address")) << address;
  }
}

TEST(CheckInstanceTest, RefusesTheAddressThatServersListenOn) {
  for (const char* address :
       {"0.0.0.0:80", "[::]:80", "[0:0:0:0:0:0:0:0]:80", "[::0.0.0.0]:80"}) {
    EXPECT_THAT(CheckInstance(At(address)), IsRefused("is for listening"))
        << address;
  }
}

TEST(CheckInstanceTest, RefusesPathsThatAreNoSocket) {
  for (const std::string& path :
       {std::string(""), std::string("x"), std::string("./x"), std::string("/"),
        std::string("//x"), std::string("/x/"), std::string("///run/x"),
        std::string("/x\ny"), std::string("/\xFF"), std::string("/x\0y", 4),
        "/" + std::string(107, 'a')}) {
    EXPECT_THAT(CheckInstance(At("unix:" + path)), IsRefused("address"))
        << path;
  }
  EXPECT_THAT(CheckInstance(At("unix-abstract:x")), IsRefused("address"));
}

TEST(CheckInstanceTest, RefusesWeightsThatAreNoShare) {
  for (const double weight : {0.0, -1.0, 0.0009, 1000.1, std::nan(""),
                              std::numeric_limits<double>::infinity(),
                              -std::numeric_limits<double>::infinity()}) {
    EXPECT_THAT(CheckInstance({.address = "host:80", .weight = weight}),
                IsRefused("weight"))
        << weight;
  }
  EXPECT_THAT(CheckInstance({.address = "host:80", .weight = 0.001}), IsOk());
  EXPECT_THAT(CheckInstance({.address = "host:80", .weight = 1000}), IsOk());
}

TEST(CheckInstanceTest, RefusesTextsThatAreLongOrNoText) {
  EXPECT_THAT(CheckInstance({.address = "host:80",
                             .zone = std::string(128, 'z'),
                             .version = "1.0-β"}),
              IsOk());
  for (const std::string& text :
       {std::string(129, 'x'), std::string("\xC3"), std::string("a\nb"),
        std::string("\x7F"), std::string("\0", 1)}) {
    EXPECT_THAT(CheckInstance({.address = "host:80", .zone = text}),
                IsRefused("zone"));
    EXPECT_THAT(CheckInstance({.address = "host:80", .version = text}),
                IsRefused("version"));
    EXPECT_THAT(CheckInstance({.address = "host:80", .metadata = {{text, ""}}}),
                IsRefused("metadata key"));
  }
  EXPECT_THAT(CheckInstance({.address = "host:80", .metadata = {{"", "x"}}}),
              IsRefused("metadata key"));
  EXPECT_THAT(
      CheckInstance({.address = "host:80", .metadata = {{"k", "\xFF"}}}),
      IsRefused("metadata value of \"k\""));
  EXPECT_THAT(CheckInstance({.address = "host:80",
                             .metadata = {{"k", std::string(257, 'v')}}}),
              IsRefused("metadata value of \"k\""));
}

TEST(CheckInstanceTest, TakesThirtyTwoEntriesOfMetadataAndNoMore) {
  Instance instance = At("host:80");
  for (int i = 0; i < 32; ++i) {
    instance.metadata[std::string(62, 'k') + std::to_string(10 + i)] =
        std::string(256, 'v');
  }
  EXPECT_THAT(CheckInstance(instance), IsOk());
  instance.metadata["one more"] = "";
  EXPECT_THAT(CheckInstance(instance), IsRefused("at most 32 entries"));
}

TEST(CheckServiceNameTest, TakesNamesOfGrpcServices) {
  EXPECT_THAT(CheckServiceName("examples.greeter.v1.GreeterService"), IsOk());
  EXPECT_THAT(CheckServiceName("a"), IsOk());
  EXPECT_THAT(CheckServiceName("task-service_2"), IsOk());
  EXPECT_THAT(CheckServiceName(std::string(255, 'a')), IsOk());
}

TEST(CheckServiceNameTest, RefusesEverythingElse) {
  for (const std::string& name :
       {std::string(), std::string(256, 'a'), std::string("a/b"),
        std::string("a b"), std::string("a:b"), std::string("a\n"),
        std::string("\xC3\xA4"), std::string("a\0b", 3), std::string("*")}) {
    EXPECT_THAT(CheckServiceName(name), IsRefused("name")) << name;
  }
}

TEST(CheckInstancesTest, SortsByAddress) {
  std::vector<Instance> instances = {At("b:1"), At("a:2"), At("a:1")};
  ASSERT_THAT(internal::CheckInstances(instances), IsOk());
  EXPECT_THAT(instances, ElementsAre(Field(&Instance::address, "a:1"),
                                     Field(&Instance::address, "a:2"),
                                     Field(&Instance::address, "b:1")));
}

TEST(CheckInstancesTest, NamesTheBadInstance) {
  std::vector<Instance> twice = {At("b:1"), At("a:1"), At("b:1")};
  EXPECT_THAT(internal::CheckInstances(twice),
              IsRefused("instance \"b:1\" comes twice"));
  std::vector<Instance> light = {At("a:1"), {.address = "b:1", .weight = 0}};
  EXPECT_THAT(internal::CheckInstances(light),
              IsRefused("instance \"b:1\": weight"));
  std::vector<Instance> many(internal::kMaxInstances + 1, At("a:1"));
  EXPECT_THAT(internal::CheckInstances(many), IsRefused("more than 100000"));
}

TEST(CheckRegistrationOptionsTest, TakesASecondToAnHour) {
  using std::chrono_literals::operator""s;
  using std::chrono_literals::operator""h;
  using std::chrono_literals::operator""ns;
  EXPECT_THAT(internal::CheckRegistrationOptions({.ttl = 1s}), IsOk());
  EXPECT_THAT(internal::CheckRegistrationOptions({.ttl = 1h}), IsOk());
  EXPECT_THAT(internal::CheckRegistrationOptions({.ttl = 1s - 1ns}),
              IsRefused("ttl"));
  EXPECT_THAT(internal::CheckRegistrationOptions({.ttl = 1h + 1ns}),
              IsRefused("ttl"));
}

}  // namespace
}  // namespace grpccommon
