// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/load_client.h"

#include <grpcpp/grpcpp.h>
#include <sys/prctl.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

namespace grpccommon::bench {
namespace {

using ::bench::v1::BenchService;
using ::bench::v1::EchoRequest;
using ::bench::v1::EchoResponse;
using ::bench::v1::ListRequest;
using ::bench::v1::ListResponse;
using ::bench::v1::RefuseRequest;
using ::bench::v1::RefuseResponse;
using Time = std::chrono::steady_clock::time_point;

constexpr int kStreamMessages = 100;

// With field tag and length, 100 bytes.
std::string Text() { return std::string(98, 'x'); }

class Caller;

// One load while it runs.
class Running {
 public:
  Running(const LoadTarget& target, const Load& load)
      : target_(target),
        load_(load),
        start_(std::chrono::steady_clock::now()),
        end_(start_ + load.duration) {}

  const LoadTarget& target() const { return target_; }
  const Load& load() const { return load_; }
  bool open_loop() const { return load_.calls_per_second > 0; }

  // Whether a closed loop goes on.
  bool MayStart(Time now) {
    return now < end_ &&
           started_.fetch_add(1, std::memory_order_relaxed) < load_.max_calls;
  }

  // Nothing more comes from this caller, in an open loop until it is asked to.
  void Rest(Caller* caller) {
    const std::lock_guard lock(mutex_);
    resting_.push_back(caller);
    if (resting_.size() == callers_.size()) all_rest_.notify_one();
  }

  LoadResult RunClosed(
      const std::vector<std::unique_ptr<BenchService::Stub>>& stubs);
  LoadResult RunOpen(
      const std::vector<std::unique_ptr<BenchService::Stub>>& stubs);

 private:
  LoadResult Collect();

  const LoadTarget& target_;
  const Load& load_;
  const Time start_;
  const Time end_;
  std::atomic<std::uint64_t> started_{0};
  std::mutex mutex_;
  std::condition_variable all_rest_;
  std::vector<std::unique_ptr<Caller>> callers_;  // only grows, under mutex_
  std::vector<Caller*> resting_;
};

// Makes one call after the other.
class Caller {
 public:
  Caller(Running& running, BenchService::Stub& stub)
      : running_(running), stub_(stub) {
    echo_request_.set_text(Text());
    refuse_request_.set_text(Text());
    list_request_.set_text(Text());
    list_request_.set_count(kStreamMessages);
  }

  void Start(Time scheduled) {
    scheduled_ = scheduled;
    context_.emplace();
    context_->AddMetadata("authorization", running_.target().authorization);
    context_->set_deadline(std::chrono::system_clock::now() +
                           std::chrono::seconds(20));
    const auto done = [this](const grpc::Status& status) { Done(status); };
    switch (running_.load().kind) {
      case LoadKind::kEcho:
        stub_.async()->Echo(&*context_, &echo_request_, &echo_response_, done);
        break;
      case LoadKind::kRefuse:
        stub_.async()->Refuse(&*context_, &refuse_request_, &refuse_response_,
                              done);
        break;
      case LoadKind::kRefuseList:
        new RefusedReader(*this);
        break;
      case LoadKind::kList:
        new ListReader(*this);
        break;
    }
  }

  void AddTo(LoadResult& result) const {
    result.calls += latency_.total();
    result.messages += messages_;
    result.failures += failures_;
    if (result.first_failure.empty()) result.first_failure = first_failure_;
    result.latency.Add(latency_);
  }

 private:
  class RefusedReader : public grpc::ClientReadReactor<RefuseResponse> {
   public:
    explicit RefusedReader(Caller& caller) : caller_(caller) {
      caller.stub_.async()->RefuseList(&*caller.context_,
                                       &caller.refuse_request_, this);
      StartRead(&caller.refuse_response_);
      StartCall();
    }
    void OnDone(const grpc::Status& status) override {
      Caller& caller = caller_;
      delete this;
      caller.Done(status);
    }

   private:
    Caller& caller_;
  };

  class ListReader : public grpc::ClientReadReactor<ListResponse> {
   public:
    explicit ListReader(Caller& caller) : caller_(caller) {
      caller.stub_.async()->List(&*caller.context_, &caller.list_request_,
                                 this);
      StartRead(&response_);
      StartCall();
    }
    void OnReadDone(bool ok) override {
      if (!ok) return;
      ++messages_;
      StartRead(&response_);
    }
    void OnDone(const grpc::Status& status) override {
      Caller& caller = caller_;
      const int messages = messages_;
      delete this;
      caller.messages_ += static_cast<std::uint64_t>(messages);
      caller.Done(status.ok() && messages != kStreamMessages
                      ? grpc::Status(grpc::StatusCode::DATA_LOSS,
                                     "messages are missing")
                      : status);
    }

   private:
    Caller& caller_;
    ListResponse response_;
    int messages_ = 0;
  };

  void Done(const grpc::Status& status) {
    const Time now = std::chrono::steady_clock::now();
    latency_.Record(now - scheduled_);
    const LoadKind kind = running_.load().kind;
    const grpc::StatusCode expected =
        kind == LoadKind::kRefuse || kind == LoadKind::kRefuseList
            ? grpc::StatusCode::RESOURCE_EXHAUSTED
            : grpc::StatusCode::OK;
    if (status.error_code() != expected && ++failures_ == 1) {
      first_failure_ = "code " + std::to_string(status.error_code()) + " \"" +
                       status.error_message() + "\"";
    }
    if (!running_.open_loop() && running_.MayStart(now)) {
      Start(now);
    } else {
      running_.Rest(this);
    }
  }

  Running& running_;
  BenchService::Stub& stub_;
  EchoRequest echo_request_;
  EchoResponse echo_response_;
  RefuseRequest refuse_request_;
  RefuseResponse refuse_response_;
  ListRequest list_request_;
  std::optional<grpc::ClientContext> context_;
  Time scheduled_;
  LatencyHistogram latency_;
  std::uint64_t messages_ = 0;
  std::uint64_t failures_ = 0;
  std::string first_failure_;
};

LoadResult Running::RunClosed(
    const std::vector<std::unique_ptr<BenchService::Stub>>& stubs) {
  for (int i = 0; i < load_.concurrency; ++i) {
    callers_.push_back(std::make_unique<Caller>(
        *this, *stubs[static_cast<std::size_t>(i) % stubs.size()]));
  }
  for (const auto& caller : callers_) {
    if (const Time now = std::chrono::steady_clock::now(); MayStart(now)) {
      caller->Start(now);
    } else {
      Rest(caller.get());
    }
  }
  return Collect();
}

LoadResult Running::RunOpen(
    const std::vector<std::unique_ptr<BenchService::Stub>>& stubs) {
  // The kernel wakes a sleeper up to 50 µs late unless it is told not to.
  prctl(PR_SET_TIMERSLACK, 1UL);
  const std::chrono::duration<double, std::nano> interval(
      1e9 / load_.calls_per_second);
  for (std::uint64_t i = 0;; ++i) {
    const Time at =
        start_ + std::chrono::duration_cast<std::chrono::nanoseconds>(
                     interval * static_cast<double>(i));
    if (at >= end_) break;
    std::this_thread::sleep_until(at);
    Caller* caller = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (resting_.empty()) {
        callers_.push_back(std::make_unique<Caller>(
            *this, *stubs[callers_.size() % stubs.size()]));
        caller = callers_.back().get();
      } else {
        caller = resting_.back();
        resting_.pop_back();
      }
    }
    caller->Start(at);
  }
  return Collect();
}

LoadResult Running::Collect() {
  std::unique_lock lock(mutex_);
  all_rest_.wait(lock, [this] { return resting_.size() == callers_.size(); });
  LoadResult result;
  result.elapsed = std::chrono::steady_clock::now() - start_;
  for (const auto& caller : callers_) caller->AddTo(result);
  return result;
}

}  // namespace

LoadClient::LoadClient(const LoadTarget& target, int connections)
    : target_(target) {
  for (int i = 0; i < connections; ++i) {
    grpc::ChannelArguments arguments;
    // Else channels with equal arguments share one connection.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    if (!target.stock) {
      arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
      arguments.SetInt(GRPC_ARG_MINIMAL_STACK, 1);
    }
    stubs_.push_back(BenchService::NewStub(grpc::CreateCustomChannel(
        target.address, grpc::InsecureChannelCredentials(), arguments)));
  }
}

LoadResult LoadClient::Run(const Load& load) {
  Running running(target_, load);
  return load.calls_per_second > 0 ? running.RunOpen(stubs_)
                                   : running.RunClosed(stubs_);
}

}  // namespace grpccommon::bench
