// SPDX-License-Identifier: Apache-2.0
// The `main` of the benchmarks by Google Benchmark: repeats each of them, in
// turns with the others, so that whatever else the machine does meets all;
// shows the medians and what became of the promises.
#include "benchmarks/micro_benchmark.h"

#include <iostream>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "benchmarks/verdict.h"

namespace grpccommon::bench {
namespace {

using Run = benchmark::BenchmarkReporter::Run;

std::vector<Promise>& Promises() {
  static std::vector<Promise> promises;
  return promises;
}

// Before those of the command line, which may say otherwise.
constexpr const char* kDefaults[] = {
    "--benchmark_repetitions=5", "--benchmark_enable_random_interleaving=true",
    "--benchmark_min_time=0.1"};

bool Failed(const Run& run) { return run.cpu_accumulated_time == 0; }

// Passes on what another reporter shows: of a table the medians, each under the
// name of its benchmark and in the order of the file, when all have run; of any
// other format everything.
class MedianReporter : public benchmark::BenchmarkReporter {
 public:
  explicit MedianReporter(benchmark::BenchmarkReporter& shown)
      : shown_(shown),
        is_table_(dynamic_cast<benchmark::ConsoleReporter*>(&shown) !=
                  nullptr) {}

  bool is_table() const { return is_table_; }

  bool ReportContext(const Context& context) override {
    return shown_.ReportContext(context);
  }

  void ReportRuns(const std::vector<Run>& runs) override {
    for (Run run : runs) {
      // What is run once has no median, nor has what failed.
      const bool shown = run.run_type == Run::RT_Aggregate
                             ? run.aggregate_name == "median"
                             : run.repetitions <= 1 || Failed(run);
      if (!shown) continue;
      run.run_type = Run::RT_Iteration;
      rows_.emplace(std::pair(run.family_index, run.per_family_instance_index),
                    run);
    }
    if (!is_table_) shown_.ReportRuns(runs);
  }

  void Finalize() override {
    for (const auto& [place, run] : rows_) {
      if (is_table_) shown_.ReportRuns({run});
    }
    shown_.Finalize();
  }

  // None of a benchmark that has not run to its end.
  std::optional<double> Measured(const Promise& promise) const {
    for (const auto& [place, run] : rows_) {
      if (run.benchmark_name() != promise.benchmark || Failed(run)) continue;
      if (!promise.counter.empty()) return run.counters.at(promise.counter);
      return run.GetAdjustedCPUTime() * 1e9 /
             benchmark::GetTimeUnitMultiplier(run.time_unit);
    }
    return std::nullopt;
  }

 private:
  benchmark::BenchmarkReporter& shown_;
  const bool is_table_;
  std::multimap<std::pair<std::int64_t, std::int64_t>, Run> rows_;
};

void Judge(const MedianReporter& medians) {
  std::ostream& out = medians.is_table() ? std::cout : std::cerr;
  out << '\n';
  for (const Promise& promise : Promises()) {
    const std::optional<double> measured = medians.Measured(promise);
    if (!measured.has_value()) continue;
    out << Verdict{.what = promise.what,
                   .measured = *measured,
                   .unit = promise.unit,
                   .bound = Bound::kAtMost,
                   .limit = promise.at_most};
  }
}

int Main(int argc, char** argv) {
  std::vector<std::string> defaults(std::begin(kDefaults), std::end(kDefaults));
  std::vector<char*> arguments = {argv[0]};
  for (std::string& argument : defaults) arguments.push_back(argument.data());
  arguments.insert(arguments.end(), argv + 1, argv + argc);
  int count = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;
  MedianReporter medians(*benchmark::CreateDefaultDisplayReporter());
  benchmark::RunSpecifiedBenchmarks(&medians);
  Judge(medians);
  benchmark::Shutdown();
  return 0;
}

}  // namespace

bool AddPromises(std::vector<Promise> promises) {
  std::move(promises.begin(), promises.end(), std::back_inserter(Promises()));
  return true;
}

void ReportAllocations(benchmark::State& state, std::uint64_t allocations) {
  state.counters["allocations"] = benchmark::Counter(
      static_cast<double>(allocations), benchmark::Counter::kAvgIterations);
}

}  // namespace grpccommon::bench

int main(int argc, char** argv) { return grpccommon::bench::Main(argc, argv); }
