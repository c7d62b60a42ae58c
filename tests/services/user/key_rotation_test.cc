// SPDX-License-Identifier: Apache-2.0
// Another service that verifies users' tokens with the published keys, while
// they rotate.
#include <atomic>
#include <deque>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "gmock/gmock.h"
#include "grpccommon/auth/authenticator.h"
#include "grpccommon/base/base64.h"
#include "grpccommon/testing/fake_clock.h"
#include "gtest/gtest.h"
#include "services/user/user_server.h"
#include "support/test_server.h"

namespace platform::user {
namespace {

using grpccommon::CallKind;
using grpccommon::testing::FakeClock;
using grpccommon::testing::FakeScheduler;
using namespace std::chrono_literals;

std::string KeyOf(const std::string& token) {
  return nlohmann::json::parse(
      *grpccommon::Base64UrlDecode(token.substr(0, token.find('.'))))["kid"];
}

TEST(KeyRotationTest, FailsNoCallOfAServiceThatFetchesTheKeys) {
  FakeClock clock;
  FakeScheduler scheduler(clock);
  UserServer users(
      {.keys = {.rotation_interval = 2h, .publish_ahead = 20min}},
      [&clock](grpccommon::ServerOptions& options) { options.clock = &clock; },
      clock);
  users.backend().StartKeyChecks(scheduler);
  const std::string url =
      "http://127.0.0.1:" + std::to_string(users.server().http_port()) +
      "/.well-known/jwks.json";

  grpccommon::ServerOptions options;
  options.clock = &clock;
  options.rate_limit.reset();
  options.auth.make_authenticator = [&](grpccommon::Scheduler&,
                                        const grpccommon::Logger& logger)
      -> absl::StatusOr<std::unique_ptr<grpccommon::Authenticator>> {
    auto keys = grpccommon::CreateKeyUrl(url, scheduler, {.allow_http = true},
                                         logger, clock);
    if (!keys.ok()) return keys.status();
    return grpccommon::CreateJwtAuthenticator(
        *std::move(keys),
        {.verifier = {.issuer = "platform-user", .audiences = {"platform"}}});
  };
  grpccommon::test::TestServer other(grpccommon::test::Style::kCallback,
                                     /*tls=*/false, {}, options);

  // The timers of the two, which one that is at work has not set.
  const auto settle = [&scheduler] {
    while (scheduler.pending() < 2) std::this_thread::yield();
  };
  settle();

  v1::RegisterRequest registration;
  registration.set_username("ada");
  registration.set_email("ada@example.org");
  registration.set_password("correct horse battery");
  v1::RegisterResponse registered;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(
        users.stub().Register(&context, registration, &registered).ok());
  }
  v1::LoginRequest login;
  login.set_login("ada");
  login.set_password("correct horse battery");

  struct Issued {
    std::string token;
    grpccommon::Clock::WallTime at;
  };
  std::deque<Issued> tokens;
  std::set<std::string> keys;
  std::atomic<int> calls = 0;
  std::atomic<int> failed = 0;
  for (int minute = 0; minute < 9 * 60; ++minute) {
    grpc::ClientContext context;
    v1::LoginResponse in;
    const grpc::Status status = users.stub().Login(&context, login, &in);
    ASSERT_TRUE(status.ok()) << status.error_message();
    tokens.push_back({in.tokens().access_token(), clock.WallNow()});
    keys.insert(KeyOf(tokens.back().token));
    while (clock.WallNow() - tokens.front().at >= 15min) tokens.pop_front();
    // The youngest, the oldest that is good, and one between, at once.
    std::vector<std::thread> clients;
    for (const std::size_t index :
         {std::size_t{0}, tokens.size() / 2, tokens.size() - 1}) {
      clients.emplace_back([&, token = tokens[index].token] {
        const auto result =
            other.Call(CallKind::kUnary, [&](grpc::ClientContext& call) {
              call.AddMetadata("authorization", "Bearer " + token);
            });
        ++calls;
        if (result.status.ok()) return;
        ++failed;
        ADD_FAILURE() << "minute " << minute << ": "
                      << result.status.error_message();
      });
    }
    for (std::thread& client : clients) client.join();
    ASSERT_EQ(failed, 0);
    clock.Advance(1min);
    std::promise<void> refreshed;
    users.backend().keys().Refresh(
        [&refreshed](const absl::Status&) { refreshed.set_value(); });
    refreshed.get_future().wait();
    settle();
  }
  EXPECT_EQ(calls, 3 * 9 * 60);
  EXPECT_GE(keys.size(), 5u) << "keys that signed";
  users.backend().StopKeyChecks();
  other.Stop();
}

}  // namespace
}  // namespace platform::user
