// SPDX-License-Identifier: Apache-2.0
// Messages a second of server streams, client and server in one process on
// loopback: a bare callback server, and what grpccommon/stream makes of it.
#include <benchmark/benchmark.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "grpccommon/stream/writer.h"
#include "stream/stream_test.grpc.pb.h"

namespace grpccommon::streamtest {
namespace {

constexpr int kMessages = 100;
constexpr int kStreams = 64;

// One write after the other, as the callback API's own examples do it.
class BareWriter final : public grpc::ServerWriteReactor<Item> {
 public:
  explicit BareWriter(const Item& item) : item_(item) { OnWriteDone(true); }

 private:
  void OnWriteDone(bool ok) override {
    if (ok && sent_++ < kMessages) {
      StartWrite(&item_);
    } else {
      Finish(grpc::Status::OK);
    }
  }
  void OnDone() override { delete this; }

  const Item item_;
  int sent_ = 0;
};

grpc::ServerWriteReactor<Item>* Bare(grpc::CallbackServerContext& /*context*/,
                                     const Item& item) {
  return new BareWriter(item);
}

grpc::ServerWriteReactor<Item>* Queued(grpc::CallbackServerContext& context,
                                       const Item& item) {
  const auto writer = StreamWriter<Item>::Create(context);
  for (int i = 0; i < kMessages; ++i) (void)writer->Write(item);
  writer->Finish(absl::OkStatus());
  return writer->reactor();
}

grpc::ServerWriteReactor<Item>* Shared(grpc::CallbackServerContext& context,
                                       const Item& item) {
  const auto writer = StreamWriter<Item>::Create(context);
  const auto message = std::make_shared<const Item>(item);
  for (int i = 0; i < kMessages; ++i) (void)writer->Write(message);
  writer->Finish(absl::OkStatus());
  return writer->reactor();
}

grpc::ServerWriteReactor<Item>* Generated(grpc::CallbackServerContext& context,
                                          const Item& item) {
  return GeneratorWriter<Item>::Start(
      context, [item, left = kMessages](Item& next) mutable {
        next = item;
        return absl::StatusOr<bool>(left-- > 0);
      });
}

using Handler =
    grpc::ServerWriteReactor<Item>* (*)(grpc::CallbackServerContext& context,
                                        const Item& item);

class Service final : public StreamTestService::CallbackService {
 public:
  explicit Service(Handler handler) : handler_(handler) {}
  grpc::ServerWriteReactor<Item>* Down(grpc::CallbackServerContext* context,
                                       const Item* item) override {
    return handler_(*context, *item);
  }

 private:
  const Handler handler_;
};

// Counts down the streams of one round.
class Round {
 public:
  void Done(int messages) {
    messages_ += messages;
    const std::lock_guard lock(mutex_);
    if (--left_ == 0) done_.notify_one();
  }
  int Wait() {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return left_ == 0; });
    return messages_;
  }

 private:
  std::atomic<int> messages_ = 0;
  std::mutex mutex_;
  std::condition_variable done_;
  int left_ = kStreams;
};

class Reader final : public grpc::ClientReadReactor<Item> {
 public:
  Reader(StreamTestService::Stub& stub, const Item& request, Round& round)
      : round_(round) {
    stub.async()->Down(&context_, &request, this);
    StartRead(&item_);
    StartCall();
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;
    ++messages_;
    StartRead(&item_);
  }
  void OnDone(const grpc::Status& /*status*/) override {
    Round& round = round_;
    const int messages = messages_;
    delete this;
    round.Done(messages);
  }

  Round& round_;
  grpc::ClientContext context_;
  Item item_;
  int messages_ = 0;
};

void BM_ServerStream(benchmark::State& state, Handler handler) {
  Service service(handler);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const auto stub = StreamTestService::NewStub(grpc::CreateChannel(
      "127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials()));
  Item request;
  request.set_payload(std::string(100, 'x'));
  std::int64_t messages = 0;
  for (auto _ : state) {
    Round round;
    for (int i = 0; i < kStreams; ++i) new Reader(*stub, request, round);
    messages += round.Wait();
  }
  state.SetItemsProcessed(messages);
  if (messages != state.iterations() * kStreams * kMessages) {
    state.SkipWithError("messages are missing");
  }
  server->Shutdown();
}
BENCHMARK_CAPTURE(BM_ServerStream, bare, Bare)->UseRealTime();
BENCHMARK_CAPTURE(BM_ServerStream, queued, Queued)->UseRealTime();
BENCHMARK_CAPTURE(BM_ServerStream, shared, Shared)->UseRealTime();
BENCHMARK_CAPTURE(BM_ServerStream, generated, Generated)->UseRealTime();

}  // namespace
}  // namespace grpccommon::streamtest
