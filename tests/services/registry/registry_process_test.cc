// SPDX-License-Identifier: Apache-2.0
// The registry as it is deployed: the built program with its whole chain,
// killed and started again, over its own memory and over etcd.
#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
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
  void TearDown() override { Kill(SIGKILL); }

  std::string TokenOf(const std::string& arguments) {
    const std::string command =
        std::string(DEV_TOKEN) + " " + folder_.path() + " " + arguments;
    FILE* const pipe = popen(command.c_str(), "r");
    std::string token;
    for (int c = fgetc(pipe); c != EOF && c != '\n'; c = fgetc(pipe)) {
      token.push_back(static_cast<char>(c));
    }
    EXPECT_EQ(pclose(pipe), 0);
    return token;
  }

  void Start(const std::vector<std::string>& more = {}) {
    if (instance_token_.empty()) {
      instance_token_ = "Bearer " + TokenOf("--subject node --role instance");
    }
    std::vector<std::string> environment = {
        "GRPCCOMMON_GRPC_ADDRESS=" + Address(),
        "GRPCCOMMON_HTTP_ADDRESS=",
        "GRPCCOMMON_AUTH__JWKS_FILE=" + folder_.path() + "/dev_jwks.json",
        "GRPCCOMMON_AUTH__ISSUER=grpccommon-dev",
        "GRPCCOMMON_AUTH__AUDIENCES=grpccommon-dev",
        "GRPCCOMMON_DRAIN_DELAY=0s",
        "GRPCCOMMON_APP_GRACE=3s"};
    environment.insert(environment.end(), more.begin(), more.end());
    std::vector<char*> variables;
    for (const std::string& variable : environment) {
      variables.push_back(const_cast<char*>(variable.c_str()));
    }
    variables.push_back(nullptr);
    char* const arguments[] = {const_cast<char*>(REGISTRY_SERVICE), nullptr};
    const std::string log = folder_.path() + "/log";
    child_ = fork();
    if (child_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      dup2(open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600),
           STDERR_FILENO);
      execve(REGISTRY_SERVICE, arguments, variables.data());
      _exit(127);
    }
    const auto channel =
        grpc::CreateChannel(Address(), grpc::InsecureChannelCredentials());
    ASSERT_TRUE(
        channel->WaitForConnected(std::chrono::system_clock::now() + 30s))
        << Log();
  }
  int Kill(int signal) {
    if (child_ <= 0) return 0;
    kill(child_, signal);
    int result = 0;
    EXPECT_EQ(waitpid(child_, &result, 0), child_);
    child_ = 0;
    return WIFEXITED(result) ? WEXITSTATUS(result) : -WTERMSIG(result);
  }

  std::string Address() const { return "unix:" + folder_.path() + "/socket"; }
  std::string Log() const {
    std::ostringstream log;
    log << std::ifstream(folder_.path() + "/log").rdbuf();
    return log.str();
  }

  std::unique_ptr<RemoteRegistry> Connect(const std::string& authorization) {
    return *RemoteRegistry::Create(
        {.connection = {.addresses = {Address()},
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
  std::string instance_token_;
  pid_t child_ = 0;
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
  ASSERT_THAT(one->WaitRegistered(30s), IsOk()) << Log();
  ASSERT_THAT(two->WaitRegistered(30s), IsOk());
  const auto watch = *registry->Watch("s", Record());
  ASSERT_TRUE(WaitFor(2, true, 0));  // the grace is over
  EXPECT_EQ(Kill(SIGKILL), -SIGKILL);
  ASSERT_TRUE(WaitFor(2, false, 2));
  Start();
  ASSERT_TRUE(WaitFor(2, true, 2));
  two.reset();
  ASSERT_TRUE(WaitFor(1, true, 1));
  EXPECT_EQ(Kill(SIGTERM), 0) << Log();  // with an open watch
}

TEST_F(RegistryProcessTest, LetsInWhomItsPolicyLetsIn) {
  Start({"GRPCCOMMON_APP_REGISTER=role:instance=shop.*"});
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
  (void)TokenOf("--subject nobody");  // makes the keys: the rest is in order
  const std::string keys =
      "GRPCCOMMON_AUTH__JWKS_FILE=" + folder_.path() + "/dev_jwks.json";
  for (const char* const variable :
       {"GRPCCOMMON_APP_REGISTER=everybody", "GRPCCOMMON_APP_GRACE=-1s",
        "GRPCCOMMON_APP_GRACE=soon", "GRPCCOMMON_APP_GRACE=2h",
        "GRPCCOMMON_APP_ETCD=,"}) {
    char* const arguments[] = {const_cast<char*>(REGISTRY_SERVICE), nullptr};
    char* const variables[] = {
        const_cast<char*>("GRPCCOMMON_GRPC_ADDRESS="),
        const_cast<char*>("GRPCCOMMON_AUTH__ANY_AUDIENCE=true"),
        const_cast<char*>("GRPCCOMMON_HTTP_ADDRESS="),
        const_cast<char*>(keys.c_str()),
        const_cast<char*>(variable),
        nullptr};
    child_ = fork();
    if (child_ == 0) {
      dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
      execve(REGISTRY_SERVICE, arguments, variables);
      _exit(127);
    }
    EXPECT_EQ(Kill(0), 78) << variable;
  }
}

TEST_F(RegistryProcessTest, StandsInFrontOfEtcd) {
  if (!EtcdProcess::Available()) GTEST_SKIP() << "etcd is not installed";
  EtcdProcess etcd;
  const std::vector<std::string> with_etcd = {"GRPCCOMMON_APP_ETCD=" +
                                              etcd.address()};
  Start(with_etcd);
  const auto registry = Connect(instance_token_);
  auto through_us = *registry->Register("s", {.address = "a:1"}, {.ttl = 60s});
  ASSERT_THAT(through_us->WaitRegistered(30s), IsOk()) << Log();
  // Others may use etcd itself.
  const auto direct = *grpccommon::EtcdRegistry::Create(
      {.connection = {.addresses = {etcd.address()}}}, *scheduler_);
  const auto beside_us =
      *direct->Register("s", {.address = "b:1"}, {.ttl = 60s});
  ASSERT_THAT(beside_us->WaitRegistered(30s), IsOk());
  const auto watch = *registry->Watch("s", Record());
  ASSERT_TRUE(WaitFor(2, true, 0));
  // Our restart takes nobody out, and etcd's neither.
  EXPECT_EQ(Kill(SIGTERM), 0) << Log();
  ASSERT_TRUE(WaitFor(2, false, 2));
  Start(with_etcd);
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
