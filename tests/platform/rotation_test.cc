// SPDX-License-Identifier: Apache-2.0
// The keys of the user service change while everybody calls, and nobody
// notices.
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "grpccommon/base/base64.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "platform/platform.h"

namespace platform::test {
namespace {

using grpccommon::testing::IsOk;
using std::chrono::steady_clock;
using namespace std::chrono_literals;

// The key that signed a token.
std::string KeyOf(const std::string& token) {
  const auto header =
      grpccommon::Base64UrlDecode(token.substr(0, token.find('.')));
  return nlohmann::json::parse(header.value_or("{}")).value("kid", "");
}

TEST(RotationTest, NoCallFailsWhileKeysRotate) {
  Platform platform;
  ASSERT_TRUE(platform.Start("registry"));
  ASSERT_TRUE(
      platform.Start("user", {{"GRPCCOMMON_APP_KEY_ROTATION_INTERVAL", "1m"},
                              {"GRPCCOMMON_APP_KEY_PUBLISH_AHEAD", "1m"},
                              // Here one name stands for everybody.
                              {"GRPCCOMMON_APP_LOGINS_PER_MINUTE", "10000"}}));
  ASSERT_TRUE(platform.Start("problem"));
  ASSERT_THAT(platform.Enter("ann"), IsOk());
  const std::string password = platform.passwords().at("ann");
  seed::Clients& clients = platform.clients();

  std::atomic<int> failed = 0;
  std::atomic<int> calls = 0;
  std::mutex mutex;
  std::set<std::string> keys;
  // Verifiers keep what they have fetched for a minute or more, so a key cannot
  // live for less.
  const char* const scope = std::getenv("PLATFORM_LOAD");
  const bool full = scope != nullptr && std::string_view(scope) == "full";
  const std::size_t enough = full ? 4 : 2;
  const auto give_up = steady_clock::now() + (full ? 300s : 120s);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      std::size_t seen = 0;
      while (seen < enough && steady_clock::now() < give_up) {
        const auto session = clients.LogIn("ann", password);
        if (!session.ok()) {
          ADD_FAILURE() << session.status();
          ++failed;
          continue;
        }
        {
          const std::lock_guard lock(mutex);
          keys.insert(KeyOf(session->access_token));
          seen = keys.size();
        }
        // The token outlives its key.
        for (int call = 0; call < 20; ++call, ++calls) {
          std::this_thread::sleep_for(20ms);  // a minute of calls, not of load
          const auto listed = clients.problems().Call(
              &seed::ProblemService::Stub::ListProblems, {}, session->Call());
          if (!listed.ok()) {
            ADD_FAILURE() << listed.status();
            ++failed;
          }
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_GE(keys.size(), enough);
  std::cout << calls << " calls with tokens of " << keys.size() << " keys\n";
}

}  // namespace
}  // namespace platform::test
