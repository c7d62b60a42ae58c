// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/registry/registry.h"
#include "grpccommon/server/server.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "grpccommon/stream/writer.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "gtest/gtest.h"
#include "platform/execution/v1/execution_service.grpc.pb.h"
#include "platform/problem/v1/problem_service.grpc.pb.h"
#include "support/believer.h"

namespace platform::contest {

/// Problems that a test makes, and what was reported of them.
class FakeProblemService final
    : public problem::v1::ProblemService::CallbackService {
 public:
  void Put(const problem::v1::Problem& problem) {
    const grpccommon::MutexLock lock(mutex_);
    problems_[problem.id()] = problem;
  }
  /// So many of the next calls fail.
  void FailNext(int calls) {
    const grpccommon::MutexLock lock(mutex_);
    failures_ = calls;
  }
  int gets() const {
    const grpccommon::MutexLock lock(mutex_);
    return gets_;
  }
  /// How often each submission was reported, and whether as accepted.
  std::map<std::string, std::pair<int, bool>> reports() const {
    const grpccommon::MutexLock lock(mutex_);
    return reports_;
  }
  /// Blocks until so many submissions were reported.
  void WaitForReports(std::size_t submissions) {
    const grpccommon::MutexLock lock(mutex_);
    while (reports_.size() < submissions) reported_.Wait(mutex_);
  }

  grpc::ServerUnaryReactor* GetProblem(
      grpc::CallbackServerContext* context,
      const problem::v1::GetProblemRequest* request,
      problem::v1::GetProblemResponse* response) override {
    auto* const reactor = context->DefaultReactor();
    const grpccommon::Principal& caller =
        grpccommon::ServerCall::Of(*context)->principal();
    absl::Status status;
    {
      const grpccommon::MutexLock lock(mutex_);
      ++gets_;
      const auto found = problems_.find(request->problem_id());
      if (TakeFailure()) {
        status = absl::UnavailableError("it was told to fail");
      } else if (found == problems_.end() ||
                 (!found->second.published() && !caller.HasRole("service") &&
                  caller.subject != found->second.author_id())) {
        status = grpccommon::NotFound("problem", request->problem_id());
      } else {
        *response->mutable_problem() = found->second;
      }
    }
    reactor->Finish(grpccommon::ToGrpcStatus(status));
    return reactor;
  }

  grpc::ServerUnaryReactor* RecordVerdict(
      grpc::CallbackServerContext* context,
      const problem::v1::RecordVerdictRequest* request,
      problem::v1::RecordVerdictResponse* /*response*/) override {
    auto* const reactor = context->DefaultReactor();
    absl::Status status;
    {
      const grpccommon::MutexLock lock(mutex_);
      if (TakeFailure()) {
        status = absl::UnavailableError("it was told to fail");
      } else {
        auto& report = reports_[request->submission_id()];
        ++report.first;
        report.second = request->accepted();
      }
    }
    reported_.NotifyAll();
    reactor->Finish(grpccommon::ToGrpcStatus(status));
    return reactor;
  }

 private:
  bool TakeFailure() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (failures_ == 0) return false;
    --failures_;
    return true;
  }

  mutable grpccommon::Mutex mutex_;
  grpccommon::CondVar reported_;
  std::map<std::string, problem::v1::Problem> problems_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::pair<int, bool>> reports_ ABSL_GUARDED_BY(mutex_);
  int failures_ ABSL_GUARDED_BY(mutex_) = 0;
  int gets_ ABSL_GUARDED_BY(mutex_) = 0;
};

/// Executes a program by obeying it. Its text says what happens:
///
///   accept | wrong | slow | compile_error …   that verdict
///   internal 2 | refuse 2 | die 2              twice no verdict (INTERNAL; the
///                                              queue is full; UNAVAILABLE in
///                                              mid-stream), then accepted
///   gone | reject                              never: NOT_FOUND for its
///   problem,
///                                              INVALID_ARGUMENT
///   hang                                       runs until it is cancelled or
///                                              released
///
/// What follows a '#' makes programs different.
class FakeExecutionService final
    : public execution::v1::ExecutionService::CallbackService {
 public:
  using Writer = grpccommon::StreamWriter<execution::v1::ExecutionUpdate>;

  /// How often each program was begun.
  std::map<std::string, int> executions() const {
    const grpccommon::MutexLock lock(mutex_);
    return executions_;
  }
  /// Requests, as they came.
  std::vector<execution::v1::ExecuteRequest> requests() const {
    const grpccommon::MutexLock lock(mutex_);
    return requests_;
  }
  /// When the latest one has to be over.
  std::chrono::system_clock::time_point deadline() const {
    const grpccommon::MutexLock lock(mutex_);
    return deadline_;
  }
  /// Blocks until so many programs hang.
  void WaitForHanging(std::size_t programs) {
    const grpccommon::MutexLock lock(mutex_);
    while (hanging_.size() < programs) hangs_.Wait(mutex_);
  }
  /// Accepts all that hang, and from here on those that come.
  void Release() {
    std::vector<std::shared_ptr<Writer>> hanging;
    {
      const grpccommon::MutexLock lock(mutex_);
      hanging.swap(hanging_);
      released_ = true;
    }
    for (const auto& writer : hanging) {
      End(*writer, execution::v1::VERDICT_ACCEPTED);
    }
  }
  void FailLanguages(bool fail) {
    const grpccommon::MutexLock lock(mutex_);
    languages_fail_ = fail;
  }

  grpc::ServerWriteReactor<execution::v1::ExecutionUpdate>* ExecuteStream(
      grpc::CallbackServerContext* context,
      const execution::v1::ExecuteRequest* request) override {
    const auto writer = Writer::Create(*context);
    int attempt;
    {
      const grpccommon::MutexLock lock(mutex_);
      attempt = ++executions_[request->source()];
      requests_.push_back(*request);
      deadline_ = context->deadline();
    }
    const std::vector<std::string> words =
        absl::StrSplit(request->source().substr(0, request->source().find('#')),
                       ' ', absl::SkipEmpty());
    int failures = 0;
    if (words.size() > 1) (void)absl::SimpleAtoi(words[1], &failures);
    Obey(writer, words.empty() ? "" : words[0], attempt <= failures);
    return writer->reactor();
  }

  grpc::ServerUnaryReactor* ListLanguages(
      grpc::CallbackServerContext* context,
      const execution::v1::ListLanguagesRequest* /*request*/,
      execution::v1::ListLanguagesResponse* response) override {
    auto* const reactor = context->DefaultReactor();
    const grpccommon::MutexLock lock(mutex_);
    for (const char* const id : {"c", "cpp", "python"}) {
      response->add_languages()->set_id(id);
    }
    reactor->Finish(languages_fail_
                        ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "")
                        : grpc::Status::OK);
    return reactor;
  }

 private:
  static void Step(Writer& writer, execution::v1::ExecutionState state,
                   int test = 0) {
    execution::v1::ExecutionUpdate update;
    update.set_state(state);
    if (test > 0) {
      update.set_test(test);
      update.set_test_count(2);
    }
    (void)writer.Write(std::move(update));
  }
  static void End(Writer& writer, execution::v1::Verdict verdict) {
    execution::v1::ExecutionUpdate update;
    update.set_state(execution::v1::EXECUTION_STATE_DONE);
    execution::v1::Execution& execution = *update.mutable_execution();
    execution.set_state(execution::v1::EXECUTION_STATE_DONE);
    execution.set_verdict(verdict);
    execution.set_test_count(2);
    execution.set_passed_count(verdict == execution::v1::VERDICT_ACCEPTED ? 2
                                                                          : 1);
    execution.mutable_usage()->mutable_cpu_time()->set_nanos(5'000'000);
    execution.mutable_usage()->set_memory_bytes(1 << 20);
    execution.set_compiler_output(std::string("a\0b", 3));
    (void)writer.Write(std::move(update));
    writer.Finish(absl::OkStatus());
  }

  void Obey(const std::shared_ptr<Writer>& writer, const std::string& what,
            bool fail) {
    static const std::map<std::string, execution::v1::Verdict> verdicts = {
        {"accept", execution::v1::VERDICT_ACCEPTED},
        {"wrong", execution::v1::VERDICT_WRONG_ANSWER},
        {"slow", execution::v1::VERDICT_TIME_LIMIT},
        {"memory", execution::v1::VERDICT_MEMORY_LIMIT},
        {"crash", execution::v1::VERDICT_RUNTIME_ERROR},
        {"compile_error", execution::v1::VERDICT_COMPILE_ERROR}};
    if (what == "refuse" && fail) {
      return writer->Finish(
          grpccommon::Exhausted("QUEUE_FULL", "executions", "it is full",
                                std::chrono::milliseconds(20)));
    }
    Step(*writer, execution::v1::EXECUTION_STATE_QUEUED);
    if (what == "gone") {
      return writer->Finish(grpccommon::NotFound("problem", "it"));
    }
    if (what == "reject") {
      return writer->Finish(grpccommon::InvalidFields(
          {{"language", "is none of those that ListLanguages tells"}}));
    }
    Step(*writer, execution::v1::EXECUTION_STATE_COMPILING);
    if (what == "die" && fail) {
      return writer->Finish(absl::UnavailableError("it was told to die"));
    }
    Step(*writer, execution::v1::EXECUTION_STATE_RUNNING, 1);
    if (what == "internal" && fail) {
      return End(*writer, execution::v1::VERDICT_INTERNAL);
    }
    if (what == "hang") {
      {
        const grpccommon::MutexLock lock(mutex_);
        if (!released_) {
          hanging_.push_back(writer);
          hangs_.NotifyAll();
          return;
        }
      }
    }
    Step(*writer, execution::v1::EXECUTION_STATE_RUNNING, 2);
    const auto verdict = verdicts.find(what);
    End(*writer, verdict != verdicts.end() ? verdict->second
                                           : execution::v1::VERDICT_ACCEPTED);
  }

  mutable grpccommon::Mutex mutex_;
  grpccommon::CondVar hangs_;
  std::map<std::string, int> executions_ ABSL_GUARDED_BY(mutex_);
  std::vector<execution::v1::ExecuteRequest> requests_ ABSL_GUARDED_BY(mutex_);
  std::chrono::system_clock::time_point deadline_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Writer>> hanging_ ABSL_GUARDED_BY(mutex_);
  bool released_ ABSL_GUARDED_BY(mutex_) = false;
  bool languages_fail_ ABSL_GUARDED_BY(mutex_) = false;
};

/// Both services on a server of the library, which may go and come back.
class FakeBackends {
 public:
  explicit FakeBackends(grpccommon::Registry& registry) : registry_(registry) {
    Start();
  }
  ~FakeBackends() { Stop(); }

  void Start() {
    grpccommon::ServerOptions options{.name = "backends",
                                      .grpc_address = "127.0.0.1:0"};
    options.log_sink = log_;
    options.drain_delay = std::chrono::nanoseconds(0);
    options.rate_limit.reset();
    options.concurrency.reset();
    options.auth.make_authenticator = [](auto&, auto&) {
      return std::make_unique<grpccommon::test::Believer>();
    };
    server_ = *grpccommon::Server::Create(std::move(options));
    server_->Add<problem::v1::ProblemService>(problems);
    server_->Add<execution::v1::ExecutionService>(executions);
    const absl::Status started = server_->Start();
    ASSERT_TRUE(started.ok()) << started;
    for (const char* const service :
         {problem::v1::ProblemService::service_full_name(),
          execution::v1::ExecutionService::service_full_name()}) {
      auto registration =
          registry_.Register(service, {.address = address()}, {});
      ASSERT_TRUE(registration.ok()) << registration.status();
      registrations_.push_back(*std::move(registration));
    }
  }
  /// At once, whatever runs.
  void Stop() {
    registrations_.clear();
    if (server_ == nullptr) return;
    server_->Shutdown(std::chrono::nanoseconds(0), std::chrono::nanoseconds(0));
    server_.reset();
  }

  std::string address() const {
    return "127.0.0.1:" + std::to_string(server_->grpc_port());
  }

  FakeProblemService problems;
  FakeExecutionService executions;

 private:
  grpccommon::Registry& registry_;
  std::shared_ptr<grpccommon::testing::RecordingLogSink> log_ =
      std::make_shared<grpccommon::testing::RecordingLogSink>();
  std::unique_ptr<grpccommon::Server> server_;
  std::vector<std::unique_ptr<grpccommon::Registration>> registrations_;
};

}  // namespace platform::contest
