// SPDX-License-Identifier: Apache-2.0
#include "faults/load.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace grpccommon::test {
namespace {

using namespace std::chrono_literals;
using echo::v1::EchoRequest;
using echo::v1::EchoResponse;
using echo::v1::EchoService;

std::chrono::nanoseconds Median(std::vector<std::chrono::nanoseconds> values) {
  const auto middle =
      values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

std::chrono::nanoseconds Percentile(const std::vector<Ended>& calls,
                                    double share) {
  if (calls.empty()) return 0ns;
  std::vector<std::chrono::nanoseconds> all;
  all.reserve(calls.size());
  for (const Ended& ended : calls) all.push_back(ended.took());
  const auto at =
      static_cast<std::size_t>(share * static_cast<double>(all.size() - 1));
  std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(at),
                   all.end());
  return all[at];
}

double AttemptsPerCall(const std::vector<Ended>& calls) {
  double attempts = 0;
  for (const Ended& ended : calls) attempts += ended.attempts;
  return calls.empty() ? 0 : attempts / static_cast<double>(calls.size());
}

double ShareOf(const std::vector<Ended>& calls, const std::string& endpoint) {
  const auto count =
      std::count_if(calls.begin(), calls.end(), [&](const Ended& ended) {
        return ended.ok() && ended.endpoint == endpoint;
      });
  return calls.empty()
             ? 0
             : static_cast<double>(count) / static_cast<double>(calls.size());
}

// What a call of CallAtRate needs until it ends.
struct Load::Pending {
  Ended ended;
  CallInfo info;
};

Load::Load(Client<EchoService>& client, LoadOptions options)
    : client_(client), options_(std::move(options)) {
  threads_.emplace_back([this] { WatchMachine(); });
  if (options_.calls_per_second > 0) {
    threads_.emplace_back([this] { CallAtRate(); });
    return;
  }
  for (int i = 0; i < options_.threads; ++i) {
    threads_.emplace_back([this, i] { CallInTurn(i); });
  }
}

void Load::Stop() {
  stop_ = true;
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void Load::WaitFor(std::int64_t calls) const {
  while (calls_ < calls) std::this_thread::sleep_for(5ms);
}

std::vector<Ended> Load::All() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

std::vector<Ended> Load::EndedBetween(SteadyTime from, SteadyTime to) const {
  std::vector<Ended> found = All();
  std::erase_if(found, [&](const Ended& ended) {
    return ended.at < from || ended.at >= to;
  });
  return found;
}

std::vector<Ended> Load::UnderWayBetween(SteadyTime from, SteadyTime to) const {
  std::vector<Ended> found = All();
  std::erase_if(found, [&](const Ended& ended) {
    return ended.at < from || ended.begun >= to;
  });
  return found;
}

std::chrono::nanoseconds Load::UsualP99(SteadyTime from, int seconds) const {
  std::vector<std::chrono::nanoseconds> found;
  for (int i = 0; i < seconds; ++i) {
    found.push_back(
        Percentile(UnderWayBetween(from + i * 1s, from + (i + 1) * 1s), 0.99));
  }
  return Median(std::move(found));
}

std::chrono::nanoseconds Load::UsualStall(SteadyTime from, int seconds) const {
  std::vector<std::chrono::nanoseconds> found(
      static_cast<std::size_t>(seconds));
  const std::lock_guard lock(mutex_);
  for (const auto& [at, stall] : stalls_) {
    const auto second = (at - from) / 1s;
    if (at < from || second >= seconds) continue;
    auto& worst = found[static_cast<std::size_t>(second)];
    worst = std::max(worst, stall);
  }
  return Median(std::move(found));
}

void Load::WatchMachine() {
  while (!stop_) {
    const SteadyTime wake = std::chrono::steady_clock::now() + 5ms;
    std::this_thread::sleep_until(wake);
    const SteadyTime now = std::chrono::steady_clock::now();
    const std::lock_guard lock(mutex_);
    stalls_.emplace_back(now, now - wake);
  }
}

std::string Load::FirstError() const {
  const std::lock_guard lock(mutex_);
  for (const Ended& ended : ended_) {
    if (!ended.ok()) return ended.status.ToString();
  }
  return "";
}

void Load::CallInTurn(int thread) {
  for (int i = 0; !stop_; ++i) {
    EchoRequest request;
    request.set_text(std::to_string(thread) + "-" + std::to_string(i));
    CallInfo info;
    CallOptions options = options_.call;
    options.info = &info;
    Ended ended = {.begun = std::chrono::steady_clock::now(),
                   .text = request.text()};
    ended.status =
        client_.Call(&EchoService::Stub::Unary, request, options).status();
    ended.at = std::chrono::steady_clock::now();
    ended.attempts = info.attempts;
    ended.endpoint = info.endpoint;
    OnEnd(std::move(ended));
    if (options_.pause > 0ns) std::this_thread::sleep_for(options_.pause);
  }
}

void Load::CallAtRate() {
  const auto between = std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(1 / options_.calls_per_second));
  SteadyTime next = std::chrono::steady_clock::now();
  std::int64_t begun = 0;
  for (; !stop_; ++begun) {
    std::this_thread::sleep_until(next);
    next += between;
    EchoRequest request;
    request.set_text("r-" + std::to_string(begun));
    auto pending = std::make_shared<Pending>();
    pending->ended.text = request.text();
    CallOptions options = options_.call;
    options.info = &pending->info;
    pending->ended.begun = std::chrono::steady_clock::now();
    client_.CallAsync(&EchoService::Stub::Unary, std::move(request),
                      std::move(options),
                      [this, pending](absl::StatusOr<EchoResponse> response) {
                        Ended& ended = pending->ended;
                        ended.at = std::chrono::steady_clock::now();
                        ended.status = response.status();
                        ended.attempts = pending->info.attempts;
                        ended.endpoint = pending->info.endpoint;
                        OnEnd(std::move(ended));
                      });
  }
  WaitFor(begun);
}

void Load::OnEnd(Ended ended) {
  const bool failed = !ended.ok();
  {
    const std::lock_guard lock(mutex_);
    ended_.push_back(std::move(ended));
  }
  // Last: whoever waits for the count may destroy the load then.
  if (failed) ++failures_;
  ++calls_;
}

}  // namespace grpccommon::test
