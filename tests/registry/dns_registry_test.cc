// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/registry/dns_registry.h"

#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "grpccommon/testing/status_matchers.h"
#include "registry/dns_registry_over.h"
#include "registry/fake_dns_server.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::grpccommon::testing::DnsMessage;
using ::grpccommon::testing::FakeClock;
using ::grpccommon::testing::FakeDnsServer;
using ::grpccommon::testing::FakeScheduler;
using ::grpccommon::testing::IsOk;
using ::grpccommon::testing::MessageIs;
using ::grpccommon::testing::RecordingLogSink;
using ::grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Keeps what is asked until the test answers.
class FakeResolver : public internal::DnsResolver {
 public:
  explicit FakeResolver(std::vector<std::pair<std::string, Done>>& asked)
      : asked_(asked) {}
  void LookUp(const internal::DnsTarget& target, Done done) override {
    asked_.emplace_back(target.text, std::move(done));
  }

 private:
  std::vector<std::pair<std::string, Done>>& asked_;
};

class DnsRegistryTest : public ::testing::Test {
 protected:
  void Create(const DnsRegistryOptions& options = {}) {
    registry_ = *internal::CreateDnsRegistryOver(
        std::make_unique<FakeResolver>(asked_), scheduler_, options,
        Logger(log_, "test"), [this] { return random_; });
  }
  std::unique_ptr<InstanceWatch> Watch(const std::string& service) {
    return *registry_->Watch(
        service, [this](const InstanceSet& set) { seen_.push_back(set); });
  }
  // Answers the one question that is open.
  void Answer(absl::StatusOr<internal::DnsAnswer> answer) {
    ASSERT_THAT(asked_, SizeIs(1));
    auto done = std::move(asked_.front().second);
    asked_.clear();
    done(std::move(answer));
    clock_.Advance(0s);
  }
  static internal::DnsAnswer One(Clock::Duration ttl = 10s) {
    return {.instances = {{.address = "10.0.0.1:80"}}, .ttl = ttl};
  }
  // After how long the next question is asked.
  Clock::Duration WaitForQuestion() {
    const Clock::TimePoint start = clock_.Now();
    while (asked_.empty() && clock_.Now() - start < 2h) clock_.Advance(100ms);
    return clock_.Now() - start;
  }

  FakeClock clock_;
  FakeScheduler scheduler_{clock_};
  double random_ = 0.5;
  std::shared_ptr<RecordingLogSink> log_ = std::make_shared<RecordingLogSink>();
  std::vector<std::pair<std::string, internal::DnsResolver::Done>> asked_;
  std::vector<InstanceSet> seen_;
  std::unique_ptr<Registry> registry_;
};

TEST_F(DnsRegistryTest, LooksUpWhatIsWatchedAndTellsIt) {
  Create();
  EXPECT_THAT(asked_, IsEmpty());
  const auto watch = Watch("x.example:80");
  ASSERT_THAT(asked_, SizeIs(1));
  EXPECT_EQ(asked_[0].first, "x.example:80");
  Answer(One());
  ASSERT_THAT(seen_, SizeIs(1));
  EXPECT_THAT(seen_[0].instances,
              ElementsAre(Instance{.address = "10.0.0.1:80"}));
  EXPECT_THAT(seen_[0].status, IsOk());
}

TEST_F(DnsRegistryTest, OneLookupServesAllWatchesOfAService) {
  Create();
  const auto first = Watch("x.example:80");
  const auto second = Watch("x.example:80");
  Answer(One());
  EXPECT_THAT(seen_, SizeIs(2));
  const auto third = Watch("x.example:80");
  clock_.Advance(0s);
  EXPECT_THAT(seen_, SizeIs(3));
  EXPECT_THAT(asked_, IsEmpty());
}

TEST_F(DnsRegistryTest, AsksAgainWhenTheAnswerIsTooOld) {
  Create({.refresh_interval = 30s, .min_interval = 5s});
  const auto watch = Watch("x.example:80");
  Answer(One(10s));
  EXPECT_EQ(WaitForQuestion(), 10s);
  Answer(One(0s));
  EXPECT_EQ(WaitForQuestion(), 5s) << "no flood";
  Answer(One(1h));
  EXPECT_EQ(WaitForQuestion(), 30s) << "a dead instance is not kept an hour";
  EXPECT_THAT(seen_, SizeIs(1)) << "the same answer is no news";
}

TEST_F(DnsRegistryTest, GivesOrTakesATenth) {
  Create();
  const auto watch = Watch("x.example:80");
  random_ = 0;
  Answer(One(10s));
  EXPECT_EQ(WaitForQuestion(), 9s);
  random_ = 1;
  Answer(One(10s));
  EXPECT_EQ(WaitForQuestion(), 11s);
}

TEST_F(DnsRegistryTest, FailuresKeepTheLastInstancesAndSaySo) {
  Create();
  const auto watch = Watch("x.example:80");
  Answer(One());
  for (const absl::Status& failure :
       {absl::NotFoundError("no such name"), absl::UnavailableError("away")}) {
    WaitForQuestion();
    Answer(failure);
    EXPECT_THAT(seen_.back().instances, SizeIs(1));
    EXPECT_EQ(seen_.back().status, failure);
  }
  EXPECT_THAT(log_->LinesWhere("level", "warning"), SizeIs(1)) << "said once";
  WaitForQuestion();
  Answer(One());
  EXPECT_THAT(seen_.back().status, IsOk());
  EXPECT_THAT(log_->LinesWhere("msg", "DNS answers again"), SizeIs(1));
}

TEST_F(DnsRegistryTest, SaysThatItNeverGotAnAnswer) {
  Create();
  const auto watch = Watch("x.example:80");
  Answer(absl::NotFoundError("no such name"));
  ASSERT_THAT(seen_, SizeIs(1));
  EXPECT_THAT(seen_[0].instances, IsEmpty());
  EXPECT_THAT(seen_[0].status, StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(DnsRegistryTest, BacksOffFromOneSecondToTheRefreshInterval) {
  Create({.refresh_interval = 5s});
  random_ = 1;
  const auto watch = Watch("x.example:80");
  for (const Clock::Duration wait : {1s, 2s, 4s, 5s, 5s}) {
    Answer(absl::UnavailableError("away"));
    EXPECT_EQ(WaitForQuestion(), wait);
  }
  random_ = 0.5;
  Answer(absl::UnavailableError("away"));
  EXPECT_EQ(WaitForQuestion(), 2500ms) << "full jitter";
  Answer(One());
  WaitForQuestion();
  random_ = 1;
  Answer(absl::UnavailableError("away"));
  EXPECT_EQ(WaitForQuestion(), 1s) << "anew after a success";
}

TEST_F(DnsRegistryTest, AskNothingMoreOnceNobodyWatches) {
  Create();
  auto watch = Watch("x.example:80");
  Answer(One());
  EXPECT_EQ(scheduler_.pending(), 1u);
  watch.reset();
  EXPECT_EQ(scheduler_.pending(), 0u);
}

TEST_F(DnsRegistryTest, AnAnswerToAnEarlierFollowingIsDropped) {
  Create();
  auto first = Watch("x.example:80");
  auto old = std::move(asked_.front().second);
  asked_.clear();
  first.reset();
  const auto second = Watch("x.example:80");
  old(One());
  clock_.Advance(0s);
  EXPECT_THAT(seen_, IsEmpty());
  EXPECT_EQ(scheduler_.pending(), 0u);
  Answer(One());
  EXPECT_THAT(seen_, SizeIs(1));
}

TEST_F(DnsRegistryTest, AnAddressIsLookedUpNowhere) {
  Create();
  const auto four = Watch("10.0.0.1:80");
  const auto six = Watch("[::1]:80");
  clock_.Advance(0s);
  ASSERT_THAT(seen_, SizeIs(2));
  EXPECT_THAT(seen_[0].instances,
              ElementsAre(Instance{.address = "10.0.0.1:80"}));
  EXPECT_THAT(seen_[1].instances, ElementsAre(Instance{.address = "[::1]:80"}));
  EXPECT_THAT(asked_, IsEmpty());
  EXPECT_EQ(scheduler_.pending(), 0u);
}

TEST_F(DnsRegistryTest, NamesComeFromTheListThenFromThePattern) {
  Create({.pattern = "_grpc._tcp.{service}.example",
          .names = {{"a.v1.Users", "users.example:80"}}});
  const auto users = Watch("a.v1.Users");
  const auto tasks = Watch("tasks");
  ASSERT_THAT(asked_, SizeIs(2));
  EXPECT_EQ(asked_[0].first, "users.example:80");
  EXPECT_EQ(asked_[1].first, "_grpc._tcp.tasks.example");
  EXPECT_THAT(registry_->Watch("a_b", [](const InstanceSet&) {}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(DnsRegistryTest, RefusesServicesThatAreNoDnsName) {
  Create();
  for (const char* service :
       {"", "x.example", "a b:80", "0.0.0.0:80", "_grpc.x", "{service}"}) {
    EXPECT_THAT(registry_->Watch(service, [](const InstanceSet&) {}),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << service;
  }
  EXPECT_THAT(registry_->Register("s", {.address = "a:1"}),
              StatusIs(absl::StatusCode::kUnimplemented));
}

TEST_F(DnsRegistryTest, RefusesOptionsByName) {
  const auto refused = [&](const DnsRegistryOptions& options,
                           const std::string& what) {
    EXPECT_THAT(CreateDnsRegistry(scheduler_, options),
                AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                      MessageIs(HasSubstr(what))));
  };
  refused({.refresh_interval = 999ms}, "refresh_interval");
  refused({.refresh_interval = 2h}, "refresh_interval");
  refused({.min_interval = 99ms}, "min_interval");
  refused({.refresh_interval = 10s, .min_interval = 11s}, "min_interval");
  refused({.timeout = 99ms}, "timeout");
  refused({.timeout = 61s}, "timeout");
  refused({.pattern = ""}, "pattern");
  refused({.pattern = "{service}.example"}, "pattern");
  refused({.pattern = "{svc}.example:80"}, "pattern");
  refused({.names = {{"a b", "x.example:80"}}}, "names");
  refused({.names = {{"a", "x.example"}}}, "names");
  refused({.name_servers = {"ns.example"}}, "name_servers");
}

TEST(DnsRegistryEndToEndTest, FollowsANameServer) {
  std::atomic<int> last = 1;
  const FakeDnsServer server(
      [&](const FakeDnsServer::Question& question) -> std::vector<std::string> {
        DnsMessage reply = question.Reply();
        if (question.type == DnsMessage::kA) {
          const std::string address = "10.0.0." + std::to_string(last.load());
          reply.Answer(DnsMessage::kA, 0, DnsMessage::Ipv4(address.c_str()));
        }
        return {reply.bytes()};
      });
  const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  const auto registry =
      *CreateDnsRegistry(*scheduler, {.refresh_interval = 1s,
                                      .min_interval = 100ms,
                                      .name_servers = {server.address()}});
  std::promise<void> first;
  std::promise<void> second;
  const auto watch =
      *registry->Watch("x.example:80", [&](const InstanceSet& set) {
        EXPECT_THAT(set.status, IsOk());
        if (set.instances.at(0).address == "10.0.0.1:80") first.set_value();
        if (set.instances.at(0).address == "10.0.0.2:80") second.set_value();
      });
  first.get_future().wait();
  last = 2;
  second.get_future().wait();
}

TEST(DnsRegistryEndToEndTest, EndsInTheMiddleOfALookup) {
  const FakeDnsServer server(
      [](const FakeDnsServer::Question& question) -> std::vector<std::string> {
        return {question.Reply().Code(3).bytes()};
      });
  const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  for (int i = 0; i < 20; ++i) {
    const auto registry =
        *CreateDnsRegistry(*scheduler, {.name_servers = {server.address()}});
    auto a = *registry->Watch("x.example:80", [](const InstanceSet&) {});
    auto b =
        *registry->Watch("_grpc._tcp.x.example", [](const InstanceSet&) {});
    if (i % 2 == 0) a.reset();
  }
}

}  // namespace
}  // namespace grpccommon
