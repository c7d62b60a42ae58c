// SPDX-License-Identifier: Apache-2.0
// What a call by grpccommon's Client costs its caller, beside the same call by
// a stock stub. The server is a bare one in a process of its own; the CPU time
// is this process's.
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "bench/v1/bench_service.grpc.pb.h"
#include "benchmarks/bench_server.h"
#include "benchmarks/columns.h"
#include "benchmarks/contest.h"
#include "benchmarks/latency_histogram.h"
#include "benchmarks/report.h"
#include "benchmarks/server_process.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/client/client_manager.h"
#include "grpccommon/registry/memory_registry.h"
#include "grpcpp/grpcpp.h"
#include "support/number.h"

namespace grpccommon::bench {
namespace {

using ::bench::v1::BenchService;
using ::bench::v1::EchoRequest;
using ::bench::v1::EchoResponse;

constexpr char kUsage[] =
    R"(usage: grpccommon_client_call_benchmark [--rounds N] [--round-ms N] [--json FILE]

Prints the CPU time of the calling process, the latency and the throughput of
calls by a stock stub and by grpccommon's Client with its default policy, which
take turns. FILE "-" is standard output.
)";

struct Options {
  std::string role;
  std::string contestant;
  std::string folder;
  int rounds = 15;
  std::chrono::milliseconds round{300};
  std::string json;
};

[[noreturn]] void Fail(const std::string& what) {
  std::cerr << "benchmark: " << what << '\n';
  std::exit(1);
}

double CpuMicroseconds() {
  timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) * 1e6 +
         static_cast<double>(used.tv_nsec) / 1e3;
}

EchoRequest Request() {
  EchoRequest request;
  request.set_text(std::string(100, 'x'));
  return request;
}

// One way to make a call; `done` says whether it was OK.
class Caller {
 public:
  virtual ~Caller() = default;
  virtual bool Call(const EchoRequest& request) = 0;
  virtual void CallAsync(const EchoRequest& request,
                         std::function<void(bool)> done) = 0;
};

class StubCaller : public Caller {
 public:
  explicit StubCaller(const std::string& address)
      : stub_(BenchService::NewStub(grpc::CreateChannel(
            "ipv4:" + address, grpc::InsecureChannelCredentials()))) {}

  bool Call(const EchoRequest& request) override {
    grpc::ClientContext context;
    SetDeadline(context);
    EchoResponse response;
    return stub_->Echo(&context, request, &response).ok();
  }

  void CallAsync(const EchoRequest& request,
                 std::function<void(bool)> done) override {
    struct State {
      grpc::ClientContext context;
      EchoRequest request;
      EchoResponse response;
    };
    const auto state = std::make_shared<State>();
    state->request = request;
    SetDeadline(state->context);
    stub_->async()->Echo(
        &state->context, &state->request, &state->response,
        [state, done = std::move(done)](const grpc::Status& status) {
          done(status.ok());
        });
  }

 private:
  // As everyone should; Client sets one, too.
  static void SetDeadline(grpc::ClientContext& context) {
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(60));
  }
  const std::unique_ptr<BenchService::Stub> stub_;
};

class ClientCaller : public Caller {
 public:
  explicit ClientCaller(const std::vector<std::string>& addresses)
      : scheduler_(CreateScheduler()),
        registry_(CreateMemoryRegistry(*scheduler_)) {
    for (const std::string& address : addresses) {
      registrations_.push_back(
          *registry_->Register("bench", {.address = address}));
    }
    manager_ = *ClientManager::Create({.registry = registry_});
    client_ = *manager_->Get<BenchService>("bench");
  }

  bool Call(const EchoRequest& request) override {
    return client_->Call(&BenchService::Stub::Echo, request).ok();
  }

  void CallAsync(const EchoRequest& request,
                 std::function<void(bool)> done) override {
    client_->CallAsync(
        &BenchService::Stub::Echo, request, {},
        [done = std::move(done)](const absl::StatusOr<EchoResponse>& response) {
          done(response.ok());
        });
  }

 private:
  const std::unique_ptr<Scheduler> scheduler_;
  const std::shared_ptr<Registry> registry_;
  std::vector<std::unique_ptr<Registration>> registrations_;
  std::unique_ptr<ClientManager> manager_;
  std::shared_ptr<Client<BenchService>> client_;
};

struct Turn {
  std::uint64_t calls = 0;
  LatencyHistogram latency;
};

using Run = std::function<Turn(Caller&, std::chrono::nanoseconds)>;

// `threads` threads that call one after the other.
Turn RunBlocking(Caller& caller, int threads,
                 std::chrono::nanoseconds duration) {
  const auto end = std::chrono::steady_clock::now() + duration;
  std::vector<Turn> turns(static_cast<std::size_t>(threads));
  const auto work = [&](Turn& turn) {
    const EchoRequest request = Request();
    auto begun = std::chrono::steady_clock::now();
    while (begun < end) {
      if (!caller.Call(request)) Fail("a call failed");
      const auto now = std::chrono::steady_clock::now();
      turn.latency.Record(now - begun);
      ++turn.calls;
      begun = now;
    }
  };
  std::vector<std::thread> others;
  for (std::size_t i = 1; i < turns.size(); ++i) {
    others.emplace_back(work, std::ref(turns[i]));
  }
  work(turns[0]);
  Turn sum;
  for (std::thread& other : others) other.join();
  for (const Turn& turn : turns) {
    sum.calls += turn.calls;
    sum.latency.Add(turn.latency);
  }
  return sum;
}

// `window` calls under way; each one's end begins the next.
Turn RunAsync(Caller& caller, int window, std::chrono::nanoseconds duration) {
  struct Loop {
    Caller& caller;
    const EchoRequest request = Request();
    const std::chrono::steady_clock::time_point end;
    Mutex mutex;
    CondVar ended;
    int running;
    Turn turn;

    void Next() {
      const auto begun = std::chrono::steady_clock::now();
      caller.CallAsync(request, [this, begun](bool ok) {
        if (!ok) Fail("a call failed");
        const auto now = std::chrono::steady_clock::now();
        bool again = false;
        {
          const MutexLock lock(mutex);
          turn.latency.Record(now - begun);
          ++turn.calls;
          again = now < end;
          if (!again && --running == 0) ended.NotifyAll();
        }
        if (again) Next();
      });
    }
  };
  Loop loop{.caller = caller,
            .end = std::chrono::steady_clock::now() + duration,
            .running = window};
  for (int i = 0; i < window; ++i) loop.Next();
  const MutexLock lock(loop.mutex);
  while (loop.running > 0) loop.ended.Wait(loop.mutex);
  return loop.turn;
}

struct Figures {
  std::vector<double> cpu;
  std::vector<double> p99;
  std::vector<double> per_second;
};

void Measure(const Options& options, const std::string& title, const Run& run,
             std::vector<std::pair<std::string, Caller*>> who, bool judged,
             Report& report, std::ostream& out) {
  std::vector<Figures> figures(who.size());
  for (auto& [name, caller] : who) run(*caller, options.round);  // warm
  for (int round = 0; round < options.rounds; ++round) {
    for (std::size_t i = 0; i < who.size(); ++i) {
      const std::size_t turn =
          (i + static_cast<std::size_t>(round)) % who.size();
      const double cpu = CpuMicroseconds();
      const auto begun = std::chrono::steady_clock::now();
      const Turn result = run(*who[turn].second, options.round);
      const double seconds = std::chrono::duration<double>(
                                 std::chrono::steady_clock::now() - begun)
                                 .count();
      const auto calls = static_cast<double>(result.calls);
      figures[turn].cpu.push_back((CpuMicroseconds() - cpu) / calls);
      figures[turn].p99.push_back(std::chrono::duration<double, std::micro>(
                                      result.latency.Quantile(0.99))
                                      .count());
      figures[turn].per_second.push_back(calls / seconds);
    }
  }
  std::vector<Row> rows = {
      {title, "calls/s", "CPU µs/call", "(quartiles)", "p99 µs"}};
  for (std::size_t i = 0; i < who.size(); ++i) {
    const Summary cpu = Summarise(figures[i].cpu);
    rows.push_back({"  " + who[i].first,
                    Grouped(Summarise(figures[i].per_second).median),
                    Number(cpu.median, 2), Spread(cpu),
                    Grouped(Summarise(figures[i].p99).median)});
  }
  out << '\n';
  PrintTable(out, rows);
  for (std::size_t i = 1; i < who.size(); ++i) {
    std::vector<double> more;
    std::vector<double> ratio;
    for (std::size_t round = 0; round < figures[i].cpu.size(); ++round) {
      more.push_back(figures[i].cpu[round] - figures[0].cpu[round]);
      ratio.push_back(figures[i].p99[round] / figures[0].p99[round]);
    }
    if (!judged) {
      report.Note(title + ": " + who[i].first + " costs more than a stub",
                  Summarise(more).median, "µs");
      continue;
    }
    report.Judge(title + ": " + who[i].first + " costs more than a stub",
                 Summarise(more), "µs", Bound::kAtMost, 1.5);
    report.Judge(title + ": p99 of " + who[i].first + " over a stub's",
                 Summarise(ratio), "", Bound::kAtMost, 1.1);
  }
}

// Tells one watcher what it is told itself.
class GivenRegistry : public Registry {
 public:
  absl::StatusOr<std::unique_ptr<Registration>> Register(
      std::string /*service*/, Instance /*instance*/,
      RegistrationOptions /*options*/) override {
    return absl::UnimplementedError("given");
  }
  absl::StatusOr<std::unique_ptr<InstanceWatch>> Watch(
      std::string /*service*/, OnChange on_change) override {
    on_change_ = std::move(on_change);
    return std::make_unique<InstanceWatch>();
  }
  void Tell(const InstanceSet& set) { on_change_(set); }

 private:
  OnChange on_change_;
};

// Ten thousand instances, a tenth of which are others each time.
void MeasureUpdates(const Options& options, Report& report) {
  constexpr int kInstances = 10'000;
  const auto registry = std::make_shared<GivenRegistry>();
  const auto manager = *ClientManager::Create({.registry = registry});
  const auto client = *manager->Get<BenchService>("bench");
  std::vector<double> took;
  for (int round = 0; round <= options.rounds; ++round) {
    InstanceSet set;
    for (int i = 0; i < kInstances; ++i) {
      const int number = i + (i % 10 == 0 ? round * kInstances : 0);
      set.instances.push_back(
          {.address = "127.0.0.1:1", .zone = std::to_string(number % 3)});
      // Nobody is there; what counts is how many there are.
      set.instances.back().address = "127." +
                                     std::to_string(number / 65536 % 256) +
                                     "." + std::to_string(number / 256 % 256) +
                                     "." + std::to_string(number % 256) + ":1";
    }
    std::sort(set.instances.begin(), set.instances.end(),
              [](const Instance& a, const Instance& b) {
                return a.address < b.address;
              });
    const auto begun = std::chrono::steady_clock::now();
    registry->Tell(set);
    took.push_back(std::chrono::duration<double, std::milli>(
                       std::chrono::steady_clock::now() - begun)
                       .count());
  }
  report.Judge("a watch update of 10,000 instances takes", Summarise(took),
               "ms", Bound::kAtMost, 50);
}

// How often threads of this process went to sleep, and so were woken: of all,
// and of those that gRPC did not make.
struct WakeUps {
  double all = 0;
  double ours = 0;
};

bool MadeByGrpc(const std::string& thread) {
  for (const std::string_view name :
       {"grpc", "timer_manager", "event_engine", "resolver-execut",
        "default-executo", "nexting_thread"}) {
    if (thread.starts_with(name)) return true;
  }
  return false;
}

WakeUps CountWakeUps() {
  WakeUps sum;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/self/task")) {
    std::string thread;
    std::getline(std::ifstream(task.path() / "comm") >> std::ws, thread);
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);) {
      constexpr std::string_view kKey = "voluntary_ctxt_switches:";
      if (!line.starts_with(kKey)) continue;
      const double count = std::strtod(line.c_str() + kKey.size(), nullptr);
      sum.all += count;
      if (!MadeByGrpc(thread)) sum.ours += count;
    }
  }
  return sum;
}

WakeUps WakeUpsPerSecond() {
  constexpr auto kTime = std::chrono::seconds(20);
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const WakeUps before = CountWakeUps();
  std::this_thread::sleep_for(kTime);
  const WakeUps after = CountWakeUps();
  // One of them is this thread's own.
  return {(after.all - before.all - 1) / static_cast<double>(kTime.count()),
          (after.ours - before.ours - 1) / static_cast<double>(kTime.count())};
}

// A client that is connected and not used, beside a stub that is not either.
// gRPC's timers wake its threads a few times a second, now more and now less.
void MeasureIdle(Report& report) {
  char folder[] = "/tmp/grpccommon_client_benchmark_XXXXXX";
  if (mkdtemp(folder) == nullptr) Fail("cannot make a folder");
  {
    ServerProcess server(kBare, folder);
    StubCaller stub(server.address());
    if (!stub.Call(Request())) Fail("a call failed");
    report.Note("wake-ups a second of an idle stub", WakeUpsPerSecond().all,
                "");
    ClientCaller client({server.address()});
    if (!client.Call(Request())) Fail("a call failed");
    const WakeUps idle = WakeUpsPerSecond();
    report.Note("the same with an idle client", idle.all, "");
    report.Judge("of these by the client's own threads",
                 {idle.ours, idle.ours, idle.ours}, "", Bound::kAtMost, 0);
  }
  std::filesystem::remove_all(folder);
}

void RunAll(const Options& options, Report& report, std::ostream& out) {
  // First, for the callback API's threads stay.
  MeasureIdle(report);
  MeasureUpdates(options, report);
  char folder[] = "/tmp/grpccommon_client_benchmark_XXXXXX";
  if (mkdtemp(folder) == nullptr) Fail("cannot make a folder");
  {
    ServerProcess server(kBare, folder);
    StubCaller stub(server.address());
    ClientCaller client({server.address()});
    const std::vector<std::pair<std::string, Caller*>> who = {
        {"stub", &stub}, {"client", &client}};
    for (const int threads : {1, 4}) {
      Measure(
          options, "blocking calls of " + std::to_string(threads) + " threads",
          [threads](Caller& caller, std::chrono::nanoseconds duration) {
            return RunBlocking(caller, threads, duration);
          },
          who, true, report, out);
    }
    Measure(
        options, "64 callback calls at a time",
        [](Caller& caller, std::chrono::nanoseconds duration) {
          return RunAsync(caller, 64, duration);
        },
        who, true, report, out);
  }
  std::filesystem::remove_all(folder);
}

bool Parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    std::string_view argument = argv[i];
    const auto value = [&](std::string_view name) -> const char* {
      if (!argument.starts_with(name)) return nullptr;
      if (argument.size() > name.size() && argument[name.size()] == '=') {
        return argv[i] + name.size() + 1;
      }
      return argument.size() == name.size() && i + 1 < argc ? argv[++i]
                                                            : nullptr;
    };
    if (const char* role = value("--role")) {
      options.role = role;
    } else if (const char* contestant = value("--contestant")) {
      options.contestant = contestant;
    } else if (const char* folder = value("--folder")) {
      options.folder = folder;
    } else if (const char* rounds = value("--rounds")) {
      options.rounds = test::ParseNumber(rounds).value_or(0);
    } else if (const char* length = value("--round-ms")) {
      options.round =
          std::chrono::milliseconds(test::ParseNumber(length).value_or(0));
    } else if (const char* json = value("--json")) {
      options.json = json;
    } else {
      return false;
    }
  }
  return options.rounds > 0 && options.round.count() > 0;
}

int Main(int argc, char** argv) {
  Options options;
  if (!Parse(argc, argv, options)) {
    std::cerr << kUsage;
    return 2;
  }
  if (options.role == "server") {
    return RunBenchServer(options.contestant, options.folder);
  }
  std::ostream& out = options.json == "-" ? std::cerr : std::cout;
  Report report(out);
  RunAll(options, report, out);
  if (options.json == "-") {
    std::cout << report.ToJson().dump(2) << '\n';
  } else if (!options.json.empty()) {
    std::ofstream file(options.json);
    file << report.ToJson().dump(2) << '\n';
    if (!file.flush()) Fail("cannot write " + options.json);
  }
  return 0;
}

}  // namespace
}  // namespace grpccommon::bench

int main(int argc, char** argv) { return grpccommon::bench::Main(argc, argv); }
