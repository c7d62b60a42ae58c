// SPDX-License-Identifier: Apache-2.0
// The execution service as it is deployed: the built program, and what is left
// of the programs that it ran when it stops or is killed.
#include "services/execution/execution_process.h"

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"

namespace platform::execution {
namespace {

using common::CallWith;
using grpccommon::testing::IsOk;
using grpccommon::testing::StatusIs;
using ::testing::HasSubstr;

constexpr char kId[] = "0191b2c3-0000-7000-8000-000000000001";

v1::ExecuteRequest Request(const std::string& language,
                           const std::string& source) {
  v1::ExecuteRequest request;
  request.set_language(language);
  request.set_source(source);
  auto& test = *request.mutable_test_set()->add_test_cases();
  test.set_input("20 22");
  test.set_expected_output("42");
  test.set_sample(true);
  request.mutable_test_set()->mutable_limits()->mutable_cpu_time()->set_seconds(
      10);
  return request;
}

constexpr char kSum[] = "a, b = map(int, input().split())\nprint(a + b)\n";

// Children in sessions of their own, all named `name`.
std::string Tree(const std::string& name) {
  return "import os, time\n"
         "for _ in range(3):\n"
         "    if os.fork() == 0:\n"
         "        if os.fork() == 0: os.setsid()\n"
         "        os.execv('/usr/bin/python3', ['" +
         name +
         "', '-c', 'import time; time.sleep(1000)'])\n"
         "time.sleep(1000)\n";
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

std::set<std::string> FilesBelow(const std::string& folder) {
  std::set<std::string> files;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator file(folder, error), end;
       !error && file != end; file.increment(error)) {
    files.insert(file->path().string());
  }
  return files;
}

class ExecutionProcessTest : public ::testing::Test {
 protected:
  v1::Execution Execute(const v1::ExecuteRequest& request,
                        const std::string& token) {
    v1::ExecuteResponse response;
    EXPECT_THAT(
        service_.stub().Execute(CallWith(token).get(), request, &response),
        IsOk());
    return response.execution();
  }

  testing::ExecutionProcess service_;
};

TEST_F(ExecutionProcessTest, RunsProgramsAndSaysWhatProtectsIt) {
  service_.Start();
  const std::string token = service_.Token("--subject ada");
  EXPECT_EQ(Execute(Request("python", kSum), token).verdict(),
            v1::VERDICT_ACCEPTED);
  EXPECT_EQ(Execute(Request("c", "int main(){return 1;}"), token).verdict(),
            v1::VERDICT_RUNTIME_ERROR);
  v1::ListLanguagesResponse languages;
  EXPECT_THAT(service_.stub().ListLanguages(CallWith("").get(), {}, &languages),
              IsOk());
  EXPECT_GE(languages.languages_size(), 4);
  for (const char* name : {"file_system", "pid_namespace", "no_network",
                           "process_limit", "memory_limit", "seccomp"}) {
    EXPECT_THAT(service_.Log(), HasSubstr(std::string("\"name\":\"") + name +
                                          "\",\"in_force\":true"));
  }
  EXPECT_THAT(service_.Log(), HasSubstr("\"id\":\"cpp\""));
}

TEST_F(ExecutionProcessTest, RunsABatchOfFifty) {
  service_.Start();
  v1::ExecuteBatchRequest request;
  for (int i = 0; i < 50; ++i) {
    *request.add_executions() =
        i % 10 == 0 ? Request("c", "int main(void) { return 1; }")
                    : Request("python", kSum);
  }
  const auto context = CallWith(service_.Token("--subject ada"));
  const auto reader =
      service_.stub().ExecuteBatchStream(context.get(), request);
  int accepted = 0;
  int failed = 0;
  v1::BatchExecutionUpdate update;
  while (reader->Read(&update)) {
    const v1::Verdict verdict = update.update().execution().verdict();
    accepted += verdict == v1::VERDICT_ACCEPTED ? 1 : 0;
    failed += verdict == v1::VERDICT_RUNTIME_ERROR ? 1 : 0;
  }
  EXPECT_THAT(reader->Finish(), IsOk());
  EXPECT_EQ(accepted, 45);
  EXPECT_EQ(failed, 5);
  EXPECT_EQ(update.completed(), 50);
}

TEST_F(ExecutionProcessTest, LooksWhetherProgramsCanBeRun) {
  service_.Start();
  std::string readiness;
  do {  // the first look comes within a second
    readiness = service_.Get("/healthz/ready");
  } while (readiness.find("pending") != std::string::npos);
  EXPECT_THAT(readiness, HasSubstr(R"("name":"sandbox","status":"up")"));
}

TEST_F(ExecutionProcessTest, LetsInWhomTheContractLetsIn) {
  service_.Start();
  v1::ExecuteResponse response;
  const auto execute = [&](const std::string& token,
                           const v1::ExecuteRequest& request) {
    return service_.stub().Execute(CallWith(token).get(), request, &response);
  };
  v1::ExecuteRequest request = Request("python", kSum);
  EXPECT_THAT(execute("", request),
              StatusIs(absl::StatusCode::kUnauthenticated));
  request.mutable_problem()->set_problem_id(kId);
  EXPECT_THAT(execute(service_.Token("--subject ada"), request),
              StatusIs(absl::StatusCode::kPermissionDenied));
  // There is no problem service.
  EXPECT_THAT(
      execute(service_.Token("--subject contest --role service"), request),
      StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(ExecutionProcessTest, LeavesNothingBehindWhenItIsKilled) {
  service_.Start();
  const std::string name = "orphan" + std::to_string(getpid());
  const std::string token = service_.Token("--subject ada");
  v1::ExecuteRequest request = Request("python", Tree(name));
  request.set_detached(true);
  v1::ExecuteResponse response;
  for (int i = 0; i < 2; ++i) {
    ASSERT_THAT(
        service_.stub().Execute(CallWith(token).get(), request, &response),
        IsOk());
  }
  while (ProcessesWith(name) < 6) std::this_thread::yield();
  EXPECT_EQ(service_.Kill(SIGKILL), -SIGKILL);
  while (ProcessesWith(name) > 0) std::this_thread::yield();

  service_.Start();
  const std::set<std::string> fresh = FilesBelow(service_.StateFolder());
  EXPECT_EQ(Execute(Request("python", kSum), token).verdict(),
            v1::VERDICT_ACCEPTED);
  EXPECT_EQ(service_.Kill(SIGTERM), 0) << service_.Log();
  // What a start leaves in its folder is not more than a first one does.
  testing::ExecutionProcess other;
  other.Start();
  EXPECT_EQ(fresh.size(), FilesBelow(other.StateFolder()).size());
}

TEST_F(ExecutionProcessTest, LetsRunningOnesFinishWhenItStops) {
  service_.Set("APP_PARALLEL", "1");
  service_.Start();
  const std::string token = service_.Token("--subject ada");
  const auto running_context = CallWith(token);
  const auto running = service_.stub().ExecuteStream(
      running_context.get(),
      Request("python",
              "import time\nt = time.monotonic() + 0.5\n"
              "while time.monotonic() < t: pass\nprint(42)\n"));
  v1::ExecutionUpdate update;
  while (update.state() != v1::EXECUTION_STATE_RUNNING) {
    ASSERT_TRUE(running->Read(&update));
  }
  const auto waiting_context = CallWith(token);
  const auto waiting = service_.stub().ExecuteStream(waiting_context.get(),
                                                     Request("python", kSum));
  v1::ExecutionUpdate queued;
  ASSERT_TRUE(waiting->Read(&queued));
  service_.Signal(SIGTERM);
  while (waiting->Read(&queued)) {
  }
  EXPECT_THAT(waiting->Finish(), StatusIs(absl::StatusCode::kUnavailable));
  while (running->Read(&update)) {
  }
  EXPECT_THAT(running->Finish(), IsOk());
  EXPECT_EQ(update.execution().verdict(), v1::VERDICT_ACCEPTED);
  EXPECT_EQ(service_.WaitForExit(), 0) << service_.Log();
}

TEST_F(ExecutionProcessTest, AnIdleClientDoesNotHoldUpItsEnd) {
  service_.Start();
  v1::ListLanguagesResponse languages;
  ASSERT_THAT(service_.stub().ListLanguages(CallWith("").get(), {}, &languages),
              IsOk());
  const auto begin = std::chrono::steady_clock::now();
  service_.Signal(SIGTERM);
  EXPECT_EQ(service_.WaitForExit(), 0) << service_.Log();
  // Nobody polls its connection, which gRPC looks at every five seconds.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(4));
  // What it does next may be retried.
  EXPECT_THAT(service_.stub().ListLanguages(CallWith("").get(), {}, &languages),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(ExecutionProcessTest, DetachedOnesEndWithIt) {
  service_.Start();
  const std::string name = "detached" + std::to_string(getpid());
  v1::ExecuteRequest request = Request("python", Tree(name));
  request.set_detached(true);
  v1::ExecuteResponse response;
  ASSERT_THAT(
      service_.stub().Execute(CallWith(service_.Token("--subject ada")).get(),
                              request, &response),
      IsOk());
  while (ProcessesWith(name) < 6) std::this_thread::yield();
  EXPECT_EQ(service_.Kill(SIGTERM), 0) << service_.Log();
  EXPECT_EQ(ProcessesWith(name), 0);
}

TEST_F(ExecutionProcessTest, RefusesSettingsThatMakeNoSense) {
  service_.Set("APP_PARALLEL", "0");
  service_.Launch();
  EXPECT_EQ(service_.WaitForExit(), 78);
  EXPECT_THAT(service_.Log(), HasSubstr("GRPCCOMMON_APP_PARALLEL"));
}

TEST_F(ExecutionProcessTest, RefusesToStartWhereItCannotKeepProgramsIn) {
  service_.Set("APP_STATE_FOLDER", "/proc/nowhere");
  service_.Launch();
  EXPECT_NE(service_.WaitForExit(), 0);
  EXPECT_THAT(service_.Log(), HasSubstr("/proc/nowhere"));
}

}  // namespace
}  // namespace platform::execution
