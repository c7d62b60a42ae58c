// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/registry/registry_uri.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/status_matchers.h"
#include "registry/fake_dns_server.h"
#include "registry/parsed_uri.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::grpccommon::testing::DnsMessage;
using ::grpccommon::testing::FakeClock;
using ::grpccommon::testing::FakeDnsServer;
using ::grpccommon::testing::FakeScheduler;
using ::grpccommon::testing::IsOk;
using ::grpccommon::testing::IsOkAndHolds;
using ::grpccommon::testing::MessageIs;
using ::grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

auto IsRefused(const std::string& what) {
  return AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
               MessageIs(HasSubstr("registry URI: " + what)));
}

class RegistryUriTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<Registry>> Create(
      const std::string& uri, const RegistryUriOptions& options = {}) {
    return CreateRegistry(uri, scheduler_, options);
  }

  FakeClock clock_;
  FakeScheduler scheduler_{clock_};
};

TEST_F(RegistryUriTest, MakesAMemoryRegistry) {
  const auto registry = Create("memory:");
  ASSERT_THAT(registry, IsOk());
  EXPECT_THAT((*registry)->Register("s", {.address = "a:1"}), IsOk());
}

TEST_F(RegistryUriTest, MakesAFileRegistry) {
  std::string folder = ::testing::TempDir() + "grpccommon_uri_XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/a%20?#b.json";
  std::ofstream(path) << R"({"services": {"s": [{"address": "a:1"}]}})";
  for (const char* prefix : {"file:", "file://"}) {
    const auto registry =
        Create(prefix + path, {.file = {.check_interval = 1h}});
    ASSERT_THAT(registry, IsOk());
    std::vector<InstanceSet> seen;
    const auto watch = (*registry)->Watch(
        "s", [&](const InstanceSet& set) { seen.push_back(set); });
    clock_.Advance(0s);
    ASSERT_THAT(seen, SizeIs(1));
    EXPECT_THAT(seen[0].instances, ElementsAre(Instance{.address = "a:1"}));
  }
  EXPECT_THAT(Create("file:" + path, {.file = {.check_interval = 0s}}),
              MessageIs(HasSubstr("check_interval")));
  std::filesystem::remove_all(folder);
  EXPECT_THAT(Create("file:" + path), StatusIs(absl::StatusCode::kNotFound));
}

TEST(RegistryUriDnsTest, MakesADnsRegistryOfServersAndPattern) {
  std::promise<std::string> asked;
  bool first = true;
  const FakeDnsServer server(
      [&](const FakeDnsServer::Question& question) -> std::vector<std::string> {
        if (std::exchange(first, false)) asked.set_value(question.name);
        return {question.Reply().bytes()};
      });
  const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  const auto registry = CreateRegistry(
      "dns://" + server.address() + "/{service}.prod.example:50051",
      *scheduler);
  ASSERT_THAT(registry, IsOk());
  const auto watch = (*registry)->Watch("users", [](const InstanceSet&) {});
  EXPECT_EQ(asked.get_future().get(), "users.prod.example");
}

TEST_F(RegistryUriTest, TakesTheOtherSpellingsOfDns) {
  for (const char* uri :
       {"dns:", "dns:///", "dns:x.example:80", "dns:///x.example:80",
        "dns://127.0.0.1", "dns://[::1]:53,127.0.0.1/_a._b.{service}"}) {
    EXPECT_THAT(Create(uri), IsOk()) << uri;
  }
}

TEST_F(RegistryUriTest, MakesRegistriesThatLiveElsewhere) {
  for (const char* const uri :
       {"registry://localhost:1", "registry://10.0.0.1:1,[::1]:2/",
        "etcd://localhost:1", "etcd://10.0.0.1:1,10.0.0.2:1/",
        "etcd://localhost:1/my/prefix/"}) {
    const auto registry = Create(uri);
    ASSERT_THAT(registry, IsOk()) << uri;
    // Not there, and nobody waits for it.
    EXPECT_THAT((*registry)->Register("s", {.address = "a:1"}), IsOk());
  }
  for (const char* const uri :
       {"registry:", "registry://", "registry://host", "registry://h:1/path",
        "etcd:", "etcd://", "etcd://h:0", "etcd://h:1,h:1"}) {
    EXPECT_THAT(Create(uri), StatusIs(absl::StatusCode::kInvalidArgument))
        << uri;
  }
  RegistryUriOptions options;
  options.etcd.user = "u";
  EXPECT_THAT(Create("etcd://h:1", options),
              StatusIs(absl::StatusCode::kInvalidArgument));
  options.remote.authorization = [] { return "t"; };
  EXPECT_THAT(Create("registry://h:1", options),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(RegistryUriTest, RefusesByThePart) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "scheme"},
      {"memory", "scheme"},
      {":memory", "scheme"},
      {"Memory:", "scheme"},
      {"zookeeper://a:1", "scheme: \"zookeeper\" is none of memory, file, dns"},
      {"memory:x", "path"},
      {"memory://", "path"},
      {"memory:///", "path"},
      {" memory:", "characters"},
      {"file:/a b", "characters"},
      {"file:/a\n", "characters"},
      {std::string("file:/a\0", 8), "characters"},
      {"file:", "path"},
      {"file:x.json", "path"},
      {"file://", "path"},
      {"file://host/x.json", "authority"},
      {"dns:x.example", "dns: pattern"},
      {"dns:/x.example:80", "dns: pattern"},
      {"dns:x.example:80?a=b", "dns: pattern"},
      {"dns://ns.example/x.example:80", "dns: name_servers"},
      {"dns://127.0.0.1,/x.example:80", "dns: name_servers"},
      {"file:/" + std::string(5000, 'a'), "length"}};
  for (const auto& [uri, part] : cases) {
    EXPECT_THAT(Create(uri), IsRefused(part)) << uri;
  }
}

TEST_F(RegistryUriTest, DoesNotRepeatAPassword) {
  for (const char* uri :
       {"etcd://root:hunter2@a:1/x", "dns://hunter2@127.0.0.1/x:80"}) {
    const auto created = Create(uri);
    EXPECT_THAT(created, IsRefused("authority"));
    EXPECT_THAT(created, Not(MessageIs(HasSubstr("hunter2"))));
  }
}

absl::StatusOr<std::vector<std::string>> EndpointsOf(std::string_view uri) {
  return internal::EndpointsOf(*internal::ParseUri(uri));
}

TEST(EndpointsTest, AreHostsAndPorts) {
  EXPECT_THAT(EndpointsOf("etcd://a:1,[::1]:2,10.0.0.1:3/prefix"),
              IsOkAndHolds(ElementsAre("a:1", "[::1]:2", "10.0.0.1:3")));
  EXPECT_THAT(EndpointsOf("registry://a:1"), IsOkAndHolds(ElementsAre("a:1")));
}

TEST(EndpointsTest, AreRefusedByName) {
  EXPECT_THAT(EndpointsOf("registry:"), IsRefused("authority: missing"));
  EXPECT_THAT(EndpointsOf("registry:a:1"), IsRefused("authority: missing"));
  EXPECT_THAT(EndpointsOf("registry:///a:1"), IsRefused("authority: missing"));
  EXPECT_THAT(EndpointsOf("registry://a"), IsRefused("endpoint \"a\""));
  EXPECT_THAT(EndpointsOf("registry://a:1,"), IsRefused("endpoint \"\""));
  EXPECT_THAT(EndpointsOf("registry://a:1,b:0"), IsRefused("endpoint \"b:0\""));
  EXPECT_THAT(EndpointsOf("registry://a:1,b:1,a:1"),
              IsRefused("endpoint \"a:1\": comes twice"));
  std::string many = "registry://a:1";
  for (int i = 2; i <= 16; ++i) many += ",a:" + std::to_string(i);
  EXPECT_THAT(EndpointsOf(many), IsOkAndHolds(SizeIs(16)));
  EXPECT_THAT(EndpointsOf(many + ",a:17"),
              IsRefused("authority: more than 16"));
}

TEST(ParsedUriTest, KeepsThePathBehindTheAuthority) {
  const auto uri = internal::ParseUri("etcd://a:1/b/c?d");
  ASSERT_THAT(uri, IsOk());
  EXPECT_EQ(uri->scheme, "etcd");
  EXPECT_EQ(uri->authority, "a:1");
  EXPECT_EQ(uri->path, "/b/c?d");
}

}  // namespace
}  // namespace grpccommon
