// SPDX-License-Identifier: Apache-2.0
#include "services/contest/backends.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/utf8.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"

namespace platform::contest {
namespace {

using execution::v1::ExecuteRequest;
using execution::v1::ExecutionService;
using execution::v1::ExecutionUpdate;
using grpccommon::MutexLock;
using grpccommon::NotFound;
using grpccommon::WithReason;
using problem::v1::GetProblemRequest;
using problem::v1::GetProblemResponse;
using problem::v1::ProblemService;

// How long a failure is believed, and an answer taken for fresh.
constexpr auto kSoon = std::chrono::seconds(5);

// Of a compiler's output, what is stored.
constexpr std::size_t kMaxOutput = 64 << 10;

absl::Status Away(std::string_view service, const absl::Status& why) {
  return WithReason(
      absl::UnavailableError(absl::StrCat(
          "the ", grpccommon::ToAbsl(service),
          " service does not answer: ", absl::StatusCodeToString(why.code()))),
      "BACKEND_UNAVAILABLE", kDomain);
}

absl::Status NotAllowed(std::string_view language) {
  return WithReason(absl::FailedPreconditionError(
                        absl::StrCat("the problem may not be solved in \"",
                                     grpccommon::ToAbsl(language), "\"")),
                    "LANGUAGE_NOT_ALLOWED", kDomain);
}

Duration ToDuration(const google::protobuf::Duration& duration) {
  return std::chrono::seconds(duration.seconds()) +
         std::chrono::nanoseconds(duration.nanos());
}

// As a database takes it: no NUL, and not endless.
std::string Storable(std::string_view text) {
  std::string stored(grpccommon::TruncateUtf8(text, kMaxOutput));
  std::replace(stored.begin(), stored.end(), '\0', ' ');
  return stored;
}

Judgement ToJudgement(const execution::v1::Execution& execution) {
  return {.verdict = static_cast<Verdict>(execution.verdict()),
          .passed_count = execution.passed_count(),
          .test_count = execution.test_count(),
          .usage = {.cpu_time = ToDuration(execution.usage().cpu_time()),
                    .wall_time = ToDuration(execution.usage().wall_time()),
                    .memory_bytes = execution.usage().memory_bytes()},
          .compiler_output = Storable(execution.compiler_output())};
}

// Whether it says something about the program.
bool IsVerdict(execution::v1::Verdict verdict) {
  return execution::v1::Verdict_IsValid(verdict) &&
         verdict != execution::v1::VERDICT_UNSPECIFIED &&
         verdict != execution::v1::VERDICT_INTERNAL;
}

}  // namespace

// One stream of an execution, from its start to its end.
class Backends::Run final : public grpc::ClientReadReactor<ExecutionUpdate> {
 public:
  Run(Backends& backends, std::function<void(const JudgeProgress&)> progress,
      std::function<void(absl::StatusOr<Judgement>)> done)
      : backends_(backends),
        progress_(std::move(progress)),
        done_(std::move(done)) {}

  void Start(const ExecuteRequest& request) {
    backends_.executions_->Open(&ExecutionService::Stub::ExecuteStream, request,
                                {.cancellation = &backends_.cancellation_},
                                this);
    StartRead(&update_);
    StartCall();
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (update_.state() == execution::v1::EXECUTION_STATE_DONE) {
      if (IsVerdict(update_.execution().verdict())) {
        judgement_ = ToJudgement(update_.execution());
      }
    } else {
      progress_({.state = update_.state(),
                 .queue_position = update_.queue_position(),
                 .test = update_.test(),
                 .test_count = update_.test_count()});
    }
    StartRead(&update_);
  }

  void OnDone(const grpc::Status& status) override {
    // What comes after a verdict does not change it.
    if (!judgement_.ok() && !status.ok()) {
      judgement_ = grpccommon::FromGrpcStatus(status);
    }
    Backends& backends = backends_;
    done_(std::move(judgement_));
    delete this;
    backends.End();
  }

  Backends& backends_;
  const std::function<void(const JudgeProgress&)> progress_;
  const std::function<void(absl::StatusOr<Judgement>)> done_;
  ExecutionUpdate update_;
  absl::StatusOr<Judgement> judgement_ =
      absl::UnavailableError("it was executed without a verdict");
};

Backends::Backends(std::shared_ptr<ProblemClient> problems,
                   std::shared_ptr<ExecutionClient> executions,
                   BackendsOptions options, const grpccommon::Clock& clock)
    : problems_(std::move(problems)),
      executions_(std::move(executions)),
      options_(options),
      clock_(clock) {}

Backends::~Backends() {
  cancellation_.Cancel();
  const MutexLock lock(mutex_);
  while (running_ > 0) ended_.Wait(mutex_);
}

void Backends::Begin() {
  const MutexLock lock(mutex_);
  ++running_;
}

void Backends::End() {
  const MutexLock lock(mutex_);
  --running_;
  ended_.NotifyAll();  // under the lock: after it, this may be gone
}

void Backends::Complete(
    const grpccommon::ServerCall* call, std::vector<ContestProblem> problems,
    std::function<void(absl::StatusOr<std::vector<ContestProblem>>)> done) {
  struct Batch {
    grpccommon::Mutex mutex;
    std::vector<ContestProblem> problems ABSL_GUARDED_BY(mutex);
    std::size_t missing ABSL_GUARDED_BY(mutex) = 0;
    absl::Status status ABSL_GUARDED_BY(mutex);
  };
  const auto batch = std::make_shared<Batch>();
  const std::size_t count = problems.size();
  std::vector<GetProblemRequest> requests(count);
  for (std::size_t i = 0; i < count; ++i) {
    requests[i].set_problem_id(problems[i].problem_id);
  }
  {
    const MutexLock lock(batch->mutex);
    batch->problems = std::move(problems);
    batch->missing = count;
  }
  if (count == 0) return done(std::vector<ContestProblem>());
  for (std::size_t i = 0; i < count; ++i) {
    Begin();
    problems_->CallAsync(
        &ProblemService::Stub::GetProblem, requests[i],
        {.parent = call,
         .timeout = options_.timeout,
         .forward_credentials = true,
         .cancellation = &cancellation_},
        [this, batch, i, done](absl::StatusOr<GetProblemResponse> response) {
          absl::StatusOr<std::vector<ContestProblem>> result =
              absl::UnknownError("not all are there");
          bool last;
          {
            const MutexLock lock(batch->mutex);
            ContestProblem& problem = batch->problems[i];
            if (response.ok()) {
              problem.title = response->problem().title();
              problem.languages = {response->problem().languages().begin(),
                                   response->problem().languages().end()};
            } else if (batch->status.ok()) {
              batch->status = absl::IsNotFound(response.status())
                                  ? NotFound("problem", problem.problem_id)
                                  : Away("problem", response.status());
            }
            last = --batch->missing == 0;
            if (last && batch->status.ok()) {
              result = std::move(batch->problems);
            } else if (last) {
              result = batch->status;
            }
          }
          if (last) done(std::move(result));
          End();
        });
  }
}

template <typename Value>
void Backends::Want(Cached<Value>& cached, bool fresh,
                    const std::function<void()>& fetch,
                    std::function<void(std::shared_ptr<const Value>)> use) {
  std::shared_ptr<const Value> value;
  bool now = false;
  bool start = false;
  {
    const MutexLock lock(mutex_);
    if (cached.answered_at.has_value()) {
      const Duration age = clock_.Now() - *cached.answered_at;
      now = age < kSoon || (cached.value != nullptr && !fresh);
      start = age >= options_.max_age;
    }
    if (now) {
      value = cached.value;
    } else {
      start = true;
      cached.waiting.push_back(std::exchange(use, nullptr));
    }
    start = start && !cached.fetching;
    if (start) {
      cached.fetching = true;
      ++running_;
    }
  }
  if (start) fetch();
  if (use != nullptr) use(std::move(value));
}

template <typename Value>
void Backends::Fetched(Cached<Value>& cached,
                       std::shared_ptr<const Value> value) {
  std::vector<std::function<void(std::shared_ptr<const Value>)>> waiting;
  {
    const MutexLock lock(mutex_);
    cached.fetching = false;
    cached.answered_at = clock_.Now();
    if (value != nullptr) cached.value = value;
    value = cached.value;
    waiting.swap(cached.waiting);
  }
  for (const auto& use : waiting) use(value);
  End();
}

void Backends::FetchProblem(const std::string& id,
                            Cached<ProblemInfo>& cached) {
  GetProblemRequest request;
  request.set_problem_id(id);
  problems_->CallAsync(
      &ProblemService::Stub::GetProblem, request,
      {.timeout = options_.timeout, .cancellation = &cancellation_},
      [this, &cached](absl::StatusOr<GetProblemResponse> response) {
        std::shared_ptr<ProblemInfo> info;
        if (response.ok()) {
          const problem::v1::Problem& found = response->problem();
          info = std::make_shared<ProblemInfo>(ProblemInfo{
              .title = found.title(),
              .languages = {found.languages().begin(), found.languages().end()},
              .tests_version = found.tests_version()});
        }
        Fetched<ProblemInfo>(cached, std::move(info));
      });
}

void Backends::WantLanguages(
    bool fresh, std::function<void(std::shared_ptr<const Languages>)> use) {
  using execution::v1::ListLanguagesResponse;
  const auto fetch = [this] {
    executions_->CallAsync(
        &ExecutionService::Stub::ListLanguages, {},
        {.timeout = options_.timeout, .cancellation = &cancellation_},
        [this](absl::StatusOr<ListLanguagesResponse> response) {
          std::shared_ptr<Languages> languages;
          if (response.ok()) {
            languages = std::make_shared<Languages>();
            for (const auto& language : response->languages()) {
              languages->insert(language.id());
            }
          }
          Fetched<Languages>(languages_, std::move(languages));
        });
  };
  Want<Languages>(languages_, fresh, fetch, std::move(use));
}

void Backends::CheckLanguage(const ContestProblem& problem,
                             const std::string& language,
                             std::function<void(const absl::Status&)> done) {
  Cached<ProblemInfo>* cached;
  {
    const MutexLock lock(mutex_);
    cached = &known_problems_[problem.problem_id];
  }
  Want<ProblemInfo>(
      *cached, false,
      [this, id = problem.problem_id, cached] { FetchProblem(id, *cached); },
      [this, known = problem.languages, language,
       done = std::move(done)](std::shared_ptr<const ProblemInfo> info) {
        const ProblemInfo* const latest = info.get();
        const std::vector<std::string>& allowed =
            latest != nullptr ? latest->languages : known;
        if (std::find(allowed.begin(), allowed.end(), language) !=
            allowed.end()) {
          return done(absl::OkStatus());
        }
        CheckKnown(language, allowed.empty(), false, done);
      });
}

void Backends::CheckKnown(const std::string& language, bool allowed, bool fresh,
                          std::function<void(const absl::Status&)> done) {
  WantLanguages(fresh, [this, language, allowed, fresh, done = std::move(done)](
                           std::shared_ptr<const Languages> languages) {
    if (languages == nullptr) {
      return done(allowed ? Away("execution", absl::UnavailableError(""))
                          : NotAllowed(language));
    }
    if (languages->contains(language)) {
      return done(allowed ? absl::OkStatus() : NotAllowed(language));
    }
    // One may have been installed since.
    if (!fresh) return CheckKnown(language, allowed, true, done);
    done(grpccommon::InvalidFields(
        {{"language", "is not one of the execution service's"}}));
  });
}

void Backends::RunTests(const Submission& submission,
                        std::function<void(const JudgeProgress&)> progress,
                        std::function<void(absl::StatusOr<Judgement>)> done) {
  ExecuteRequest request;
  request.set_language(submission.language);
  request.set_source(submission.source);
  request.mutable_problem()->set_problem_id(submission.problem_id);
  Cached<ProblemInfo>* cached = nullptr;
  {
    const MutexLock lock(mutex_);
    ++running_;
    const auto known = known_problems_.find(submission.problem_id);
    if (known != known_problems_.end() && known->second.value != nullptr) {
      cached = &known->second;
      request.mutable_problem()->set_min_tests_version(
          cached->value->tests_version);
    }
  }
  // A version that is no more, as of a database that was restored, would be
  // waited for as long as nobody asks again.
  if (cached != nullptr) {
    Want<ProblemInfo>(
        *cached, false,
        [this, id = submission.problem_id, cached] {
          FetchProblem(id, *cached);
        },
        [](const std::shared_ptr<const ProblemInfo>&) {});
  }
  (new Run(*this, std::move(progress), std::move(done)))->Start(request);
}

void Backends::RecordVerdict(const Report& report,
                             std::function<void(const absl::Status&)> done) {
  problem::v1::RecordVerdictRequest request;
  request.set_problem_id(report.problem_id);
  request.set_submission_id(report.submission_id);
  request.set_user_id(report.user_id);
  request.set_accepted(report.accepted);
  Begin();
  problems_->CallAsync(
      &ProblemService::Stub::RecordVerdict, request,
      {.cancellation = &cancellation_},
      [this, done = std::move(done)](
          absl::StatusOr<problem::v1::RecordVerdictResponse> response) {
        done(response.status());
        End();
      });
}

}  // namespace platform::contest
