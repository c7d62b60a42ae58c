// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/contest.h"

#include <cstdlib>
#include <iostream>
#include <utility>

namespace grpccommon::bench {
namespace {

double Microseconds(std::chrono::nanoseconds time) {
  return static_cast<double>(time.count()) / 1e3;
}

Sample RunRound(const Contestant& contestant, LoadClient& client,
                const Load& load) {
  const std::chrono::nanoseconds before = contestant.server->CpuTime();
  const LoadResult result = client.Run(load);
  const double cpu = Microseconds(contestant.server->CpuTime() - before);
  if (result.failures > 0 || result.calls == 0) {
    std::cerr << "benchmark: " << result.failures << " of " << result.calls
              << " calls to " << contestant.name
              << " ended wrongly, the first with " << result.first_failure
              << '\n';
    std::exit(1);
  }
  const auto calls = static_cast<double>(result.calls);
  const auto messages = static_cast<double>(result.messages);
  const double seconds = Microseconds(result.elapsed) / 1e6;
  return {.calls_per_second = calls / seconds,
          .messages_per_second = messages / seconds,
          .cpu_per_call = cpu / calls,
          .cpu_per_message = messages > 0 ? cpu / messages : 0,
          .p50 = Microseconds(result.latency.Quantile(0.5)),
          .p99 = Microseconds(result.latency.Quantile(0.99))};
}

}  // namespace

Contest::Contest(Options options, std::vector<Contestant> contestants)
    : options_(std::move(options)),
      contestants_(std::move(contestants)),
      samples_(contestants_.size()) {
  const std::size_t count = contestants_.size();
  std::vector<std::unique_ptr<LoadClient>> clients;
  for (const Contestant& contestant : contestants_) {
    clients.push_back(std::make_unique<LoadClient>(
        LoadTarget{contestant.server->address(), contestant.authorization,
                   options_.stock_client},
        options_.connections));
  }
  // Round -1 warms up: connections, caches, allocators.
  for (int round = -1; round < options_.rounds; ++round) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t turn =
          (i + static_cast<std::size_t>(round + 1)) % count;
      const Sample sample =
          RunRound(contestants_[turn], *clients[turn], options_.load);
      if (round >= 0) samples_[turn].push_back(sample);
    }
  }
}

Summary Contest::Of(std::size_t contestant, double Sample::*what) const {
  std::vector<double> values;
  for (const Sample& sample : samples_[contestant]) {
    values.push_back(sample.*what);
  }
  return Summarise(std::move(values));
}

Summary Contest::Compare(
    std::size_t contestant, std::size_t base, double Sample::*what,
    const std::function<double(double, double)>& compare) const {
  std::vector<double> values;
  for (std::size_t i = 0; i < samples_[contestant].size(); ++i) {
    values.push_back(
        compare(samples_[contestant][i].*what, samples_[base][i].*what));
  }
  return Summarise(std::move(values));
}

Summary Contest::Difference(std::size_t contestant, std::size_t base,
                            double Sample::*what) const {
  return Compare(contestant, base, what, std::minus<>());
}

Summary Contest::Ratio(std::size_t contestant, std::size_t base,
                       double Sample::*what) const {
  return Compare(contestant, base, what, std::divides<>());
}

}  // namespace grpccommon::bench
