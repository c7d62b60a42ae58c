// SPDX-License-Identifier: Apache-2.0
// Programs in each language that is installed, in the real sandbox: every
// verdict, and what they took.
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "grpccommon/metrics/metrics_registry.h"
#include "gtest/gtest.h"
#include "services/execution/executions.h"

namespace platform::execution {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using namespace std::chrono_literals;

// Adds up the numbers of the input; and what else programs do.
struct Programs {
  std::string language;
  std::string right;
  std::string wrong;
  std::string spin;
  std::string hog;
  std::string flood;
  std::string crash;
  std::string broken;
};

std::vector<Programs> AllPrograms() {
  return {
      {.language = "c",
       .right = "#include <stdio.h>\nint main(){long a,b;scanf(\"%ld %ld\",&a,"
                "&b);printf(\"%ld\\n\",a+b);}",
       .wrong = "#include <stdio.h>\nint main(){puts(\"42\");}",
       .spin = "int main(){volatile int x=0;for(;;)x++;}",
       .hog = "#include <stdlib.h>\n#include <string.h>\nint main(){for(;;){"
              "char*p=malloc(1<<20);if(p)memset(p,1,1<<20);}}",
       .flood = "#include <stdio.h>\nint main(){for(;;)puts(\"flood\");}",
       .crash = "int main(){*(volatile int*)0=1;}",
       .broken = "int main({"},
      {.language = "cpp",
       .right = "#include <iostream>\nint main(){long a,b;std::cin>>a>>b;"
                "std::cout<<a+b<<'\\n';}",
       .wrong = "#include <iostream>\nint main(){std::cout<<42;}",
       .spin = "int main(){volatile int x=0;for(;;)x=x+1;}",
       .hog = "#include <vector>\nint main(){std::vector<std::vector<char>> v;"
              "for(;;)v.emplace_back(1<<20,'x');}",
       .flood =
           "#include <iostream>\nint main(){for(;;)std::cout<<\"flood\\n\";}",
       .crash = "#include <stdexcept>\nint main(){throw std::runtime_error("
                "\"x\");}",
       .broken = "int main(){ return x; }"},
      {.language = "python",
       .right = "a, b = map(int, input().split())\nprint(a + b)\n",
       .wrong = "print(42)\n",
       .spin = "while True:\n    pass\n",
       .hog = "x = []\nwhile True:\n    x.append(bytearray(1 << 20))\n",
       .flood = "while True:\n    print('flood' * 100)\n",
       .crash = "raise ValueError('x')\n",
       .broken = "def f(:\n"},
      {.language = "javascript",
       .right =
           "const [a, b] = require('fs').readFileSync(0, 'utf8').split(' ')"
           ".map(Number);\nconsole.log(a + b);\n",
       .wrong = "console.log(42);\n",
       .spin = "for (;;) {}\n",
       .hog = "const x = []; for (;;) x.push(Buffer.alloc(1 << 20, 1));\n",
       // Not console.log, which keeps in memory what the pipe does not take.
       .flood = "for (;;) require('fs').writeSync(1, 'flood\\n');\n",
       .crash = "throw new Error('x');\n",
       .broken = "function {\n"},
      {.language = "java",
       .right = "import java.util.*;\npublic class Main { public static void "
                "main(String[] x) { Scanner s = new Scanner(System.in); "
                "System.out.println(s.nextLong() + s.nextLong()); } }",
       .wrong = "class Main { public static void main(String[] x) { "
                "System.out.println(42); } }",
       .spin = "class Main { public static void main(String[] x) { for (;;) {} "
               "} }",
       .hog = "import java.util.*;\nclass Main { public static void "
              "main(String[] x) { List<byte[]> l = new ArrayList<>(); for (;;) "
              "l.add(new byte[1 << 20]); } }",
       .flood = "class Main { public static void main(String[] x) { for (;;) "
                "System.out.println(\"flood\"); } }",
       .crash = "class Main { public static void main(String[] x) { throw new "
                "RuntimeException(); } }",
       .broken = "class Main { int x = ; }"}};
}

class Waiter final : public ExecutionListener {
 public:
  void OnUpdate(const v1::ExecutionUpdate& update) override {
    if (update.has_execution()) execution_ = update.execution();
  }
  void OnAccepted(const v1::Execution& /*execution*/) override {}
  void OnEnd(const absl::Status& status) override {
    if (status.ok()) {
      ended_.set_value(execution_);
    } else {
      ended_.set_value(status);
    }
  }
  absl::StatusOr<v1::Execution> Wait() { return ended_.get_future().get(); }

 private:
  v1::Execution execution_;
  std::promise<absl::StatusOr<v1::Execution>> ended_;
};

class NoProblems final : public ProblemSource {
 public:
  void GetProblem(
      const std::string& /*id*/,
      std::function<void(absl::StatusOr<problem::v1::Problem>)> done) override {
    done(absl::NotFoundError(""));
  }
  void ListTestCases(
      const std::string& /*id*/,
      std::function<void(absl::StatusOr<std::vector<problem::v1::TestCase>>)>
          done) override {
    done(absl::NotFoundError(""));
  }
};

// One sandbox for all tests: it takes a while to try its protections.
class JudgingTest : public ::testing::Test {
 protected:
  struct Service {
    std::string folder;
    std::unique_ptr<Sandbox> sandbox;
    std::unique_ptr<Languages> languages;
    grpccommon::MetricsRegistry registry;
    std::unique_ptr<ExecutionMetrics> metrics;
    std::unique_ptr<RunQueue> queue;
    std::unique_ptr<ProgramCache> programs;
    NoProblems problems;
    std::unique_ptr<ProblemTests> tests;
    std::unique_ptr<Executions> executions;
  };

  static void SetUpTestSuite() {
    service_ = new Service;
    Service& s = *service_;
    const grpccommon::Logger logger(*grpccommon::CreateLogSink({}), "test");
    s.folder = (std::filesystem::temp_directory_path() /
                ("judging_test." + std::to_string(getpid())))
                   .string();
    auto sandbox = Sandbox::Create({.state_folder = s.folder, .max_runs = 4});
    ASSERT_TRUE(sandbox.ok()) << sandbox.status();
    s.sandbox = *std::move(sandbox);
    s.languages =
        std::make_unique<Languages>(Languages::Detect(*s.sandbox, logger));
    s.metrics = *ExecutionMetrics::Create(s.registry);
    s.queue = *RunQueue::Create({.parallel = 2});
    s.programs = std::make_unique<ProgramCache>(
        *s.sandbox, ProgramCacheOptions(), *s.metrics, logger);
    s.tests = *ProblemTests::Create(s.problems, {}, *s.metrics);
    s.executions =
        *Executions::Create({*s.languages,
                             *s.queue,
                             *s.tests,
                             {*s.sandbox, *s.programs, *s.metrics, logger}},
                            {}, s.registry);
  }
  static void TearDownTestSuite() {
    const std::string folder = service_->folder;
    delete service_;
    EXPECT_TRUE(!std::filesystem::exists(folder) ||
                std::filesystem::remove_all(folder) > 0);
  }

  static v1::ExecuteRequest Request(const std::string& language,
                                    const std::string& source) {
    v1::ExecuteRequest request;
    request.set_language(language);
    request.set_source(source);
    auto& set = *request.mutable_test_set();
    // Enough by the wall clock, too, on a machine with more to do.
    set.mutable_limits()->mutable_cpu_time()->set_seconds(5);
    set.mutable_limits()->set_memory_bytes(64 << 20);
    set.mutable_limits()->set_output_bytes(64 << 10);
    for (const auto& [input, output] :
         {std::pair{"1 2", "3\n"}, std::pair{"20 22", "42"}}) {
      auto& test = *set.add_test_cases();
      test.set_input(input);
      test.set_expected_output(output);
    }
    return request;
  }
  static v1::Execution Run(const v1::ExecuteRequest& request) {
    const auto waiter = std::make_shared<Waiter>();
    (void)service_->executions->Submit({.id = "ada"}, request, waiter);
    const auto execution = waiter->Wait();
    EXPECT_TRUE(execution.ok()) << execution.status();
    return execution.value_or(v1::Execution());
  }
  static v1::Execution Run(const std::string& language,
                           const std::string& source) {
    return Run(Request(language, source));
  }
  static std::vector<Programs> Installed() {
    std::vector<Programs> installed;
    for (Programs& programs : AllPrograms()) {
      if (service_->languages->Find(programs.language) != nullptr) {
        installed.push_back(std::move(programs));
      }
    }
    return installed;
  }
  static std::chrono::nanoseconds Time(
      const google::protobuf::Duration& duration) {
    return std::chrono::seconds(duration.seconds()) +
           std::chrono::nanoseconds(duration.nanos());
  }

  static Service* service_;
};

JudgingTest::Service* JudgingTest::service_ = nullptr;

TEST_F(JudgingTest, FindsTheLanguagesThatAreInstalled) {
  std::map<std::string, std::string> versions;
  for (const Language& language : service_->languages->all()) {
    versions[language.id] = language.version;
  }
  for (const char* language : {"c", "cpp", "python", "javascript"}) {
    EXPECT_EQ(versions.count(language), 1u) << language;
  }
  EXPECT_THAT(versions["cpp"], HasSubstr("g++"));
  EXPECT_THAT(versions["python"], HasSubstr("Python 3"));
  EXPECT_THAT(versions["javascript"], HasSubstr("v"));
}

TEST_F(JudgingTest, AcceptsWhatIsRight) {
  for (const Programs& programs : Installed()) {
    SCOPED_TRACE(programs.language);
    const v1::Execution execution = Run(programs.language, programs.right);
    EXPECT_EQ(execution.verdict(), v1::VERDICT_ACCEPTED)
        << execution.DebugString();
    EXPECT_EQ(execution.passed_count(), 2);
    // Of the program alone: no compiler, no sandbox.
    EXPECT_GT(Time(execution.usage().cpu_time()), 0ns);
    EXPECT_LT(Time(execution.usage().cpu_time()), 3s);
    EXPECT_GT(execution.usage().memory_bytes(), 0);
    EXPECT_LT(execution.usage().memory_bytes(), 192 << 20);
    EXPECT_EQ(execution.tests(0).output(), "3\n");
  }
}

TEST_F(JudgingTest, SaysWhatIsWrong) {
  for (const Programs& programs : Installed()) {
    SCOPED_TRACE(programs.language);
    const v1::Execution execution = Run(programs.language, programs.wrong);
    EXPECT_EQ(execution.verdict(), v1::VERDICT_WRONG_ANSWER)
        << execution.DebugString();
    EXPECT_THAT(execution.tests(), SizeIs(1));
  }
}

TEST_F(JudgingTest, EndsWhatSpins) {
  for (const Programs& programs : Installed()) {
    SCOPED_TRACE(programs.language);
    v1::ExecuteRequest request = Request(programs.language, programs.spin);
    request.mutable_test_set()
        ->mutable_limits()
        ->mutable_cpu_time()
        ->set_seconds(1);
    const v1::Execution execution = Run(request);
    EXPECT_EQ(execution.verdict(), v1::VERDICT_TIME_LIMIT)
        << execution.DebugString();
    // A busy machine may not have given it its second in the five it has.
    EXPECT_TRUE(Time(execution.usage().cpu_time()) >= 900ms ||
                Time(execution.usage().wall_time()) >= 5s);
    EXPECT_LT(Time(execution.usage().cpu_time()), 1500ms);
  }
}

TEST_F(JudgingTest, EndsWhatSleeps) {
  v1::ExecuteRequest request =
      Request("c", "#include <unistd.h>\nint main(){sleep(1000);}");
  auto& cpu_time =
      *request.mutable_test_set()->mutable_limits()->mutable_cpu_time();
  cpu_time.set_seconds(0);
  cpu_time.set_nanos(10'000'000);
  const v1::Execution execution = Run(request);
  EXPECT_EQ(execution.verdict(), v1::VERDICT_TIME_LIMIT);
  EXPECT_LT(Time(execution.usage().cpu_time()), 100ms);
  EXPECT_GE(Time(execution.usage().wall_time()), 2s);
}

TEST_F(JudgingTest, EndsWhatTakesAllMemory) {
  for (const Programs& programs : Installed()) {
    SCOPED_TRACE(programs.language);
    const v1::Execution execution = Run(programs.language, programs.hog);
    EXPECT_EQ(execution.verdict(), v1::VERDICT_MEMORY_LIMIT)
        << execution.DebugString();
  }
}

TEST_F(JudgingTest, EndsWhatFloods) {
  for (const Programs& programs : Installed()) {
    SCOPED_TRACE(programs.language);
    const v1::Execution execution = Run(programs.language, programs.flood);
    EXPECT_EQ(execution.verdict(), v1::VERDICT_OUTPUT_LIMIT)
        << execution.tests(0).usage().DebugString();
    EXPECT_LE(execution.tests(0).output().size(), kShownBytesPerTest);
  }
}

TEST_F(JudgingTest, SaysThatAProgramCrashed) {
  for (const Programs& programs : Installed()) {
    SCOPED_TRACE(programs.language);
    const v1::Execution execution = Run(programs.language, programs.crash);
    EXPECT_EQ(execution.verdict(), v1::VERDICT_RUNTIME_ERROR)
        << execution.DebugString();
    const v1::TestResult& test = execution.tests(0);
    EXPECT_TRUE(test.signal() != 0 || test.exit_code() != 0);
  }
}

TEST_F(JudgingTest, SaysWhatTheCompilerSaid) {
  for (const Programs& programs : Installed()) {
    SCOPED_TRACE(programs.language);
    const v1::Execution execution = Run(programs.language, programs.broken);
    EXPECT_EQ(execution.verdict(), v1::VERDICT_COMPILE_ERROR)
        << execution.DebugString();
    EXPECT_THAT(execution.compiler_output(), HasSubstr("rror"));
    EXPECT_THAT(execution.tests(), SizeIs(0));
  }
}

TEST_F(JudgingTest, ACompilerBombIsACompileError) {
  // A file of many gigabytes.
  const v1::Execution execution =
      Run("c", "char x[(1ull << 34)] = {1};\nint main(){}");
  EXPECT_EQ(execution.verdict(), v1::VERDICT_COMPILE_ERROR)
      << execution.DebugString();
}

TEST_F(JudgingTest, RunsCannotLeaveAnythingForOthers) {
  // What one run learns, another of the same program must not find: it could
  // carry hidden tests away.
  const char* const source =
      "import os, sys\n"
      "seen = []\n"
      "for folder in ['/program', '/work', '/tmp', '/dev/shm', '/var/tmp']:\n"
      "    path = folder + '/left'\n"
      "    if os.path.exists(path): seen.append(path)\n"
      "    try: open(path, 'w').write(sys.stdin.read())\n"
      "    except OSError: pass\n"
      "print(seen)\n";
  v1::ExecuteRequest request = Request("python", source);
  for (auto& test : *request.mutable_test_set()->mutable_test_cases()) {
    test.set_expected_output("[]");
  }
  const v1::Execution execution = Run(request);
  EXPECT_EQ(execution.verdict(), v1::VERDICT_ACCEPTED)
      << execution.DebugString();
}

TEST_F(JudgingTest, FiftyRunsOfOneProgramCompileItOnce) {
  const std::uint64_t built = service_->metrics->programs.miss->Value();
  std::vector<std::shared_ptr<Waiter>> waiters;
  const v1::ExecuteRequest request = Request(
      "cpp",
      "#include <iostream>\nint main(){long a,b;std::cin>>a>>b;std::cout<<b+a;"
      "}");
  for (int i = 0; i < 50; ++i) {
    waiters.push_back(std::make_shared<Waiter>());
    (void)service_->executions->Submit({.id = "ada"}, request, waiters.back());
  }
  for (const auto& waiter : waiters) {
    const auto execution = waiter->Wait();
    ASSERT_TRUE(execution.ok());
    EXPECT_EQ(execution->verdict(), v1::VERDICT_ACCEPTED);
  }
  EXPECT_EQ(service_->metrics->programs.miss->Value(), built + 1);
}

// Processes whose command line has `text`.
int ProcessesWith(const std::string& text) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    // Reading what has just gone fails, without an exception here.
    std::ostringstream line;
    line << std::ifstream(entry.path() / "cmdline").rdbuf();
    if (line.str().find(text) != std::string::npos) ++count;
  }
  return count;
}

TEST_F(JudgingTest, CancellingEndsTheWholeTree) {
  // Its descendants bear a name that nobody else does.
  const std::string name = "tree" + std::to_string(getpid());
  const std::string source =
      "import os, time\n"
      "for _ in range(4):\n"
      "    if os.fork() == 0:\n"
      "        if os.fork() == 0: os.setsid()\n"
      "        os.execv('/usr/bin/python3', ['" +
      name +
      "', '-c', 'import time; time.sleep(1000)'])\n"
      "time.sleep(1000)\n";
  v1::ExecuteRequest request = Request("python", source);
  request.set_execution_id("0191b2c3-0000-7000-8000-000000000077");
  request.mutable_test_set()->mutable_limits()->mutable_cpu_time()->set_seconds(
      20);
  const auto waiter = std::make_shared<Waiter>();
  (void)service_->executions->Submit({.id = "ada"}, request, waiter);
  while (ProcessesWith(name) < 8) std::this_thread::yield();
  std::promise<v1::ExecutionState> cancelled;
  service_->executions->Cancel(
      {.id = "ada"}, request.execution_id(),
      [&](const auto& execution) { cancelled.set_value(execution->state()); });
  EXPECT_EQ(cancelled.get_future().get(), v1::EXECUTION_STATE_CANCELLED);
  EXPECT_EQ(ProcessesWith(name), 0);
}

}  // namespace
}  // namespace platform::execution
