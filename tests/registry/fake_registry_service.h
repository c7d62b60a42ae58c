// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "grpccommon/base/mutex.h"
#include "grpccommon/registry/v1/registry_service.grpc.pb.h"
#include "grpcpp/grpcpp.h"

namespace grpccommon::test {

/// A registry service that says what a test tells it to, sense or nonsense, and
/// records what it is asked. Can be stopped and started on the same port.
class FakeRegistryService final
    : public registry::v1::RegistryService::Service {
 public:
  explicit FakeRegistryService(
      std::shared_ptr<grpc::ServerCredentials> credentials =
          grpc::InsecureServerCredentials())
      : credentials_(std::move(credentials)) {
    Start();
  }
  ~FakeRegistryService() override { Stop(); }

  void Start() {
    {
      const MutexLock lock(mutex_);
      stopping_ = false;
    }
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port_), credentials_,
                             &port);
    // What the library's own server allows.
    builder.AddChannelArgument(
        GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) std::abort();
    port_ = port;
  }
  void Stop() {
    if (server_ == nullptr) return;
    {
      const MutexLock lock(mutex_);
      stopping_ = true;
      changed_.NotifyAll();
    }
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_.reset();
  }

  int port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  /// What the next watch that waits for one is sent; or how it ends.
  void Say(registry::v1::WatchResponse response) {
    const MutexLock lock(mutex_);
    script_.emplace_back(std::move(response));
    changed_.NotifyAll();
  }
  void EndWatch(grpc::Status status) {
    const MutexLock lock(mutex_);
    script_.emplace_back(std::move(status));
    changed_.NotifyAll();
  }

  /// What unary calls answer from now on.
  void Answer(grpc::Status to_register, grpc::Status to_renew) {
    const MutexLock lock(mutex_);
    to_register_ = std::move(to_register);
    to_renew_ = std::move(to_renew);
  }
  void Grant(std::chrono::seconds ttl) {
    const MutexLock lock(mutex_);
    granted_ = ttl;
  }

  std::vector<registry::v1::RegisterRequest> registers() const {
    const MutexLock lock(mutex_);
    return registers_;
  }
  std::vector<registry::v1::RenewRequest> renewals() const {
    const MutexLock lock(mutex_);
    return renewals_;
  }
  std::vector<registry::v1::DeregisterRequest> deregisters() const {
    const MutexLock lock(mutex_);
    return deregisters_;
  }
  std::vector<registry::v1::WatchRequest> watches() const {
    const MutexLock lock(mutex_);
    return watches_;
  }
  /// When each watch came.
  std::vector<std::chrono::steady_clock::time_point> arrivals() const {
    const MutexLock lock(mutex_);
    return arrivals_;
  }
  /// False: they did not come within a minute.
  bool WaitForWatches(std::size_t count) {
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::minutes(1);
    const MutexLock lock(mutex_);
    while (watches_.size() < count) {
      if (!changed_.WaitUntil(mutex_, deadline)) break;
    }
    return watches_.size() >= count;
  }
  /// Watches that are open.
  int open() const {
    const MutexLock lock(mutex_);
    return open_;
  }
  /// The `authorization` header of the last call.
  std::string authorization() const {
    const MutexLock lock(mutex_);
    return authorization_;
  }

 private:
  void See(const grpc::ServerContext& context)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto& metadata = context.client_metadata();
    const auto entry = metadata.find("authorization");
    authorization_ = entry != metadata.end() ? std::string(entry->second.data(),
                                                           entry->second.size())
                                             : "";
  }

  grpc::Status Register(grpc::ServerContext* context,
                        const registry::v1::RegisterRequest* request,
                        registry::v1::RegisterResponse* response) override {
    const MutexLock lock(mutex_);
    See(*context);
    registers_.push_back(*request);
    response->set_lease_id("lease-" + std::to_string(registers_.size()));
    *response->mutable_ttl() = request->ttl();
    if (granted_.has_value()) {
      response->mutable_ttl()->set_seconds(granted_->count());
    }
    return to_register_;
  }
  grpc::Status Renew(grpc::ServerContext* context,
                     const registry::v1::RenewRequest* request,
                     registry::v1::RenewResponse* /*response*/) override {
    const MutexLock lock(mutex_);
    See(*context);
    renewals_.push_back(*request);
    return to_renew_;
  }
  grpc::Status Deregister(
      grpc::ServerContext* context,
      const registry::v1::DeregisterRequest* request,
      registry::v1::DeregisterResponse* /*response*/) override {
    const MutexLock lock(mutex_);
    See(*context);
    deregisters_.push_back(*request);
    return grpc::Status::OK;
  }
  grpc::Status Watch(
      grpc::ServerContext* context, const registry::v1::WatchRequest* request,
      grpc::ServerWriter<registry::v1::WatchResponse>* writer) override {
    MutexLock lock(mutex_);
    See(*context);
    watches_.push_back(*request);
    arrivals_.push_back(std::chrono::steady_clock::now());
    ++open_;
    changed_.NotifyAll();
    grpc::Status status = grpc::Status::OK;
    for (;;) {
      while (script_.empty() && !stopping_ && !context->IsCancelled()) {
        changed_.WaitUntil(mutex_, std::chrono::steady_clock::now() +
                                       std::chrono::milliseconds(20));
      }
      if (stopping_) {
        status = grpc::Status(grpc::StatusCode::UNAVAILABLE, "stopping");
        break;
      }
      if (context->IsCancelled()) break;
      auto next = std::move(script_.front());
      script_.pop_front();
      if (const auto* const end = std::get_if<grpc::Status>(&next)) {
        status = *end;
        break;
      }
      writer->Write(std::get<registry::v1::WatchResponse>(next));
    }
    --open_;
    return status;
  }

  const std::shared_ptr<grpc::ServerCredentials> credentials_;
  mutable Mutex mutex_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<std::variant<registry::v1::WatchResponse, grpc::Status>> script_
      ABSL_GUARDED_BY(mutex_);
  grpc::Status to_register_ ABSL_GUARDED_BY(mutex_);
  grpc::Status to_renew_ ABSL_GUARDED_BY(mutex_);
  std::optional<std::chrono::seconds> granted_ ABSL_GUARDED_BY(mutex_);
  std::vector<registry::v1::RegisterRequest> registers_ ABSL_GUARDED_BY(mutex_);
  std::vector<registry::v1::RenewRequest> renewals_ ABSL_GUARDED_BY(mutex_);
  std::vector<registry::v1::DeregisterRequest> deregisters_
      ABSL_GUARDED_BY(mutex_);
  std::vector<registry::v1::WatchRequest> watches_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::chrono::steady_clock::time_point> arrivals_
      ABSL_GUARDED_BY(mutex_);
  int open_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string authorization_ ABSL_GUARDED_BY(mutex_);
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace grpccommon::test
