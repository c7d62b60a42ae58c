// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "grpccommon/server/server.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"

namespace grpccommon::testing {

/// A service behind the whole call path, without a socket, for its tests:
///
///   auto server = *TestServer<GreeterService>::Start(greeter);
///   server->stub().SayHello(&context, request, &response);
///
/// Lines are recorded instead of written. Stops with the object.
template <typename ServiceType>
class TestServer {
 public:
  /// `service` is borrowed. `set_up` may add interceptors and more services.
  /// Errors: those of Server::Create and Server::Start.
  template <typename Implementation>
  static absl::StatusOr<std::unique_ptr<TestServer>> Start(
      Implementation& service, ServerOptions options = {},
      const std::function<void(Server&)>& set_up = {}) {
    std::unique_ptr<TestServer> made(new TestServer());
    if (options.name.empty()) options.name = "test";
    if (options.log_sink == nullptr) options.log_sink = made->log_;
    options.drain_delay = std::chrono::nanoseconds(0);
    absl::StatusOr<std::unique_ptr<Server>> server =
        Server::Create(std::move(options));
    if (!server.ok()) return server.status();
    made->server_ = *std::move(server);
    made->server_->template Add<ServiceType>(service);
    if (set_up) set_up(*made->server_);
    if (absl::Status status = made->server_->Start(); !status.ok()) {
      return status;
    }
    made->channel_ = made->server_->InProcessChannel();
    made->stub_ = ServiceType::NewStub(made->channel_);
    return made;
  }

  ~TestServer() {
    if (server_ != nullptr) {
      server_->Shutdown(std::chrono::nanoseconds(0), std::chrono::seconds(1));
    }
  }

  typename ServiceType::Stub& stub() { return *stub_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  Server& server() { return *server_; }
  RecordingLogSink& log() { return *log_; }

 private:
  TestServer() = default;

  std::shared_ptr<RecordingLogSink> log_ = std::make_shared<RecordingLogSink>();
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<typename ServiceType::Stub> stub_;
};

}  // namespace grpccommon::testing
