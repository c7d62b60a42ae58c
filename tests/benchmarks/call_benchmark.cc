// SPDX-License-Identifier: Apache-2.0
// What grpccommon costs a call, next to bare gRPC C++: both serve the same
// service, each in a process of its own, and take turns. See
// docs/benchmarks.md.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "benchmarks/bench_server.h"
#include "benchmarks/contest.h"
#include "benchmarks/load_client.h"
#include "benchmarks/report.h"
#include "benchmarks/server_process.h"
#include "grpccommon/auth/jwt_signer.h"
#include "support/number.h"

namespace grpccommon::bench {
namespace {

constexpr std::string_view kUsage =
    R"(usage: grpccommon_call_benchmark [options]
  --json FILE        also write every figure of every round as JSON; - is
                     standard output, and the tables go to standard error
  --only NAME,…      run some of: unary, single, open, tokens, refusals,
                     streams, allocations, memory
  --rounds N         rounds of each contest (75)
  --round-ms N       how long a contestant's turn is (200)
  --connections N    connections of the client at concurrency 64 (4)
  --stock-client 1   a client with what gRPC has on by default, which takes more
                     of the machine that it shares with the servers
  --soak [CALLS]     instead of all that, watch the memory of the whole chain
                     over so many calls (10000000)
Exits with 1 if a call ended wrongly, with 2 on a bad option; a broken promise
is only reported, for a busy machine breaks some.
)";

struct Options {
  std::string role;
  std::string contestant;
  std::string folder;
  std::string json;
  std::string only;
  int rounds = 75;
  int round_ms = 200;
  int connections = 4;
  int stock_client = 0;
  std::uint64_t soak_calls = 0;
};

std::optional<Options> Parse(int argc, char** argv) {
  Options options;
  const std::map<std::string_view, std::function<void(const char*)>> known = {
      {"--role", [&](const char* v) { options.role = v; }},
      {"--contestant", [&](const char* v) { options.contestant = v; }},
      {"--folder", [&](const char* v) { options.folder = v; }},
      {"--json", [&](const char* v) { options.json = v; }},
      {"--only", [&](const char* v) { options.only = v; }},
      // What is no number is 0 here, and refused below.
      {"--rounds",
       [&](const char* v) {
         options.rounds = test::ParseNumber(v).value_or(0);
       }},
      {"--round-ms",
       [&](const char* v) {
         options.round_ms = test::ParseNumber(v).value_or(0);
       }},
      {"--connections",
       [&](const char* v) {
         options.connections = test::ParseNumber(v).value_or(0);
       }},
      {"--stock-client",
       [&](const char* v) {
         options.stock_client = test::ParseNumber(v).value_or(-1);
       }},
      {"--soak",
       [&](const char* v) {
         options.soak_calls = std::strtoull(v, nullptr, 10);
       }},
      // As the other programs of this folder are asked for it.
      {"--benchmark_format", [&](const char*) { options.json = "-"; }},
  };
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const std::size_t equals = argument.find('=');
    const auto option = known.find(argument.substr(0, equals));
    if (option == known.end()) return std::nullopt;
    if (equals != std::string_view::npos) {
      option->second(argv[i] + equals + 1);
    } else if (i + 1 < argc &&
               std::string_view(argv[i + 1]).substr(0, 2) != "--") {
      option->second(argv[++i]);
    } else if (argument == "--soak") {
      option->second("10000000");
    } else {
      return std::nullopt;
    }
  }
  if (options.rounds < 1 || options.round_ms < 1 || options.connections < 1 ||
      options.stock_client < 0 || options.stock_client > 1) {
    return std::nullopt;
  }
  return options;
}

// The folder of one run, removed with everything in it.
class Folder {
 public:
  Folder() {
    std::string name =
        std::filesystem::temp_directory_path() / "grpccommon_bench_XXXXXX";
    if (mkdtemp(name.data()) == nullptr) {
      std::cerr << "benchmark: cannot make a folder in /tmp\n";
      std::exit(1);
    }
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

constexpr JwtAlgorithm kAlgorithms[] = {
    JwtAlgorithm::kHs256, JwtAlgorithm::kRs256, JwtAlgorithm::kEs256,
    JwtAlgorithm::kEdDsa};

// A key of each kind, in the servers' folder, and a token signed by each.
std::map<JwtAlgorithm, std::string> MakeTokens(const std::string& folder) {
  const auto must = [](auto value) {
    if (value.ok()) return *std::move(value);
    std::cerr << "benchmark: " << value.status() << '\n';
    std::exit(1);
  };
  const auto now = std::chrono::system_clock::now();
  std::map<JwtAlgorithm, std::string> tokens;
  std::string keys;
  for (const JwtAlgorithm algorithm : kAlgorithms) {
    const JwtSigner signer = must(JwtSigner::Generate(
        algorithm, std::string(JwtAlgorithmName(algorithm))));
    tokens[algorithm] =
        must(signer.Sign({.subject = "0f8fad5b-d9cb-469f-a165-70867728950e",
                          .issuer = kIssuer,
                          .audiences = {kAudience},
                          .issued_at = now,
                          .expires_at = now + std::chrono::hours(24),
                          .roles = {"user", "editor"},
                          .scopes = {"read", "write"}}));
    keys += (keys.empty() ? "" : ",") + signer.PrivateJwk();
  }
  const std::string path = KeysFile(folder);
  std::ofstream file(path);
  std::filesystem::permissions(path, std::filesystem::perms::owner_read |
                                         std::filesystem::perms::owner_write);
  file << "{\"keys\":[" << keys << "]}";
  return tokens;
}

class Benchmark {
 public:
  Benchmark(const Options& options, Report& report, std::ostream& out)
      : options_(options), report_(report), out_(out) {}

  void Run() {
    if (options_.soak_calls > 0) {
      // What gRPC itself takes, to tell it from what we take.
      Memory(kBare, LoadKind::kEcho, options_.soak_calls);
      const double growth =
          Memory(kChain, LoadKind::kEcho, options_.soak_calls);
      report_.Judge("the whole chain's memory grows by",
                    {growth, growth, growth}, "MiB", Bound::kAtMost, 4);
      return;
    }
    const std::pair<std::string_view, void (Benchmark::*)()> sections[] = {
        {"unary", &Benchmark::Unary},
        {"single", &Benchmark::Single},
        {"open", &Benchmark::OpenLoop},
        {"tokens", &Benchmark::Tokens},
        {"refusals", &Benchmark::Refusals},
        {"streams", &Benchmark::Streams},
        {"allocations", &Benchmark::Allocations},
        {"memory", &Benchmark::RefusalMemory}};
    for (const auto& [name, section] : sections) {
      if (Chosen(name)) (this->*section)();
    }
  }

 private:
  bool Chosen(std::string_view name) const {
    if (options_.only.empty()) return true;
    return ("," + options_.only + ",").find("," + std::string(name) + ",") !=
           std::string::npos;
  }

  // A server runs from when it is first needed to the end.
  Contestant Enter(std::string name, const std::string& server,
                   JwtAlgorithm token = JwtAlgorithm::kHs256) {
    std::unique_ptr<ServerProcess>& process = servers_[server];
    if (process == nullptr) {
      process = std::make_unique<ServerProcess>(server, folder_.path());
    }
    return {std::move(name), process.get(), Authorization(token)};
  }

  std::string Authorization(JwtAlgorithm algorithm) const {
    return "Bearer " + tokens_.at(algorithm);
  }

  Contest Hold(const std::string& title, Load load, int connections,
               std::vector<Contestant> contestants) {
    load.duration = std::chrono::milliseconds(options_.round_ms);
    Contest contest({.title = title,
                     .load = load,
                     .connections = connections,
                     .stock_client = options_.stock_client == 1,
                     .rounds = options_.rounds},
                    std::move(contestants));
    report_.Add(contest);
    return contest;
  }

  std::vector<Contestant> UnaryContestants() {
    return {Enter("bare gRPC C++", kBare), Enter("nothing enabled", kIdle),
            Enter("whole chain", kChain)};
  }

  void Unary() {
    std::vector<Contestant> contestants = UnaryContestants();
    // What of the difference is not the call path's.
    contestants.push_back(
        Enter("bare, no mutex deadlock detection", kBareUndetected));
    const Contest contest =
        Hold("Unary calls, 64 at a time", {.concurrency = 64},
             options_.connections, std::move(contestants));
    report_.Judge("nothing enabled, over bare",
                  contest.Difference(1, 0, &Sample::cpu_per_call), "µs",
                  Bound::kAtMost, 0.5);
    report_.Judge("whole chain, over bare",
                  contest.Difference(2, 0, &Sample::cpu_per_call), "µs",
                  Bound::kAtMost, 2.5);
    report_.Judge("whole chain, throughput",
                  contest.Ratio(2, 0, &Sample::calls_per_second), "of bare",
                  Bound::kAtLeast, 0.9);
    report_.Judge("whole chain, p99", contest.Ratio(2, 0, &Sample::p99),
                  "of bare", Bound::kAtMost, 1.1);
  }

  void Single() {
    Hold("Unary calls, one at a time", {.concurrency = 1}, 1,
         UnaryContestants());
  }

  void OpenLoop() {
    const Contest contest =
        Hold("Unary calls, 2000 a second", {.calls_per_second = 2000},
             options_.connections, UnaryContestants());
    report_.Judge("whole chain, over bare",
                  contest.Difference(2, 0, &Sample::cpu_per_call), "µs",
                  Bound::kAtMost, 6);
  }

  // All of them are in the cache after the first call.
  void Tokens() {
    std::vector<Contestant> contestants;
    for (const JwtAlgorithm algorithm : kAlgorithms) {
      contestants.push_back(
          Enter(std::string(JwtAlgorithmName(algorithm)), kChain, algorithm));
    }
    const Contest contest =
        Hold("Whole chain by token, 64 at a time", {.concurrency = 64},
             options_.connections, std::move(contestants));
    for (std::size_t i = 1; i < contest.contestants().size(); ++i) {
      report_.Judge(contest.contestants()[i].name + ", over HS256",
                    contest.Difference(i, 0, &Sample::cpu_per_call), "µs",
                    Bound::kAtMost, 1);
    }
  }

  void Refusals() {
    Refusals("Refused calls, 64 at a time", LoadKind::kRefuse);
    Refusals("Refused server streams, 64 at a time", LoadKind::kRefuseList);
  }

  void Refusals(const std::string& title, LoadKind kind) {
    const Contest contest =
        Hold(title, {.kind = kind, .concurrency = 64}, options_.connections,
             {Enter("by a bare handler, same status", kBare),
              Enter("by a bare handler, no details", kBarePlain),
              Enter("by the chain, not logged", kQuietChain),
              Enter("by the chain, logged", kChain)});
    report_.Judge("refused without a log line, over bare",
                  contest.Difference(2, 0, &Sample::cpu_per_call), "µs",
                  Bound::kAtMost, 3);
    report_.Judge("refused with a log line, over bare",
                  contest.Difference(3, 0, &Sample::cpu_per_call), "µs",
                  Bound::kAtMost, 3);
  }

  void Streams() {
    const Contest contest =
        Hold("Server streams of 100 messages, 64 at a time",
             {.kind = LoadKind::kList, .concurrency = 64}, options_.connections,
             {Enter("bare, a write at a time", kBare),
              Enter("nothing enabled, a write at a time", kIdle),
              Enter("whole chain, a write at a time", kChain),
              Enter("bare, grpccommon/stream", kBareWriter),
              Enter("nothing enabled, grpccommon/stream", kIdleWriter),
              Enter("whole chain, grpccommon/stream", kChainWriter)});
    const Summary rate = contest.Of(4, &Sample::messages_per_second);
    if (rate.median >= 500'000) {
      report_.Judge("grpccommon/stream", rate, "messages/s", Bound::kAtLeast,
                    500'000);
    } else {
      report_.Judge("grpccommon/stream",
                    contest.Ratio(4, 0, &Sample::messages_per_second),
                    "of bare", Bound::kAtLeast, 1.9);
    }
  }

  void Allocations() {
    out_ << "\n  Allocations a call (operator new)\n";
    std::map<std::string, double> counts;
    for (const char* const server : {kBare, kIdle, kChain}) {
      const Contestant contestant = Enter(server, server);
      LoadClient client(
          {contestant.server->address(), contestant.authorization}, 1);
      const Load load = {.concurrency = 8,
                         .duration = std::chrono::seconds(60),
                         .max_calls = 20'000};
      client.Run(load);
      const std::uint64_t before = contestant.server->Allocations();
      const LoadResult result = client.Run(load);
      counts[server] =
          static_cast<double>(contestant.server->Allocations() - before) /
          static_cast<double>(result.calls);
      contestant.server->StopCountingAllocations();
    }
    report_.Note("bare gRPC C++", counts[kBare], "");
    report_.Note("nothing enabled, over bare", counts[kIdle] - counts[kBare],
                 "");
    const double chain = counts[kChain] - counts[kBare];
    report_.Judge("whole chain, over bare", {chain, chain, chain}, "",
                  Bound::kAtMost, 6);
  }

  void RefusalMemory() {
    const double growth = Memory(kChain, LoadKind::kRefuse, 1'000'000);
    report_.Judge("memory grows over a million refusals by",
                  {growth, growth, growth}, "MiB", Bound::kAtMost, 4);
  }

  // By how many MiB resident memory grows over `calls`, once as many as warm it
  // up: pools and buffers then have their size.
  double Memory(const char* server, LoadKind kind, std::uint64_t calls) {
    const Contestant contestant = Enter(server, server);
    LoadClient client({contestant.server->address(), contestant.authorization},
                      options_.connections);
    const auto run = [&](std::uint64_t count) {
      const LoadResult result = client.Run({.kind = kind,
                                            .concurrency = 64,
                                            .duration = std::chrono::hours(2),
                                            .max_calls = count});
      if (result.failures > 0) {
        std::cerr << "benchmark: " << result.failures
                  << " calls failed: " << result.first_failure << '\n';
        std::exit(1);
      }
    };
    const auto mebibytes = [&] {
      return static_cast<double>(contestant.server->ResidentBytes()) /
             (1 << 20);
    };
    out_ << "\n  Resident memory of the server \"" << server << "\", " << calls
         << " calls\n";
    run(100'000);
    const double before = mebibytes();
    constexpr std::uint64_t kSteps = 10;
    double after = before;
    for (std::uint64_t step = 1; step <= kSteps; ++step) {
      run(calls / kSteps);
      after = mebibytes();
      out_ << "         after " << step * (calls / kSteps)
           << " calls: " << after << " MiB\n";
      out_.flush();
    }
    return after - before;
  }

  const Options& options_;
  Report& report_;
  std::ostream& out_;
  const Folder folder_;
  const std::map<JwtAlgorithm, std::string> tokens_ =
      MakeTokens(folder_.path());
  std::map<std::string, std::unique_ptr<ServerProcess>> servers_;
};

int Main(int argc, char** argv) {
  const std::optional<Options> options = Parse(argc, argv);
  if (!options.has_value()) {
    std::cerr << kUsage;
    return 2;
  }
  if (options->role == "server") {
    return RunBenchServer(options->contestant, options->folder);
  }
  if (options->stock_client == 0) {
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  }
  std::ostream& out = options->json == "-" ? std::cerr : std::cout;
  Report report(out);
  Benchmark(*options, report, out).Run();
  if (options->json == "-") {
    std::cout << report.ToJson().dump(2) << '\n';
  } else if (!options->json.empty()) {
    std::ofstream file(options->json);
    file << report.ToJson().dump(2) << '\n';
    if (!file.flush()) {
      std::cerr << "benchmark: cannot write " << options->json << '\n';
      return 1;
    }
  }
  return 0;
}

}  // namespace
}  // namespace grpccommon::bench

int main(int argc, char** argv) { return grpccommon::bench::Main(argc, argv); }
