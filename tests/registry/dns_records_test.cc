// SPDX-License-Identifier: Apache-2.0
#include "registry/dns_records.h"

#include <gmock/gmock.h>

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "grpccommon/testing/status_matchers.h"
#include "registry/fake_dns_server.h"

namespace grpccommon::internal {
namespace {

using namespace std::chrono_literals;
using ::grpccommon::testing::DnsMessage;
using ::grpccommon::testing::IsOk;
using ::grpccommon::testing::IsOkAndHolds;
using ::grpccommon::testing::MessageIs;
using ::grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::span<const std::uint8_t> BytesOf(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

absl::StatusOr<SrvAnswer> Parse(const DnsMessage& message) {
  return ParseSrvAnswer(BytesOf(message.bytes()));
}

DnsMessage Reply() {
  return DnsMessage(1, "_grpc._tcp.x.example", DnsMessage::kSrv);
}

auto IsRefused() { return StatusIs(absl::StatusCode::kInvalidArgument); }

TEST(DnsTargetTest, TakesHostsAndServices) {
  EXPECT_THAT(ParseDnsTarget("x.example:80"),
              IsOkAndHolds(Field(&DnsTarget::srv, false)));
  EXPECT_THAT(ParseDnsTarget("10.0.0.1:80"),
              IsOkAndHolds(Field(&DnsTarget::srv, false)));
  EXPECT_THAT(ParseDnsTarget("_grpc._tcp.x.example"),
              IsOkAndHolds(Field(&DnsTarget::srv, true)));
  EXPECT_THAT(ParseDnsTarget("_a._b.c"),
              IsOkAndHolds(Field(&DnsTarget::srv, true)));
}

TEST(DnsTargetTest, RefusesEverythingElse) {
  for (const std::string& text :
       {std::string(), std::string("x.example"), std::string("x.example:0"),
        std::string("0.0.0.0:80"), std::string("_grpc"),
        std::string("_grpc._tcp"), std::string("_grpc._tcp."),
        std::string("_grpc.tcp.x"), std::string("_._tcp.x"),
        std::string("_g_._tcp.x"), std::string("_grpc._tcp.x:80"),
        std::string("_grpc._tcp._x"), std::string("_grpc._tcp.10.0.0.1"),
        std::string("_grpc._tcp.::1"), std::string("_grpc._tcp.x/y"),
        "_" + std::string(63, 'a') + "._tcp.x",
        std::string("_grpc._tcp.x\0y", 14)}) {
    EXPECT_THAT(ParseDnsTarget(text), IsRefused()) << text;
  }
}

TEST(SrvAnswerTest, ReadsRecordsAndTheShortestTtl) {
  const auto answer = Parse(
      Reply()
          .Answer(DnsMessage::kSrv, 300, DnsMessage::Srv(1, 2, 3, "a.example"))
          .Answer(DnsMessage::kSrv, 60,
                  DnsMessage::Srv(65535, 65535, 65535, "b.example")));
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->ttl, 60s);
  ASSERT_THAT(answer->records, SizeIs(2));
  EXPECT_EQ(answer->records[0].priority, 1);
  EXPECT_EQ(answer->records[0].weight, 2);
  EXPECT_EQ(answer->records[0].port, 3);
  EXPECT_EQ(answer->records[0].target, "a.example");
  EXPECT_EQ(answer->records[1].priority, 65535);
}

TEST(SrvAnswerTest, SkipsOtherRecordsButNotTheirTtl) {
  const auto answer =
      Parse(Reply()
                .Answer(DnsMessage::kCname, 5, DnsMessage::Name("y.example"))
                .AnswerFor("y.example", DnsMessage::kSrv, 60,
                           DnsMessage::Srv(0, 0, 1, "a.example")));
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->ttl, 5s);
  EXPECT_THAT(answer->records, SizeIs(1));
}

TEST(SrvAnswerTest, TheRootAsTargetMeansNotOffered) {
  const auto answer =
      Parse(Reply().Answer(DnsMessage::kSrv, 60, DnsMessage::Srv(0, 0, 0, "")));
  ASSERT_THAT(answer, IsOk());
  EXPECT_THAT(answer->records, ElementsAre(Field(&SrvRecord::target, "")));
}

TEST(SrvAnswerTest, AHugeTtlIsNone) {
  const auto answer = Parse(Reply().Answer(
      DnsMessage::kSrv, 0x80000000, DnsMessage::Srv(0, 0, 1, "a.example")));
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->ttl, 0s);
}

TEST(SrvAnswerTest, NoSuchRecordsIsANegativeAnswer) {
  EXPECT_THAT(Parse(Reply()), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(
      Parse(Reply().Answer(DnsMessage::kA, 60, DnsMessage::Ipv4("10.0.0.1"))),
      StatusIs(absl::StatusCode::kNotFound));
}

TEST(SrvAnswerTest, EveryBeginningOfAMessageIsRefused) {
  const std::string whole =
      Reply()
          .Answer(DnsMessage::kSrv, 60, DnsMessage::Srv(1, 2, 3, "a.example"))
          .bytes();
  ASSERT_THAT(ParseSrvAnswer(BytesOf(whole)), IsOk());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    // On the heap and of that size, so that a sanitizer sees a read beyond.
    const std::vector<std::uint8_t> part(
        whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_THAT(ParseSrvAnswer(part), IsRefused()) << size;
  }
}

TEST(SrvAnswerTest, RefusesNamesThatDoNotEnd) {
  // A target that points at itself; its place is 12 + 26 + 12 + 6.
  const std::string self = DnsMessage::Srv(1, 2, 3, "").substr(0, 6);
  const std::size_t at = Reply().bytes().size() + 12 + 6;
  for (const std::string& name :
       {std::string("\xc0") + static_cast<char>(at),       // itself
        std::string("\x01x\xc0") + static_cast<char>(at),  // and grows
        std::string("\xc0\xff"),                           // beyond the end
        std::string("\xff\xff"), std::string("\x40x\0", 3),
        std::string("\x05x\0", 3), std::string("\xc0")}) {
    EXPECT_THAT(Parse(Reply().Answer(DnsMessage::kSrv, 60, self + name)),
                IsRefused());
  }
}

TEST(SrvAnswerTest, RefusesALengthThatDoesNotFitTheRecord) {
  const std::string data = DnsMessage::Srv(1, 2, 3, "a.example");
  EXPECT_THAT(Parse(Reply().Answer(DnsMessage::kSrv, 60, data + "x")),
              IsRefused());
  EXPECT_THAT(Parse(Reply().Answer(DnsMessage::kSrv, 60, data.substr(0, 5))),
              IsRefused());
  EXPECT_THAT(Parse(Reply().Answer(DnsMessage::kSrv, 60, "")), IsRefused());
}

TEST(SrvAnswerTest, RefusesMoreAnswersThanThereAre) {
  EXPECT_THAT(Parse(Reply()
                        .Answer(DnsMessage::kSrv, 60,
                                DnsMessage::Srv(1, 2, 3, "a.example"))
                        .Answers(65535)),
              IsRefused());
}

TEST(SrvAnswerTest, RefusesTargetsThatNobodyCanCall) {
  for (const char* target :
       {"a_b.example", "10.0.0.1", "a b.example", "-a.example", "1.2"}) {
    EXPECT_THAT(Parse(Reply().Answer(DnsMessage::kSrv, 60,
                                     DnsMessage::Srv(1, 2, 3, target))),
                IsRefused())
        << target;
  }
  EXPECT_THAT(Parse(Reply().Answer(DnsMessage::kSrv, 60,
                                   DnsMessage::Srv(1, 2, 0, "a.example"))),
              IsRefused());
  // A dot within a label is not the dot between two.
  EXPECT_THAT(Parse(Reply().Answer(DnsMessage::kSrv, 60,
                                   DnsMessage::Srv(1, 2, 3, "").substr(0, 6) +
                                       std::string("\x03"
                                                   "a.b\0",
                                                   5))),
              IsRefused());
}

TEST(SrvAnswerTest, FollowsSoManyRecordsAndNoMore) {
  DnsMessage message = Reply();
  for (std::size_t i = 0; i < kMaxSrvRecords; ++i) {
    message.Answer(DnsMessage::kSrv, 60, DnsMessage::Srv(1, 2, 3, "a.example"));
  }
  EXPECT_THAT(Parse(message), IsOk());
  message.Answer(DnsMessage::kSrv, 60, DnsMessage::Srv(1, 2, 3, "a.example"));
  EXPECT_THAT(Parse(message),
              AllOf(IsRefused(), MessageIs(HasSubstr("more than 256"))));
}

HostPort Host(const std::string& host) {
  return ParseHostPort(host + ":1").value();
}

ResolvedSrv Srv(std::uint16_t priority, std::uint16_t weight,
                std::uint16_t port, const std::vector<std::string>& hosts) {
  ResolvedSrv srv{.record = {priority, weight, port, "x.example"}};
  for (const std::string& host : hosts) srv.hosts.push_back(Host(host));
  return srv;
}

TEST(SrvInstancesTest, WeightsAreSharedByATargetsAddresses) {
  EXPECT_THAT(InstancesOf({Srv(0, 30, 80, {"10.0.0.3", "10.0.0.1", "[::1]"}),
                           Srv(0, 5, 81, {"10.0.0.1"})}),
              ElementsAre(Instance{.address = "10.0.0.1:80", .weight = 10},
                          Instance{.address = "10.0.0.1:81", .weight = 5},
                          Instance{.address = "10.0.0.3:80", .weight = 10},
                          Instance{.address = "[::1]:80", .weight = 10}));
}

TEST(SrvInstancesTest, WeightsOfZeroPreferNothingOrAreSmall) {
  EXPECT_THAT(
      InstancesOf({Srv(0, 0, 80, {"10.0.0.1"}), Srv(0, 0, 80, {"10.0.0.2"})}),
      ElementsAre(Instance{.address = "10.0.0.1:80", .weight = 1},
                  Instance{.address = "10.0.0.2:80", .weight = 1}));
  EXPECT_THAT(
      InstancesOf({Srv(0, 0, 80, {"10.0.0.1"}), Srv(0, 7, 80, {"10.0.0.2"})}),
      ElementsAre(Instance{.address = "10.0.0.1:80", .weight = 0.001},
                  Instance{.address = "10.0.0.2:80", .weight = 7}));
}

TEST(SrvInstancesTest, WeightsBeyondOursKeepTheirProportion) {
  EXPECT_THAT(InstancesOf({Srv(0, 60000, 80, {"10.0.0.1"}),
                           Srv(0, 30000, 80, {"10.0.0.2"})}),
              ElementsAre(Instance{.address = "10.0.0.1:80", .weight = 1000},
                          Instance{.address = "10.0.0.2:80", .weight = 500}));
}

TEST(SrvInstancesTest, OnlyTheFirstPriorityWithAddressesIsToBeCalled) {
  EXPECT_THAT(
      InstancesOf({Srv(20, 1, 80, {"10.0.0.2"}), Srv(5, 1, 80, {}),
                   Srv(10, 1, 80, {"10.0.0.1"})}),
      ElementsAre(Instance{.address = "10.0.0.1:80"},
                  Instance{.address = "10.0.0.2:80", .healthy = false}));
}

TEST(SrvInstancesTest, AnAddressCountsOnceWithItsBestPriority) {
  EXPECT_THAT(InstancesOf({Srv(20, 9, 80, {"10.0.0.1"}),
                           Srv(10, 1, 80, {"10.0.0.1", "10.0.0.1"})}),
              ElementsAre(Instance{.address = "10.0.0.1:80", .weight = 0.5}));
}

TEST(SrvInstancesTest, AddressesThatNobodyCanCallAreLeftOut) {
  EXPECT_THAT(InstancesOf({Srv(0, 1, 80, {"0.0.0.0", "[::]"})}), IsEmpty());
  EXPECT_THAT(InstancesOf({}), IsEmpty());
}

}  // namespace
}  // namespace grpccommon::internal
