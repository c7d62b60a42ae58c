// SPDX-License-Identifier: Apache-2.0
#include "faults/recorder.h"

#include <algorithm>

#include "support/time_series.h"

namespace grpccommon::test {
namespace {

constexpr std::chrono::milliseconds kWindow(100);

double Microseconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

}  // namespace

void Recorder::Write(const std::string& series, const Load& load) const {
  if (!TimeSeries::wanted()) return;
  std::vector<Ended> calls = load.All();
  std::erase_if(calls, [&](const Ended& call) { return call.at < start_; });
  std::sort(calls.begin(), calls.end(),
            [](const Ended& a, const Ended& b) { return a.at < b.at; });

  std::vector<std::pair<std::string, std::string>> endpoints = names_;
  for (const Ended& call : calls) {
    const bool known = std::any_of(
        endpoints.begin(), endpoints.end(),
        [&](const auto& endpoint) { return endpoint.first == call.endpoint; });
    if (!known && call.ok()) {
      endpoints.emplace_back(
          call.endpoint, "instance " + std::to_string(endpoints.size() + 1));
    }
  }
  std::vector<std::string> columns = {"calls", "failures", "attempts", "p50_us",
                                      "p99_us"};
  for (const auto& [address, name] : endpoints) columns.push_back(name);
  TimeSeries file(series, columns);
  for (const auto& [at, text] : marks_) file.Mark(Milliseconds(at), text);

  auto next = calls.begin();
  for (SteadyTime from = start_; next != calls.end(); from += kWindow) {
    const auto end = std::find_if(next, calls.end(), [&](const Ended& call) {
      return call.at >= from + kWindow;
    });
    const std::vector<Ended> window(next, end);
    next = end;
    double attempts = 0;
    for (const Ended& call : window) attempts += call.attempts;
    std::vector<double> row = {
        static_cast<double>(window.size()),
        static_cast<double>(
            std::count_if(window.begin(), window.end(),
                          [](const Ended& call) { return !call.ok(); })),
        attempts, Microseconds(Percentile(window, 0.5)),
        Microseconds(Percentile(window, 0.99))};
    for (const auto& [address, name] : endpoints) {
      row.push_back(ShareOf(window, address));
    }
    file.Add(Milliseconds(from), row);
  }
}

}  // namespace grpccommon::test
