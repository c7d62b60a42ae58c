// SPDX-License-Identifier: Apache-2.0
#include "services/execution/executions.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/status/details.h"
#include "services/common/id.h"
#include "services/execution/in_order.h"

namespace platform::execution {
namespace {

using grpccommon::CheckRange;
using grpccommon::Clock;
using grpccommon::MutexLock;

constexpr std::string_view kDomain = "platform.execution";

void SetTime(Clock::WallTime time, google::protobuf::Timestamp& timestamp) {
  const auto seconds =
      std::chrono::floor<std::chrono::seconds>(time.time_since_epoch());
  timestamp.set_seconds(seconds.count());
  timestamp.set_nanos(
      static_cast<int>((time.time_since_epoch() - seconds).count()));
}

bool Less(const google::protobuf::Duration& a,
          const google::protobuf::Duration& b) {
  return std::pair(a.seconds(), a.nanos()) < std::pair(b.seconds(), b.nanos());
}

void AddResult(const v1::TestResult& result, v1::Execution& execution) {
  if (result.verdict() == v1::VERDICT_ACCEPTED) {
    execution.set_passed_count(execution.passed_count() + 1);
  }
  v1::Usage& most = *execution.mutable_usage();
  const v1::Usage& usage = result.usage();
  if (Less(most.cpu_time(), usage.cpu_time())) {
    *most.mutable_cpu_time() = usage.cpu_time();
  }
  if (Less(most.wall_time(), usage.wall_time())) {
    *most.mutable_wall_time() = usage.wall_time();
  }
  most.set_memory_bytes(std::max(most.memory_bytes(), usage.memory_bytes()));
  *execution.add_tests() = result;
}

// "wrong_answer"
std::string VerdictLabel(v1::Verdict verdict) {
  constexpr std::size_t kPrefix = sizeof("VERDICT_") - 1;
  return absl::AsciiStrToLower(v1::Verdict_Name(verdict).substr(kPrefix));
}

std::shared_ptr<const TestSuite> SuiteOf(v1::TestSet& set) {
  auto suite = std::make_shared<TestSuite>();
  for (problem::v1::TestCase& test : *set.mutable_test_cases()) {
    suite->tests.push_back(
        {.input = std::move(*test.mutable_input()),
         .expected_output = std::move(*test.mutable_expected_output())});
  }
  suite->limits = ToRunLimits(set.limits());
  suite->checker = ToChecker(set.checker());
  suite->max_time = kMaxTestSetTime;
  suite->check_output = !suite->tests.empty();
  suite->show_output = true;
  return suite;
}

absl::Status Stopping() {
  return absl::UnavailableError("the service stops: ask another instance");
}

}  // namespace

// One execution. Changes are made under the lock and told without it, in their
// order.
class Executions::Entry final : public JudgeObserver,
                                public std::enable_shared_from_this<Entry> {
 public:
  using Done = std::function<void(absl::StatusOr<v1::Execution>)>;

  Entry(Executions& executions, const Caller& caller, const Language& language,
        v1::ExecuteRequest& request,
        std::shared_ptr<ExecutionListener> listener)
      : executions_(executions),
        id_(request.execution_id().empty()
                ? grpccommon::UuidV7(executions.clock_)
                : request.execution_id()),
        language_(language),
        owner_(caller.id),
        key_(request.metadata().idempotency_key().empty()
                 ? ""
                 : absl::StrCat(caller.id, "\x1f",
                                request.metadata().idempotency_key())),
        // Of one caller, whom it would not serve to find two alike.
        fingerprint_(key_.empty() ? 0
                                  : std::hash<std::string>()(
                                        request.SerializeAsString())),
        detached_(request.detached()),
        admitted_bytes_(request.ByteSizeLong()),
        admitted_at_(executions.clock_.Now()),
        listeners_({std::move(listener)}) {
    judge_request_.language = &language;
    judge_request_.source = std::move(*request.mutable_source());
    judge_request_.run_all_tests = request.run_all_tests();
    execution_.set_id(id_);
    execution_.set_language(language.id);
    execution_.set_state(v1::EXECUTION_STATE_QUEUED);
    SetTime(executions_.clock_.WallNow(), *execution_.mutable_created_at());
  }

  const std::string& id() const { return id_; }
  const std::string& owner() const { return owner_; }
  const std::string& key() const { return key_; }
  std::size_t fingerprint() const { return fingerprint_; }
  std::size_t admitted_bytes() const { return admitted_bytes_; }
  const Language& language() const { return language_; }
  RunQueue::JobId job() const {
    const MutexLock lock(mutex_);
    return job_;
  }
  v1::Execution Snapshot() const {
    const MutexLock lock(mutex_);
    return execution_;
  }

  // The first update. False if it was called off meanwhile.
  bool SetQueued(RunQueue::JobId job, std::size_t position) {
    bool cancelled;
    {
      const MutexLock lock(mutex_);
      job_ = job;
      cancelled = cancelled_;
      AddPositionLocked(position);
    }
    news_.Call();
    return !cancelled;
  }

  void SetPosition(std::size_t position) {
    {
      const MutexLock lock(mutex_);
      if (execution_.state() != v1::EXECUTION_STATE_QUEUED ||
          position == position_ || ended_) {
        return;
      }
      AddPositionLocked(position);
    }
    news_.Call();
  }

  // False if it has ended.
  bool Accept(std::shared_ptr<const TestSuite> suite) {
    {
      const MutexLock lock(mutex_);
      if (ended_) return false;
      execution_.set_test_count(static_cast<int>(suite->tests.size()));
      execution_.set_tests_version(suite->tests_version);
      judge_request_.suite = std::move(suite);
      accepted_ = true;
      news_.Add([listeners = listeners_, execution = execution_] {
        for (const auto& listener : listeners) listener->OnAccepted(execution);
      });
    }
    news_.Call();
    return true;
  }

  // Its turn has come.
  void Begin() {
    std::shared_ptr<Judge> judge;
    bool cancelled;
    {
      const MutexLock lock(mutex_);
      SetTime(executions_.clock_.WallNow(), *execution_.mutable_started_at());
      judge = judge_ =
          Judge::Create(executions_.parts_.judge, std::move(judge_request_),
                        shared_from_this());
      cancelled = cancelled_;
    }
    executions_.parts_.judge.metrics.wait->Observe(executions_.clock_.Now() -
                                                   admitted_at_);
    if (cancelled) judge->Cancel();
    judge->Start();
  }

  void OnCompiling() override {
    {
      const MutexLock lock(mutex_);
      execution_.set_state(v1::EXECUTION_STATE_COMPILING);
      AddUpdateLocked({});
    }
    news_.Call();
  }

  void OnCompilerOutput(const std::string& text) override {
    const MutexLock lock(mutex_);
    execution_.set_compiler_output(text);
  }

  void OnRunning(int test,
                 const std::optional<v1::TestResult>& ended) override {
    {
      const MutexLock lock(mutex_);
      execution_.set_state(v1::EXECUTION_STATE_RUNNING);
      test_ = test;
      AddRunningLocked(ended);
    }
    news_.Call();
  }

  void OnEnd(std::optional<v1::Verdict> verdict,
             const std::optional<v1::TestResult>& ended) override {
    End(verdict, ended, absl::OkStatus());
  }

  // Another listener, which begins with the execution as it is.
  void Join(const std::shared_ptr<ExecutionListener>& listener) {
    {
      const MutexLock lock(mutex_);
      v1::ExecutionUpdate update = UpdateLocked();
      if (execution_.state() == v1::EXECUTION_STATE_QUEUED) {
        update.set_queue_position(static_cast<int>(position_));
      } else if (execution_.state() == v1::EXECUTION_STATE_RUNNING) {
        update.set_test(test_);
        update.set_test_count(execution_.test_count());
      }
      if (ended_) *update.mutable_execution() = execution_;
      news_.Add([listener, update = std::move(update), accepted = accepted_,
                 ended = ended_, status = end_status_, execution = execution_] {
        listener->OnUpdate(update);
        if (accepted) listener->OnAccepted(execution);
        if (ended) listener->OnEnd(status);
      });
      if (!ended_) listeners_.push_back(listener);
    }
    news_.Call();
  }

  void Leave(const ExecutionListener* listener) {
    {
      const MutexLock lock(mutex_);
      std::erase_if(listeners_, [listener](const auto& other) {
        return other.get() == listener;
      });
      if (ended_ || detached_ || !listeners_.empty()) return;
    }
    Cancel();
  }

  void Cancel() {
    RunQueue::JobId job;
    std::shared_ptr<Judge> judge;
    {
      const MutexLock lock(mutex_);
      if (ended_) return;
      cancelled_ = true;
      job = job_;
      judge = judge_;
    }
    if (executions_.parts_.queue.Withdraw(job)) {
      End(std::nullopt, std::nullopt, absl::OkStatus());
    } else if (judge != nullptr) {
      judge->Cancel();
    }
  }

  void CancelIfQueued(const absl::Status& status) {
    if (executions_.parts_.queue.Withdraw(job())) {
      End(std::nullopt, std::nullopt, status);
    }
  }

  void WhenEnded(Done done) {
    {
      const MutexLock lock(mutex_);
      if (!ended_) {
        when_ended_.push_back(std::move(done));
        return;
      }
    }
    done(Snapshot());
  }

  // It never was.
  void Refuse(const absl::Status& status) {
    {
      const MutexLock lock(mutex_);
      ended_ = true;
      end_status_ = status;
      news_.Add([listeners = std::exchange(listeners_, {}),
                 when_ended = std::exchange(when_ended_, {}), status] {
        for (const auto& listener : listeners) listener->OnEnd(status);
        for (const Done& done : when_ended) done(status);
      });
    }
    news_.Call();
  }

 private:
  v1::ExecutionUpdate UpdateLocked() const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    v1::ExecutionUpdate update;
    update.set_execution_id(id_);
    update.set_sequence(sequence_);
    SetTime(executions_.clock_.WallNow(), *update.mutable_at());
    update.set_state(execution_.state());
    return update;
  }

  // Tells all listeners; `fill` adds what is special.
  void AddUpdateLocked(const std::function<void(v1::ExecutionUpdate&)>& fill)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ++sequence_;
    if (listeners_.empty()) return;
    v1::ExecutionUpdate update = UpdateLocked();
    if (fill != nullptr) fill(update);
    news_.Add([listeners = listeners_, update = std::move(update)] {
      for (const auto& listener : listeners) listener->OnUpdate(update);
    });
  }

  void AddPositionLocked(std::size_t position)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    position_ = position;
    AddUpdateLocked([position](v1::ExecutionUpdate& update) {
      update.set_queue_position(static_cast<int>(position));
    });
  }

  void AddRunningLocked(const std::optional<v1::TestResult>& ended)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (ended.has_value()) AddResult(*ended, execution_);
    AddUpdateLocked([&, test = test_, count = execution_.test_count()](
                        v1::ExecutionUpdate& update) {
      update.set_test(test);
      update.set_test_count(count);
      if (ended.has_value()) *update.mutable_test_result() = *ended;
    });
  }

  void End(std::optional<v1::Verdict> verdict,
           const std::optional<v1::TestResult>& ended,
           const absl::Status& status) {
    std::size_t bytes;
    {
      const MutexLock lock(mutex_);
      if (std::exchange(ended_, true)) return;
      end_status_ = status;
      if (ended.has_value()) AddResult(*ended, execution_);
      execution_.set_state(verdict.has_value() ? v1::EXECUTION_STATE_DONE
                                               : v1::EXECUTION_STATE_CANCELLED);
      if (verdict.has_value()) execution_.set_verdict(*verdict);
      SetTime(executions_.clock_.WallNow(), *execution_.mutable_finished_at());
      bytes = execution_.ByteSizeLong();
      if (status.ok()) {
        AddUpdateLocked([&ended, &execution = std::as_const(execution_)](
                            v1::ExecutionUpdate& update) {
          if (ended.has_value()) *update.mutable_test_result() = *ended;
          *update.mutable_execution() = execution;
        });
      }
      news_.Add([listeners = std::exchange(listeners_, {}),
                 when_ended = std::exchange(when_ended_, {}), status,
                 execution = execution_] {
        for (const auto& listener : listeners) listener->OnEnd(status);
        for (const Done& done : when_ended) done(execution);
      });
      judge_.reset();
      judge_request_ = {};
    }
    const ExecutionMetrics& metrics = executions_.parts_.judge.metrics;
    if (verdict.has_value()) {
      metrics.judged->With({language_.id, VerdictLabel(*verdict)}).Increment();
    } else {
      metrics.cancelled->Increment();
    }
    news_.Call();
    executions_.Ended(*this, bytes);
  }

  Executions& executions_;
  const std::string id_;
  const Language& language_;
  const std::string owner_;
  // Of idempotency, with the owner; empty: none.
  const std::string key_;
  const std::size_t fingerprint_;
  const bool detached_;
  const std::size_t admitted_bytes_;
  const Clock::TimePoint admitted_at_;

  InOrder news_;
  mutable grpccommon::Mutex mutex_;
  v1::Execution execution_ ABSL_GUARDED_BY(mutex_);
  int sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  std::size_t position_ ABSL_GUARDED_BY(mutex_) = 0;
  int test_ ABSL_GUARDED_BY(mutex_) = 0;
  RunQueue::JobId job_ ABSL_GUARDED_BY(mutex_) = 0;
  bool accepted_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status end_status_ ABSL_GUARDED_BY(mutex_);
  JudgeRequest judge_request_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<Judge> judge_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<ExecutionListener>> listeners_
      ABSL_GUARDED_BY(mutex_);
  std::vector<Done> when_ended_ ABSL_GUARDED_BY(mutex_);
};

absl::StatusOr<std::unique_ptr<Executions>> Executions::Create(
    const Parts& parts, const ExecutionsOptions& options,
    grpccommon::MetricsRegistry& metrics, const Clock& clock) {
  absl::Status valid =
      CheckRange("kept_for", options.kept_for, std::chrono::nanoseconds(0),
                 std::chrono::hours(24));
  valid.Update(
      CheckRange("max_kept", static_cast<double>(options.max_kept), 1, 1e6));
  valid.Update(CheckRange(
      "max_kept_bytes", static_cast<double>(options.max_kept_bytes), 1, 1e15));
  if (!valid.ok()) return valid;
  auto executions = absl::WrapUnique(new Executions(parts, options, clock));
  if (absl::Status added = executions->AddMetrics(metrics); !added.ok()) {
    return added;
  }
  return executions;
}

Executions::Executions(const Parts& parts, const ExecutionsOptions& options,
                       const Clock& clock)
    : parts_(parts), options_(options), clock_(clock) {}

Executions::~Executions() { Shutdown(); }

absl::Status Executions::AddMetrics(grpccommon::MetricsRegistry& metrics) {
  const auto gauge = [&](const char* name, const char* help,
                         std::function<double()> read) {
    auto added = metrics.AddCallbackGauge(name, help, std::move(read));
    if (!added.ok()) return added.status();
    registrations_.push_back(*std::move(added));
    return absl::OkStatus();
  };
  absl::Status added =
      gauge("grpccommon_execution_waiting", "Executions in the queue.",
            [this] { return static_cast<double>(parts_.queue.waiting()); });
  added.Update(
      gauge("grpccommon_execution_running", "Executions that are judged.",
            [this] { return static_cast<double>(parts_.queue.running()); }));
  added.Update(gauge("grpccommon_execution_kept",
                     "Executions that have ended and are remembered.", [this] {
                       const MutexLock lock(mutex_);
                       return static_cast<double>(kept_.size());
                     }));
  return added;
}

std::function<void()> Executions::Submit(
    const Caller& caller, v1::ExecuteRequest request,
    std::shared_ptr<ExecutionListener> listener) {
  const auto refuse = [&listener](const absl::Status& status) {
    listener->OnEnd(status);
    return [] {};
  };
  request.set_execution_id(common::CanonicalId(request.execution_id()));
  if (request.has_problem()) {
    request.mutable_problem()->set_problem_id(
        common::CanonicalId(request.problem().problem_id()));
  }
  const Language* const language = parts_.languages.Find(request.language());
  if (language == nullptr) {
    return refuse(grpccommon::InvalidFields(
        {{"language", "is none of those that ListLanguages tells"}}));
  }
  if (request.has_problem() && !caller.trusted) {
    return refuse(grpccommon::PermissionDenied(
        "TESTS_ARE_HIDDEN",
        "only services and admins may use the tests of a problem"));
  }
  const auto entry =
      std::make_shared<Entry>(*this, caller, *language, request, listener);
  const auto joined = Add(entry);
  if (!joined.ok()) return refuse(joined.status());
  const std::shared_ptr<Entry> one = *joined != nullptr ? *joined : entry;
  const auto leave = [one, raw = listener.get()] { one->Leave(raw); };
  if (*joined != nullptr) {
    one->Join(listener);
    return leave;
  }

  // A process judges for many.
  const auto job = parts_.queue.Admit(
      caller.id, entry->admitted_bytes(),
      caller.trusted ? RunQueue::Share::kWhole : RunQueue::Share::kBounded);
  if (!job.ok()) {
    Refuse(entry, job.status());
    return leave;
  }
  bool draining;
  {
    const MutexLock lock(mutex_);
    by_job_[*job] = entry;
    draining = draining_;
  }
  if (!entry->SetQueued(*job, parts_.queue.Position(*job))) {
    entry->Cancel();
  } else if (draining) {
    Refuse(entry, Stopping());
  } else if (request.has_problem()) {
    FetchTests(entry, request.problem());
  } else {
    OnTests(entry, SuiteOf(*request.mutable_test_set()));
  }
  return leave;
}

absl::StatusOr<std::shared_ptr<Executions::Entry>> Executions::Add(
    const std::shared_ptr<Entry>& entry) {
  const MutexLock lock(mutex_);
  ForgetOldLocked();
  if (!entry->key().empty()) {
    const auto found = by_key_.find(entry->key());
    if (found != by_key_.end()) {
      if (found->second->fingerprint() == entry->fingerprint()) {
        return found->second;
      }
      return grpccommon::WithReason(
          absl::AlreadyExistsError("the idempotency key was used for another "
                                   "request"),
          "IDEMPOTENCY_KEY_REUSED", kDomain);
    }
  }
  if (!entries_.try_emplace(entry->id(), entry).second) {
    return grpccommon::WithReason(
        absl::AlreadyExistsError("there is an execution with this id"),
        "EXECUTION_EXISTS", kDomain);
  }
  if (!entry->key().empty()) by_key_[entry->key()] = entry;
  ++pending_;
  return nullptr;
}

void Executions::FetchTests(const std::shared_ptr<Entry>& entry,
                            const v1::ProblemTests& problem) {
  {
    const MutexLock lock(mutex_);
    ++pending_;
  }
  parts_.tests.Get(
      problem.problem_id(), problem.min_tests_version(),
      [this,
       entry](const absl::StatusOr<std::shared_ptr<const TestSuite>>& suite) {
        OnTests(entry, suite);
        const MutexLock lock(mutex_);
        --pending_;
        changed_.NotifyAll();
      });
}

void Executions::OnTests(
    const std::shared_ptr<Entry>& entry,
    const absl::StatusOr<std::shared_ptr<const TestSuite>>& suite) {
  if (!suite.ok()) return Refuse(entry, suite.status());
  const std::vector<std::string>& allowed = (*suite)->languages;
  if (!allowed.empty() && std::find(allowed.begin(), allowed.end(),
                                    entry->language().id) == allowed.end()) {
    return Refuse(entry,
                  grpccommon::InvalidFields(
                      {{"language", "is none of those of the problem"}}));
  }
  if (!entry->Accept(*suite)) return;
  parts_.queue.Enqueue(entry->job(), [entry] { entry->Begin(); });
}

void Executions::Refuse(const std::shared_ptr<Entry>& entry,
                        const absl::Status& status) {
  const RunQueue::JobId job = entry->job();
  // One that was cancelled meanwhile has ended, and is remembered.
  if (job != 0 && !parts_.queue.Withdraw(job)) return;
  {
    const MutexLock lock(mutex_);
    entries_.erase(entry->id());
    by_key_.erase(entry->key());
    by_job_.erase(job);
  }
  entry->Refuse(status);
  const MutexLock lock(mutex_);
  --pending_;
  changed_.NotifyAll();
}

void Executions::Ended(Entry& entry, std::size_t bytes) {
  const RunQueue::JobId job = entry.job();
  parts_.queue.Release(job);
  const MutexLock lock(mutex_);
  by_job_.erase(job);
  kept_.push_back({.ended_at = clock_.Now(),
                   .id = entry.id(),
                   .idempotency_key = entry.key(),
                   .bytes = bytes});
  kept_bytes_ += bytes;
  ForgetOldLocked();
  --pending_;
  changed_.NotifyAll();
}

void Executions::ForgetOldLocked() {
  const Clock::TimePoint now = clock_.Now();
  while (!kept_.empty() && (kept_.size() > options_.max_kept ||
                            kept_bytes_ > options_.max_kept_bytes ||
                            now - kept_.front().ended_at > options_.kept_for)) {
    const Kept& oldest = kept_.front();
    kept_bytes_ -= oldest.bytes;
    entries_.erase(oldest.id);
    by_key_.erase(oldest.idempotency_key);
    kept_.pop_front();
  }
}

absl::StatusOr<std::shared_ptr<Executions::Entry>> Executions::Find(
    const Caller& caller, const std::string& id) {
  const MutexLock lock(mutex_);
  ForgetOldLocked();
  const auto found = entries_.find(common::CanonicalId(id));
  if (found == entries_.end() ||
      (found->second->owner() != caller.id && !caller.trusted)) {
    return grpccommon::NotFound("execution", id);
  }
  return found->second;
}

absl::StatusOr<v1::Execution> Executions::Get(const Caller& caller,
                                              const std::string& id) {
  const auto entry = Find(caller, id);
  if (!entry.ok()) return entry.status();
  return (*entry)->Snapshot();
}

void Executions::Cancel(
    const Caller& caller, const std::string& id,
    std::function<void(absl::StatusOr<v1::Execution>)> done) {
  const auto entry = Find(caller, id);
  if (!entry.ok()) return done(entry.status());
  (*entry)->WhenEnded(std::move(done));
  (*entry)->Cancel();
}

void Executions::ReportPositions() {
  const std::vector<RunQueue::JobId> order = parts_.queue.Order();
  std::vector<std::shared_ptr<Entry>> waiting(order.size());
  {
    const MutexLock lock(mutex_);
    for (std::size_t i = 0; i < order.size(); ++i) {
      const auto found = by_job_.find(order[i]);
      if (found != by_job_.end()) waiting[i] = found->second;
    }
  }
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    if (waiting[i] != nullptr) waiting[i]->SetPosition(i);
  }
}

std::vector<std::shared_ptr<Executions::Entry>> Executions::Unended() const {
  std::vector<std::shared_ptr<Entry>> unended;
  const MutexLock lock(mutex_);
  for (const auto& [job, entry] : by_job_) unended.push_back(entry);
  return unended;
}

void Executions::Drain() {
  parts_.queue.Close();
  {
    const MutexLock lock(mutex_);
    draining_ = true;
  }
  for (const auto& entry : Unended()) entry->CancelIfQueued(Stopping());
}

void Executions::Shutdown() {
  Drain();
  for (const auto& entry : Unended()) entry->Cancel();
  const MutexLock lock(mutex_);
  while (pending_ > 0) changed_.Wait(mutex_);
}

}  // namespace platform::execution
