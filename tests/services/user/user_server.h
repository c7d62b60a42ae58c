// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "grpccommon/auth/authenticator.h"
#include "grpccommon/server/server.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "grpccommon/tracing/memory_exporter.h"
#include "gtest/gtest.h"
#include "platform/user/v1/user_service.grpc.pb.h"
#include "services/common/temp_folder.h"
#include "services/user/backend.h"

namespace platform::user {

/// The service on a real server with its whole chain, in this process. Besides
/// users, it takes "x-api-key: process" for one with role service.
class UserServer {
 public:
  explicit UserServer(
      BackendOptions options = {},
      const std::function<void(grpccommon::ServerOptions&)>& change = {},
      const grpccommon::Clock& clock = grpccommon::SteadyClock()) {
    if (options.store.url.empty()) options.store.url = folder_ / "user.db";
    options.key_file = folder_ / "user.key";
    options.passwords = {.memory_bytes = 8192, .passes = 1};
    options.store.on_error = [this](std::string_view error) {
      server_->logger().Error("the database failed", {{"error", error}});
    };
    grpccommon::ServerOptions server{.name = "user",
                                     .grpc_address = "127.0.0.1:0",
                                     .http_address = "127.0.0.1:0",
                                     .drain_delay = std::chrono::seconds(0)};
    server.log_sink = log_;
    server.log_level = grpccommon::LogLevel::kDebug;
    server.rate_limit.reset();
    server.tracing =
        grpccommon::TracingOptions{.sample_ratio = 1.0, .exporter = spans_};
    server.auth.make_authenticator = [keys = options.published_keys](
                                         grpccommon::Scheduler&,
                                         const grpccommon::Logger&)
        -> absl::StatusOr<std::unique_ptr<grpccommon::Authenticator>> {
      auto tokens = grpccommon::CreateJwtAuthenticator(
          keys,
          {.verifier = {.issuer = "platform-user", .audiences = {"platform"}}});
      if (!tokens.ok()) return tokens.status();
      auto processes =
          grpccommon::CreateApiKeyAuthenticator(*grpccommon::ApiKeySet::Create(
              {{.name = "process",
                .sha256 = grpccommon::HashApiKey("process"),
                .roles = {"service"}}}));
      return grpccommon::AnyOf(*std::move(tokens), std::move(processes));
    };
    if (change) change(server);
    server_ = *grpccommon::Server::Create(std::move(server));
    auto backend = Backend::Create(std::move(options), clock);
    EXPECT_TRUE(backend.ok()) << backend.status();
    backend_ = *std::move(backend);
    EXPECT_TRUE(backend_->AddTo(*server_).ok());
    const absl::Status started = server_->Start();
    EXPECT_TRUE(started.ok()) << started;
    channel_ =
        grpc::CreateChannel("127.0.0.1:" + std::to_string(server_->grpc_port()),
                            grpc::InsecureChannelCredentials());
    stub_ = v1::UserService::NewStub(channel_);
  }
  ~UserServer() { server_.reset(); }  // before what it borrows

  v1::UserService::Stub& stub() { return *stub_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  grpccommon::Server& server() { return *server_; }
  Backend& backend() { return *backend_; }
  grpccommon::testing::RecordingLogSink& log() { return *log_; }
  grpccommon::MemorySpanExporter& spans() { return *spans_; }
  std::string operator/(const std::string& name) const {
    return folder_ / name;
  }

  /// Changes the store as nobody may by calls.
  void Write(const std::function<absl::Status(UserStore&)>& work) {
    std::promise<absl::Status> done;
    const absl::Status queued = backend_->store().Write(
        {.run = work,
         .done = [&](const absl::Status& status) { done.set_value(status); }});
    ASSERT_TRUE(queued.ok()) << queued;
    const absl::Status status = done.get_future().get();
    ASSERT_TRUE(status.ok()) << status;
  }

 private:
  common::TempFolder folder_;
  std::shared_ptr<grpccommon::testing::RecordingLogSink> log_ =
      std::make_shared<grpccommon::testing::RecordingLogSink>();
  std::shared_ptr<grpccommon::MemorySpanExporter> spans_ =
      std::make_shared<grpccommon::MemorySpanExporter>();
  std::unique_ptr<grpccommon::Server> server_;
  std::unique_ptr<Backend> backend_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::UserService::Stub> stub_;
};

}  // namespace platform::user
