// SPDX-License-Identifier: Apache-2.0
// The registry as it is deployed: the built program with its whole chain,
// killed and started again, over its own memory and over etcd.
#include <grpcpp/grpcpp.h>
#include <signal.h>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/registry/etcd_registry.h"
#include "grpccommon/registry/remote_registry.h"
#include "grpccommon/testing/certificates.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "services/common/service_process.h"
#include "support/etcd_process.h"

namespace platform::registry {
namespace {

using namespace std::chrono_literals;
using grpccommon::InstanceSet;
using grpccommon::RemoteRegistry;
using grpccommon::test::EtcdProcess;
using grpccommon::testing::IsOk;
using grpccommon::testing::StatusIs;

class RegistryProcessTest : public ::testing::Test {
 protected:
  RegistryProcessTest() {
    service_.Set("HTTP_ADDRESS", "");
    service_.Set("APP_GRACE", "3s");
  }

  std::string TokenOf(const std::string& arguments) {
    return common::DevToken(folder_.path(), arguments);
  }
  void Start() { (void)service_.Start(); }

  std::unique_ptr<RemoteRegistry> Connect(const std::string& authorization) {
    return *RemoteRegistry::Create(
        {.connection = {.addresses = {service_.address()},
                        .reconnect_initial = 100ms,
                        .reconnect_maximum = 500ms},
         .authorization = [authorization] { return authorization; },
         .authorization_in_plaintext = true},
        *scheduler_);
  }

  grpccommon::Registry::OnChange Record() {
    return [this](const InstanceSet& set) {
      const grpccommon::MutexLock lock(mutex_);
      sets_.push_back(set);
      told_.NotifyAll();
    };
  }
  // Waits for a set of this size, with or without a status; no set since the
  // last wait may have been smaller than `least`.
  bool WaitFor(std::size_t size, bool ok, std::size_t least) {
    const auto deadline = std::chrono::steady_clock::now() + 40s;
    const grpccommon::MutexLock lock(mutex_);
    while (sets_.empty() || sets_.back().instances.size() != size ||
           sets_.back().status.ok() != ok) {
      if (!told_.WaitUntil(mutex_, deadline)) return false;
    }
    for (const InstanceSet& set : sets_) {
      EXPECT_GE(set.instances.size(), least);
    }
    sets_.clear();
    return true;
  }

  grpccommon::testing::TemporaryFolder folder_;
  common::ServiceProcess service_{REGISTRY_SERVICE, folder_.path()};
  const std::string instance_token_ =
      "Bearer " + TokenOf("--subject node --role instance");
  const std::unique_ptr<grpccommon::Scheduler> scheduler_ =
      grpccommon::CreateScheduler();
  grpccommon::Mutex mutex_;
  grpccommon::CondVar told_;
  std::vector<InstanceSet> sets_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(RegistryProcessTest, LosesNobodyWhenItIsKilledAndStartedAgain) {
  Start();
  const auto registry = Connect(instance_token_);
  const auto one = *registry->Register("s", {.address = "a:1"}, {.ttl = 2s});
  auto two = *registry->Register("s", {.address = "b:1"}, {.ttl = 2s});
  ASSERT_THAT(one->WaitRegistered(30s), IsOk()) << service_.Log();
  ASSERT_THAT(two->WaitRegistered(30s), IsOk());
  const auto watch = *registry->Watch("s", Record());
  ASSERT_TRUE(WaitFor(2, true, 0));  // the grace is over
  EXPECT_EQ(service_.Kill(SIGKILL), -SIGKILL);
  ASSERT_TRUE(WaitFor(2, false, 2));
  Start();
  ASSERT_TRUE(WaitFor(2, true, 2));
  two.reset();
  ASSERT_TRUE(WaitFor(1, true, 1));
  EXPECT_EQ(service_.Kill(SIGTERM), 0) << service_.Log();  // with an open watch
}

TEST_F(RegistryProcessTest, LetsInWhomItsPolicyLetsIn) {
  service_.Set("APP_REGISTER", "role:instance=shop.*");
  Start();
  const auto code = [this](const std::string& arguments, const char* service) {
    const auto registry = Connect("Bearer " + TokenOf(arguments));
    const auto registration = *registry->Register(service, {.address = "a:1"});
    return registration->WaitRegistered(30s).code();
  };
  EXPECT_EQ(code("--subject n --role instance", "shop.Cart"),
            absl::StatusCode::kOk);
  EXPECT_EQ(code("--subject n --role instance", "bank.Account"),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(code("--subject n --scope register:bank.Account", "bank.Account"),
            absl::StatusCode::kOk);
  EXPECT_EQ(code("--subject n", "shop.Cart"),
            absl::StatusCode::kPermissionDenied);
  const auto stranger = Connect("");
  const auto registration =
      *stranger->Register("shop.Cart", {.address = "a:1"});
  EXPECT_THAT(registration->WaitRegistered(30s),
              StatusIs(absl::StatusCode::kUnauthenticated));
}

TEST_F(RegistryProcessTest, RefusesAConfigurationThatMakesNoSense) {
  for (const auto& [name, value] :
       std::vector<std::array<const char*, 2>>{{"APP_REGISTER", "everybody"},
                                               {"APP_GRACE", "-1s"},
                                               {"APP_GRACE", "soon"},
                                               {"APP_GRACE", "2h"},
                                               {"APP_ETCD", ","},
                                               {"APP_ETCD", "etcd"},
                                               {"APP_ETCD_USER", "u"},
                                               {"APP_ETCD_CA_FILE", "ca"}}) {
    common::ServiceProcess refused(REGISTRY_SERVICE, folder_.path(), "refused");
    refused.Set(name, value);
    refused.Launch();
    EXPECT_EQ(refused.WaitForExit(), 78) << name << "=" << value;
  }
}

TEST_F(RegistryProcessTest, StandsInFrontOfEtcd) {
  if (!EtcdProcess::Available()) GTEST_SKIP() << "etcd is not installed";
  EtcdProcess etcd;
  service_.Set("APP_ETCD", etcd.address());
  Start();
  const auto registry = Connect(instance_token_);
  auto through_us = *registry->Register("s", {.address = "a:1"}, {.ttl = 60s});
  ASSERT_THAT(through_us->WaitRegistered(30s), IsOk()) << service_.Log();
  // Others may use etcd itself.
  const auto direct = *grpccommon::EtcdRegistry::Create(
      {.connection = {.addresses = {etcd.address()}}}, *scheduler_);
  const auto beside_us =
      *direct->Register("s", {.address = "b:1"}, {.ttl = 60s});
  ASSERT_THAT(beside_us->WaitRegistered(30s), IsOk());
  const auto watch = *registry->Watch("s", Record());
  ASSERT_TRUE(WaitFor(2, true, 0));
  // Our restart takes nobody out, and etcd's neither.
  EXPECT_EQ(service_.Kill(SIGTERM), 0) << service_.Log();
  ASSERT_TRUE(WaitFor(2, false, 2));
  Start();
  ASSERT_TRUE(WaitFor(2, true, 2));
  etcd.Kill();
  ASSERT_TRUE(WaitFor(2, false, 2));
  etcd.Start();
  ASSERT_TRUE(WaitFor(2, true, 2));
  through_us.reset();
  ASSERT_TRUE(WaitFor(1, true, 1));
}

}  // namespace
}  // namespace platform::registry
