// SPDX-License-Identifier: Apache-2.0
// The execution service, the built program over a Unix socket: a batch of fifty
// runs as one stream against submitting and polling, how long a client waits
// for the first progress behind a long queue, and what a sandbox costs.
//
//   platform_execution_benchmark [--benchmark_format=json]
//
// Tables go to standard error, so that with JSON on standard output both can be
// had.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <iomanip>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "nlohmann/json.hpp"
#include "services/execution/execution_process.h"

namespace platform::execution {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kRuns = 50;
constexpr int kRounds = 5;

constexpr char kSum[] =
    "#include <iostream>\n"
    "int main() { long a, b; std::cin >> a >> b; std::cout << a + b; }\n";
constexpr char kBusy[] =
    "import time\nt = time.process_time() + 0.1\n"
    "while time.process_time() < t: pass\n";

v1::ExecuteRequest Request(const char* language, const char* source) {
  v1::ExecuteRequest request;
  request.set_language(language);
  request.set_source(source);
  return request;
}

v1::ExecuteRequest Sum(int n) {
  v1::ExecuteRequest request = Request("cpp", kSum);
  auto& test = *request.mutable_test_set()->add_test_cases();
  test.set_input(std::to_string(n) + " 1");
  test.set_expected_output(std::to_string(n + 1));
  return request;
}

void Require(bool condition, const std::string& what) {
  if (condition) return;
  std::cerr << "platform_execution_benchmark: " << what << '\n';
  std::exit(1);
}

double Median(std::vector<double> values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double Quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<std::size_t>(
      std::ceil(q * static_cast<double>(values.size())));
  return values[std::min(std::max<std::size_t>(rank, 1), values.size()) - 1];
}

double Since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start)
      .count();
}

class Benchmark {
 public:
  Benchmark() {
    service_.Start();
    ada_ = service_.Token("--subject ada");
    hog_ = service_.Token("--subject hog");
    // Compiled once, before anything is measured.
    v1::ExecuteResponse response;
    const grpc::Status status = service_.stub().Execute(
        common::CallWith(ada_).get(), Sum(0), &response);
    Require(status.ok(), status.error_message());
    Require(response.execution().verdict() == v1::VERDICT_ACCEPTED,
            response.DebugString());
  }

  void CompareBatch() {
    struct Way {
      std::string name;
      std::function<int()> run;
      std::vector<double> times;
      int calls = 0;
    };
    std::vector<Way> ways;
    ways.push_back({"ExecuteBatchStream", [this] { return RunBatch(); }});
    for (const int interval : {10, 50, 100}) {
      ways.push_back(
          {"all submitted, polled every " + std::to_string(interval) + " ms",
           [this, interval] {
             return SubmitAllAndPoll(milliseconds(interval));
           }});
    }
    for (const int interval : {10, 50, 100}) {
      ways.push_back(
          {"one by one, polled every " + std::to_string(interval) + " ms",
           [this, interval] { return OneByOne(milliseconds(interval)); }});
    }
    for (int round = 0; round < kRounds; ++round) {
      for (Way& way : ways) {
        const Clock::time_point start = Clock::now();
        way.calls = way.run();
        way.times.push_back(Since(start));
      }
    }
    const double batch = Median(ways[0].times);
    std::cerr << "\n50 runs of one program, median of " << kRounds
              << " rounds                ms    calls   batch is faster by\n";
    for (const Way& way : ways) {
      const double time = Median(way.times);
      std::cerr << "  " << std::left << std::setw(44) << way.name << std::right
                << std::setw(9) << std::fixed << std::setprecision(1) << time
                << std::setw(9) << way.calls;
      if (&way != &ways[0]) {
        std::cerr << std::setw(16) << std::setprecision(0)
                  << 100.0 * (1.0 - batch / time) << " %";
      }
      std::cerr << '\n';
      report_["batch"].push_back({{"way", way.name},
                                  {"ms", time},
                                  {"calls", way.calls},
                                  {"all_ms", way.times}});
    }
  }

  void MeasureFirstProgress() {
    std::atomic<bool> stop = false;
    // One caller keeps a long queue and all cores busy.
    std::thread hog([&] {
      v1::ExecuteBatchRequest request;
      for (int i = 0; i < 100; ++i) {
        *request.add_executions() = Request("python", kBusy);
      }
      while (!stop) {
        const auto context = common::CallWith(hog_);
        const auto reader =
            service_.stub().ExecuteBatchStream(context.get(), request);
        v1::BatchExecutionUpdate update;
        // The next batch comes before this one has ended.
        while (reader->Read(&update) && !stop && update.completed() < 50) {
        }
        context->TryCancel();
        while (reader->Read(&update)) {
        }
        (void)reader->Finish();
      }
    });
    std::this_thread::sleep_for(milliseconds(500));
    constexpr int kThreads = 4;
    constexpr int kCalls = 250;
    std::vector<std::vector<double>> times(kThreads);
    std::vector<std::thread> clients;
    for (int t = 0; t < kThreads; ++t) {
      clients.emplace_back([&, t] {
        const std::string token =
            service_.Token("--subject client" + std::to_string(t));
        for (int i = 0; i < kCalls; ++i) {
          const auto context = common::CallWith(token);
          const Clock::time_point start = Clock::now();
          const auto reader =
              service_.stub().ExecuteStream(context.get(), Sum(i));
          v1::ExecutionUpdate update;
          Require(reader->Read(&update), "no first progress");
          times[static_cast<std::size_t>(t)].push_back(Since(start));
          context->TryCancel();
          (void)reader->Finish();
          std::this_thread::sleep_for(milliseconds(5));
        }
      });
    }
    for (std::thread& client : clients) client.join();
    stop = true;
    hog.join();
    std::vector<double> all;
    for (const auto& part : times) {
      all.insert(all.end(), part.begin(), part.end());
    }
    const nlohmann::json row = {{"calls", all.size()},
                                {"p50_ms", Quantile(all, 0.5)},
                                {"p99_ms", Quantile(all, 0.99)},
                                {"max_ms", Quantile(all, 1.0)},
                                {"p99_bound_ms", 50}};
    std::cerr << "\nfirst progress behind a queue of 100, " << all.size()
              << " streams: p50 " << std::setprecision(2)
              << row["p50_ms"].get<double>() << " ms, p99 "
              << row["p99_ms"].get<double>() << " ms, longest "
              << row["max_ms"].get<double>() << " ms (bound: p99 50 ms)\n";
    report_["first_progress"] = row;
  }

  // From the beginning to the end of one execution, nothing else running.
  void MeasureRuns() {
    std::cerr << "\none run at a time, programs built before"
              << "        p50 ms   p99 ms\n";
    struct Program {
      const char* language;
      const char* source;
    };
    for (const Program& program :
         {Program{"c", "int main(void) { return 0; }"},
          Program{"cpp", "int main() {}"}, Program{"python", "pass\n"},
          Program{"javascript", ";\n"},
          Program{"java",
                  "class Main { public static void main(String[] a) {} }"}}) {
      std::vector<double> times;
      for (int i = 0; i < 41; ++i) {
        v1::ExecuteResponse response;
        const Clock::time_point start = Clock::now();
        const grpc::Status status = service_.stub().Execute(
            common::CallWith(ada_).get(),
            Request(program.language, program.source), &response);
        if (!status.ok()) break;  // not installed
        Require(response.execution().verdict() == v1::VERDICT_ACCEPTED,
                response.DebugString());
        if (i > 0) times.push_back(Since(start));  // the first one builds it
      }
      if (times.empty()) continue;
      std::cerr << "  " << std::left << std::setw(44) << program.language
                << std::right << std::setw(9) << std::setprecision(1)
                << Quantile(times, 0.5) << std::setw(9) << Quantile(times, 0.99)
                << '\n';
      report_["runs"].push_back({{"language", program.language},
                                 {"p50_ms", Quantile(times, 0.5)},
                                 {"p99_ms", Quantile(times, 0.99)}});
    }
  }

  // What the service's own histogram says of what was measured since it
  // started.
  void ReadSetup() {
    const std::string metrics = service_.Get("/metrics");
    const auto value = [&metrics](const std::string& name) {
      const std::size_t place = metrics.find("\n" + name + " ");
      Require(place != std::string::npos, "no metric " + name);
      return std::stod(metrics.substr(place + name.size() + 2));
    };
    const std::string name = "grpccommon_execution_setup_seconds";
    const double count = value(name + "_count");
    const double mean = 1000.0 * value(name + "_sum") / count;
    const double within = value(name + "_bucket{le=\"0.025\"}") / count;
    std::cerr << "\nsandbox set-up, " << std::setprecision(0) << count
              << " of them: mean " << std::setprecision(2) << mean << " ms, "
              << std::setprecision(1) << 100.0 * within
              << " % within 25 ms (bound: 30 ms)\n";
    report_["setup"] = {{"runs", count},
                        {"mean_ms", mean},
                        {"within_25_ms", within},
                        {"bound_ms", 30}};
  }

  const nlohmann::json& report() const { return report_; }

 private:
  int RunBatch() {
    v1::ExecuteBatchRequest request;
    for (int i = 0; i < kRuns; ++i) *request.add_executions() = Sum(i);
    const auto context = common::CallWith(ada_);
    const auto reader =
        service_.stub().ExecuteBatchStream(context.get(), request);
    int accepted = 0;
    v1::BatchExecutionUpdate update;
    while (reader->Read(&update)) {
      accepted += update.update().execution().verdict() == v1::VERDICT_ACCEPTED;
    }
    Require(reader->Finish().ok() && accepted == kRuns, "the batch failed");
    return 1;
  }

  std::string Submit(int n) {
    v1::ExecuteRequest request = Sum(n);
    request.set_detached(true);
    v1::ExecuteResponse response;
    const grpc::Status status = service_.stub().Execute(
        common::CallWith(ada_).get(), request, &response);
    Require(status.ok(), status.error_message());
    return response.execution().id();
  }
  bool Ended(const std::string& id) {
    v1::GetExecutionRequest request;
    request.set_execution_id(id);
    v1::GetExecutionResponse response;
    const grpc::Status status = service_.stub().GetExecution(
        common::CallWith(ada_).get(), request, &response);
    Require(status.ok(), status.error_message());
    return response.execution().state() == v1::EXECUTION_STATE_DONE;
  }

  int SubmitAllAndPoll(milliseconds interval) {
    std::vector<std::string> ids;
    for (int i = 0; i < kRuns; ++i) ids.push_back(Submit(i));
    int calls = kRuns;
    for (;;) {
      std::erase_if(ids, [&](const std::string& id) {
        ++calls;
        return Ended(id);
      });
      if (ids.empty()) return calls;
      std::this_thread::sleep_for(interval);
    }
  }

  int OneByOne(milliseconds interval) {
    int calls = 0;
    for (int i = 0; i < kRuns; ++i) {
      const std::string id = Submit(i);
      ++calls;
      do {
        std::this_thread::sleep_for(interval);
        ++calls;
      } while (!Ended(id));
    }
    return calls;
  }

  testing::ExecutionProcess service_;
  std::string ada_;
  std::string hog_;
  nlohmann::json report_;
};

}  // namespace
}  // namespace platform::execution

int main(int argc, char** argv) {
  platform::execution::Benchmark benchmark;
  benchmark.CompareBatch();
  benchmark.MeasureFirstProgress();
  benchmark.MeasureRuns();
  benchmark.ReadSetup();
  if (argc > 1 && std::string_view(argv[1]) == "--benchmark_format=json") {
    std::cout << benchmark.report().dump(2) << '\n';
  }
}
