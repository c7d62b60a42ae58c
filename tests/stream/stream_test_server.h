// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "stream/stream_test.grpc.pb.h"

namespace grpccommon::streamtest {

/// A service whose methods are a test's lambdas, on a loopback port: in-process
/// channels have no flow control to test against.
class StreamTestServer : public ::testing::Test {
 protected:
  using DownReactor = grpc::ServerWriteReactor<Item>;
  using UpReactor = grpc::ServerReadReactor<Item>;
  using BothReactor = grpc::ServerBidiReactor<Item, Item>;

  void SetUp() override {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(&service_);
    // Who does not read takes 64 KiB and no more, on either side.
    builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    channel_ = grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port),
                                         grpc::InsecureChannelCredentials(),
                                         arguments);
    stub_ = StreamTestService::NewStub(channel_);
  }

  void TearDown() override {
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
  }

  static Item MakeItem(std::int64_t number, std::string key = "",
                       std::size_t bytes = 0) {
    Item item;
    item.set_number(number);
    item.set_key(std::move(key));
    item.set_payload(std::string(bytes, 'x'));
    return item;
  }

  /// Reads to the end.
  static std::vector<Item> ReadAll(grpc::ClientReader<Item>& reader) {
    std::vector<Item> items;
    Item item;
    while (reader.Read(&item)) {
      item.clear_payload();
      items.push_back(item);
    }
    return items;
  }

  /// What the server runs next, with everything that the test did before.
  template <typename Function>
  class Handler {
   public:
    Handler& operator=(std::function<Function> handler) {
      const std::lock_guard lock(mutex_);
      handler_ = std::move(handler);
      return *this;
    }
    template <typename... Arguments>
    auto operator()(Arguments&&... arguments) {
      std::unique_lock lock(mutex_);
      const std::function<Function> handler = handler_;
      lock.unlock();
      return handler(std::forward<Arguments>(arguments)...);
    }

   private:
    std::mutex mutex_;
    std::function<Function> handler_;
  };

  Handler<DownReactor*(grpc::CallbackServerContext&)> down_;
  Handler<UpReactor*(grpc::CallbackServerContext&, Item*)> up_;
  Handler<BothReactor*(grpc::CallbackServerContext&)> both_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<StreamTestService::Stub> stub_;

 private:
  class Service : public StreamTestService::CallbackService {
   public:
    explicit Service(StreamTestServer& test) : test_(test) {}
    DownReactor* Down(grpc::CallbackServerContext* context,
                      const Item* /*request*/) override {
      return test_.down_(*context);
    }
    UpReactor* Up(grpc::CallbackServerContext* context,
                  Item* response) override {
      return test_.up_(*context, response);
    }
    BothReactor* Both(grpc::CallbackServerContext* context) override {
      return test_.both_(*context);
    }

   private:
    StreamTestServer& test_;
  };
  Service service_{*this};
};

/// Hands a value from a handler to the test.
template <typename T>
class Handed {
 public:
  void Set(T value) {
    const std::lock_guard lock(mutex_);
    values_.push_back(std::move(value));
    changed_.notify_all();
  }
  /// Waits for the next one.
  T Get() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(30),
                           [this] { return !values_.empty(); })) {
      ADD_FAILURE() << "nothing came";
      std::abort();
    }
    T value = std::move(values_.front());
    values_.erase(values_.begin());
    return value;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<T> values_;
};

}  // namespace grpccommon::streamtest
