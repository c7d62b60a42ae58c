// SPDX-License-Identifier: Apache-2.0
// The user service as it is deployed: the built program, its whole chain, and
// what becomes of its data when it is killed.
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "http/raw_client.h"
#include "platform/user/v1/user_service.grpc.pb.h"
#include "services/common/service_process.h"
#include "services/common/temp_folder.h"
#include "support/postgres_process.h"

namespace platform::user {
namespace {

using common::CallWith;
using grpccommon::FromGrpcStatus;
using grpccommon::test::PostgresProcess;
using grpccommon::testing::HasReason;
using grpccommon::testing::IsOk;
using grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kPassword[] = "correct horse battery";
constexpr char kAdminPassword[] = "a password of the first admin";

// A process of the service.
class Process {
 public:
  Process(const common::TempFolder& folder, const std::string& name)
      : process_(USER_SERVICE, folder / "", name) {
    process_.Set("APP_DATABASE", folder / "user.db");
    process_.Set("APP_KEY_FILE", folder / "user.key");
    process_.Set("APP_PASSWORD_MEMORY", "8KiB");
    process_.Set("APP_PASSWORD_PASSES", "1");
  }

  // With these settings of GRPCCOMMON_APP_, now and from now on.
  void Launch(const std::map<std::string, std::string>& settings) {
    Set(settings);
    process_.Launch();
  }
  void Start(const std::map<std::string, std::string>& settings = {}) {
    Set(settings);
    stub_ = v1::UserService::NewStub(process_.Start());
  }
  int Kill(int signal) { return process_.Kill(signal); }
  int Stop() {
    stub_.reset();  // a server gives connections time to end
    return Kill(SIGTERM);
  }
  int WaitForExit() { return process_.WaitForExit(); }
  std::string Log() const { return process_.Log(); }
  grpccommon::testing::RawResponse HttpGet(const std::string& path) const {
    grpccommon::testing::RawClient client(process_.HttpPort());
    client.Send("GET " + path + " HTTP/1.1\r\nhost: x\r\n\r\n");
    return client.ReadResponse();
  }

  absl::StatusOr<v1::User> Register(const std::string& name,
                                    const std::string& password = kPassword) {
    v1::RegisterRequest request;
    request.set_username(name);
    request.set_email(name + "@example.org");
    request.set_password(password);
    v1::RegisterResponse response;
    const grpc::Status status =
        stub_->Register(CallWith("").get(), request, &response);
    if (!status.ok()) return FromGrpcStatus(status);
    return response.user();
  }
  absl::StatusOr<v1::LoginResponse> Login(
      const std::string& login, const std::string& password = kPassword) {
    v1::LoginRequest request;
    request.set_login(login);
    request.set_password(password);
    v1::LoginResponse response;
    const grpc::Status status =
        stub_->Login(CallWith("").get(), request, &response);
    if (!status.ok()) return FromGrpcStatus(status);
    return response;
  }
  absl::StatusOr<v1::Tokens> Refresh(const std::string& token) {
    v1::RefreshTokenRequest request;
    request.set_refresh_token(token);
    v1::RefreshTokenResponse response;
    const grpc::Status status =
        stub_->RefreshToken(CallWith("").get(), request, &response);
    if (!status.ok()) return FromGrpcStatus(status);
    return response.tokens();
  }
  absl::StatusOr<v1::User> Get(const std::string& id,
                               const std::string& token) {
    v1::GetUserRequest request;
    request.set_user_id(id);
    v1::GetUserResponse response;
    const grpc::Status status =
        stub_->GetUser(CallWith(token).get(), request, &response);
    if (!status.ok()) return FromGrpcStatus(status);
    return response.user();
  }
  absl::StatusOr<v1::ValidateTokenResponse> Validate(
      const std::string& validated, const std::string& token) {
    v1::ValidateTokenRequest request;
    request.set_access_token(validated);
    v1::ValidateTokenResponse response;
    const grpc::Status status =
        stub_->ValidateToken(CallWith(token).get(), request, &response);
    if (!status.ok()) return FromGrpcStatus(status);
    return response;
  }

 private:
  void Set(const std::map<std::string, std::string>& settings) {
    for (const auto& [name, value] : settings) {
      process_.Set("APP_" + name, value);
    }
  }

  common::ServiceProcess process_;
  std::unique_ptr<v1::UserService::Stub> stub_;
};

class UserProcessTest : public ::testing::Test {
 protected:
  std::string TokenOf(const std::string& arguments) {
    return common::DevToken(folder_ / "", arguments);
  }
  std::map<std::string, std::string> AdminSettings(
      const std::string& password = kAdminPassword) const {
    const std::string file = folder_ / "admin_password";
    std::ofstream(file, std::ios::trunc) << password << '\n';
    return {{"ADMIN_USERNAME", "root"},
            {"ADMIN_EMAIL", "root@example.org"},
            {"ADMIN_PASSWORD_FILE", file}};
  }
  void ExpectExit(const std::map<std::string, std::string>& settings, int code,
                  const std::string& because) {
    Process process(folder_, "refused");
    process.Launch(settings);
    EXPECT_EQ(process.WaitForExit(), code) << process.Log();
    EXPECT_THAT(process.Log(), HasSubstr(because));
  }

  common::TempFolder folder_;
  Process process_{folder_, "user"};
};

TEST_F(UserProcessTest, KeepsEveryAcknowledgedAccountAndSessionWhenKilled) {
  std::mutex mutex;
  std::map<std::string, std::string> refresh_tokens;  // by acknowledged name
  for (int round = 0; round < 3; ++round) {
    process_.Start();
    std::atomic<int> count = 0;
    std::vector<std::thread> clients;
    for (int t = 0; t < 4; ++t) {
      clients.emplace_back([&, t] {
        for (int i = 0;; ++i) {
          const std::string name = "u" + std::to_string(round) + "-" +
                                   std::to_string(t) + "-" + std::to_string(i);
          if (!process_.Register(name).ok()) return;
          const auto in = process_.Login(name);
          const std::lock_guard lock(mutex);
          refresh_tokens[name] = in.ok() ? in->tokens().refresh_token() : "";
          ++count;
        }
      });
    }
    while (count < 50) std::this_thread::yield();
    EXPECT_EQ(process_.Kill(SIGKILL), -SIGKILL);  // in mid-write
    for (std::thread& client : clients) client.join();
  }
  EXPECT_GE(refresh_tokens.size(), 150u);
  process_.Start();
  for (const auto& [name, token] : refresh_tokens) {
    EXPECT_THAT(process_.Login(name), IsOk()) << name;
    if (!token.empty()) {
      EXPECT_THAT(process_.Refresh(token), IsOk()) << name;
    }
  }
}

TEST_F(UserProcessTest, TokensOutliveTheProcessThatSignedThem) {
  process_.Start();
  ASSERT_THAT(process_.Register("ada"), IsOk());
  const v1::Tokens tokens = process_.Login("ada")->tokens();
  const v1::Tokens used = *process_.Refresh(tokens.refresh_token());
  const std::string jwks = process_.HttpGet("/.well-known/jwks.json").body;
  EXPECT_EQ(process_.Kill(SIGKILL), -SIGKILL);
  process_.Start();
  EXPECT_THAT(process_.Get("me", tokens.access_token()), IsOk());
  EXPECT_THAT(process_.Refresh(tokens.refresh_token()),
              HasReason("REFRESH_TOKEN_INVALID"))
      << "used up before";
  EXPECT_THAT(process_.Refresh(used.refresh_token()),
              HasReason("REFRESH_TOKEN_INVALID"))
      << "ended by the reuse";
  EXPECT_EQ(process_.HttpGet("/.well-known/jwks.json").body, jwks);
}

TEST_F(UserProcessTest, StopsOnASignal) {
  process_.Start();
  ASSERT_THAT(process_.Register("ada"), IsOk());
  EXPECT_EQ(process_.Stop(), 0) << process_.Log();
  process_.Start();
  EXPECT_THAT(process_.Login("ada"), IsOk());
}

TEST_F(UserProcessTest, MakesTheFirstAdminOnce) {
  for (int start = 0; start < 2; ++start) {
    process_.Start(AdminSettings());
    const auto in = process_.Login("root", kAdminPassword);
    ASSERT_THAT(in, IsOk());
    EXPECT_THAT(in->user().roles(),
                ::testing::ElementsAre(v1::ROLE_USER, v1::ROLE_ADMIN));
    EXPECT_EQ(process_.Stop(), 0);
  }
  // Another password in the file is not the admin's.
  process_.Start(AdminSettings("another fine password"));
  EXPECT_THAT(process_.Login("root", kAdminPassword), IsOk());
  EXPECT_THAT(process_.Login("root", "another fine password"),
              HasReason("WRONG_CREDENTIALS"));
}

TEST_F(UserProcessTest, TakesTokensOfUsersAndOfProcesses) {
  process_.Start();
  const std::string id = process_.Register("ada")->id();
  const std::string ada = process_.Login("ada")->tokens().access_token();
  const std::string contest = TokenOf("--subject contest --role service");
  const auto said = process_.Validate(ada, contest);
  ASSERT_THAT(said, IsOk());
  EXPECT_EQ(said->user_id(), id);
  EXPECT_THAT(process_.Validate(ada, ada), StatusIs(grpc::PERMISSION_DENIED));
  EXPECT_THAT(process_.Get(id, contest)->email(), HasSubstr("ada"));
  EXPECT_THAT(process_.Validate(contest, contest),
              StatusIs(grpc::INVALID_ARGUMENT))
      << "no token of a user";
  // Whose name is a user's id is not that user.
  const std::string impostor = TokenOf("--subject " + id);
  EXPECT_EQ(process_.Get(id, impostor)->email(), "");
  EXPECT_THAT(process_.Get("me", impostor), StatusIs(grpc::NOT_FOUND));
  EXPECT_THAT(process_.Get(id, "nonsense"), StatusIs(grpc::UNAUTHENTICATED));
  EXPECT_THAT(process_.Get(id, ""), StatusIs(grpc::UNAUTHENTICATED));
}

TEST_F(UserProcessTest, InstancesOnOnePostgresqlTakeEachOthersTokens) {
  if (!PostgresProcess::Available()) GTEST_SKIP() << "no PostgreSQL";
  const std::map<std::string, std::string> settings = {
      {"DATABASE", PostgresProcess::Shared().NewDatabase()}};
  Process other(folder_, "other");
  process_.Launch(settings);
  other.Start(settings);
  EXPECT_EQ(process_.Kill(SIGKILL), -SIGKILL);
  process_.Start(settings);
  ASSERT_THAT(process_.Register("ada"), IsOk());
  const v1::Tokens tokens = other.Login("ada")->tokens();
  EXPECT_THAT(process_.Get("me", tokens.access_token()), IsOk());
  const v1::Tokens fresh = *process_.Refresh(tokens.refresh_token());
  EXPECT_THAT(other.Get("me", fresh.access_token()), IsOk());
  EXPECT_EQ(other.HttpGet("/.well-known/jwks.json").body,
            process_.HttpGet("/.well-known/jwks.json").body);
}

TEST_F(UserProcessTest, TellsNoSecretInItsLog) {
  process_.Start(AdminSettings());
  ASSERT_THAT(process_.Register("ada"), IsOk());
  const v1::Tokens tokens = process_.Login("ada")->tokens();
  EXPECT_FALSE(process_.Login("ada", "hunter2-is-wrong").ok());
  EXPECT_FALSE(process_.Login("hunter2-is-wrong").ok());
  const v1::Tokens fresh = *process_.Refresh(tokens.refresh_token());
  EXPECT_FALSE(process_.Refresh(tokens.refresh_token()).ok());
  const std::string metrics = process_.HttpGet("/metrics").body;
  EXPECT_THAT(metrics, HasSubstr("grpc_server_handled_total"));
  EXPECT_EQ(process_.Stop(), 0);
  const std::string told = process_.Log() + metrics;
  EXPECT_THAT(told, HasSubstr("/platform.user.v1.UserService/Login"));
  std::string key;
  std::ifstream(folder_ / "user.key") >> key;
  for (const std::string& secret :
       {std::string(kPassword), std::string(kAdminPassword),
        std::string("hunter2"), tokens.access_token(), tokens.refresh_token(),
        fresh.access_token(), fresh.refresh_token(), key}) {
    ASSERT_THAT(secret, Not(IsEmpty()));
    EXPECT_THAT(told, Not(HasSubstr(secret)));
  }
  for (const std::string file : {"user.key", "user.db"}) {
    struct stat info;
    ASSERT_EQ(stat((folder_ / file).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0600u) << file;
  }
}

TEST_F(UserProcessTest, SaysWhyItDoesNotStart) {
  ExpectExit({{"DATABASE", "/proc/user.db"}}, 69, "/proc/user.db");
  ExpectExit({{"PASSWORD_PASSES", "0"}}, 78, "PASSWORD_PASSES");
  ExpectExit({{"KEY_ROTATION_INTERVAL", "1m"}}, 78, "publish_ahead");
  ExpectExit({{"NO_SUCH_SETTING", "1"}}, 78, "NO_SUCH_SETTING");
  ExpectExit(AdminSettings("weak"), 78, "password");
  ExpectExit({{"ADMIN_USERNAME", "root"}}, 78, "email");
  {
    std::ofstream key(folder_ / "open.key");
    key << std::string(43, 'A');
  }
  ASSERT_EQ(chmod((folder_ / "open.key").c_str(), 0644), 0);
  ExpectExit({{"KEY_FILE", folder_ / "open.key"}}, 77, "open.key");
  // The keys in the database were sealed under user.key.
  process_.Start();
  ExpectExit({{"KEY_FILE", folder_ / "another.key"}}, 70, "another key");
}

}  // namespace
}  // namespace platform::user
