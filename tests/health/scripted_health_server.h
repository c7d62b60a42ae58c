// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "grpccommon/base/mutex.h"
#include "grpcpp/generic/async_generic_service.h"

namespace grpccommon::test {

/// What a scripted server does with a call: sends messages, then ends the call,
/// or leaves it open until the client goes.
struct HealthScript {
  std::vector<std::string> messages;
  std::optional<grpc::Status> end = std::nullopt;
};

/// A message of grpc.health.v1 with a status, as it lies on the wire.
inline std::string HealthAnswer(int status) {
  return {'\x08', static_cast<char>(status)};
}

/// Answers every call of whatever method as the test says, sense or not.
class ScriptedHealthServer {
 public:
  /// `address` as for AddListeningPort; "127.0.0.1:0" picks a port.
  explicit ScriptedHealthServer(
      HealthScript script, const std::string& address = "127.0.0.1:0",
      std::shared_ptr<grpc::ServerCredentials> credentials =
          grpc::InsecureServerCredentials())
      : service_(std::move(script)) {
    grpc::ServerBuilder builder;
    builder.RegisterCallbackGenericService(&service_);
    int port = 0;
    builder.AddListeningPort(address, credentials, &port);
    server_ = builder.BuildAndStart();
    address_ = port > 1 ? "127.0.0.1:" + std::to_string(port) : address;
  }
  ~ScriptedHealthServer() {
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
  }

  const std::string& address() const { return address_; }

  /// For the calls that come from now on.
  void SetScript(HealthScript script) {
    const MutexLock lock(service_.mutex);
    service_.script = std::move(script);
  }
  /// On every call that is open.
  void Send(const std::string& message) {
    std::vector<std::shared_ptr<Reactor>> open;
    {
      const MutexLock lock(service_.mutex);
      open = service_.open;
    }
    for (const auto& reactor : open) reactor->Add({.messages = {message}});
  }
  int calls() const {
    const MutexLock lock(service_.mutex);
    return service_.calls;
  }
  std::string last_user_agent() const {
    const MutexLock lock(service_.mutex);
    return service_.user_agent;
  }
  int open_calls() const {
    const MutexLock lock(service_.mutex);
    return static_cast<int>(service_.open.size());
  }

 private:
  class Reactor : public grpc::ServerGenericBidiReactor {
   public:
    explicit Reactor(std::function<void(Reactor*)> release)
        : release_(std::move(release)) {}
    void Begin(HealthScript script) {
      StartRead(&request_);
      Add(std::move(script));
    }
    void Add(HealthScript more) {
      {
        const MutexLock lock(mutex_);
        for (std::string& message : more.messages) {
          messages_.push_back(std::move(message));
        }
        if (more.end.has_value()) end_ = std::move(more.end);
      }
      Advance();
    }
    void OnWriteDone(bool ok) override {
      {
        const MutexLock lock(mutex_);
        writing_ = false;
        if (!ok) end_ = grpc::Status::CANCELLED;
      }
      Advance();
    }
    void OnCancel() override { Add({.end = grpc::Status::CANCELLED}); }
    void OnDone() override { release_(this); }

   private:
    void Advance() {
      grpc::Status status;
      bool finish = false;
      {
        const MutexLock lock(mutex_);
        if (writing_ || finished_) return;
        if (sent_ < messages_.size()) {
          writing_ = true;
          const grpc::Slice slice(messages_[sent_++]);
          bytes_ = grpc::ByteBuffer(&slice, 1);
        } else if (end_.has_value()) {
          finish = finished_ = true;
          status = *end_;
        } else {
          return;
        }
      }
      if (finish) {
        Finish(status);
      } else {
        StartWrite(&bytes_);
      }
    }

    Mutex mutex_;
    std::vector<std::string> messages_ ABSL_GUARDED_BY(mutex_);
    std::size_t sent_ ABSL_GUARDED_BY(mutex_) = 0;
    std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
    bool writing_ ABSL_GUARDED_BY(mutex_) = false;
    bool finished_ ABSL_GUARDED_BY(mutex_) = false;
    grpc::ByteBuffer request_;
    grpc::ByteBuffer bytes_;
    std::function<void(Reactor*)> release_;
  };

  struct Service : grpc::CallbackGenericService {
    explicit Service(HealthScript s) : script(std::move(s)) {}

    grpc::ServerGenericBidiReactor* CreateReactor(
        grpc::GenericCallbackServerContext* context) override {
      const auto reactor = std::make_shared<Reactor>([this](Reactor* done) {
        std::shared_ptr<Reactor> released;  // freed after the lock
        const MutexLock lock(mutex);
        for (auto place = open.begin(); place != open.end(); ++place) {
          if (place->get() != done) continue;
          released = std::move(*place);
          open.erase(place);
          break;
        }
      });
      HealthScript now;
      {
        const MutexLock lock(mutex);
        open.push_back(reactor);
        const auto agent = context->client_metadata().find("user-agent");
        if (agent != context->client_metadata().end()) {
          user_agent.assign(agent->second.data(), agent->second.size());
        }
        ++calls;
        now = script;
      }
      reactor->Begin(std::move(now));
      return reactor.get();
    }

    mutable Mutex mutex;
    HealthScript script ABSL_GUARDED_BY(mutex);
    std::vector<std::shared_ptr<Reactor>> open ABSL_GUARDED_BY(mutex);
    int calls ABSL_GUARDED_BY(mutex) = 0;
    std::string user_agent ABSL_GUARDED_BY(mutex);
  };

  Service service_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace grpccommon::test
