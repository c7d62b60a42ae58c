// SPDX-License-Identifier: Apache-2.0
#include "auth/key_url.h"

#include <algorithm>
#include <cmath>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "auth/http_fetch.h"
#include "base/snapshot.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/string_view.h"

namespace grpccommon {
namespace internal {
namespace {

Clock::Duration Scale(Clock::Duration duration, double factor) {
  return std::chrono::duration_cast<Clock::Duration>(duration * factor);
}

/// Waits, fetches, plans the next fetch; on one thread of its own.
class FetchedKeySource : public KeySource {
 public:
  FetchedKeySource(FetchKeys fetch, std::string name, Scheduler& scheduler,
                   const KeyUrlOptions& options, const Logger& logger,
                   const Clock& clock, Random random)
      : fetch_(std::move(fetch)),
        name_(std::move(name)),
        scheduler_(scheduler),
        options_(options),
        logger_(logger),
        clock_(clock),
        random_(std::move(random)),
        keys_(std::make_shared<const JwkSet>()),
        thread_([this] { Run(); }) {}

  ~FetchedKeySource() override {
    stop_.store(true);
    Wake();
    thread_.join();
    // Nobody plans any more; Cancel waits for a task that is running.
    scheduler_.Cancel(planned_);
  }

  std::shared_ptr<const JwkSet> Keys() const override { return keys_.Get(); }

  std::uint64_t generation() const override {
    return generation_.load(std::memory_order_acquire);
  }

  void ReportUnknownKey() override {
    // Strangers cause this, so it costs them, not us: no lock until it is time.
    const Clock::Duration now = clock_.Now().time_since_epoch();
    if (now - attempted_at_.load(std::memory_order_relaxed) <
        options_.unknown_key_floor) {
      return;
    }
    {
      const MutexLock lock(mutex_);
      if (now - attempted_at_.load() < options_.unknown_key_floor) return;
      wanted_ = true;
    }
    wake_.NotifyOne();
  }

  absl::Status status() const override {
    const MutexLock lock(mutex_);
    return status_;
  }

 private:
  void Wake() {
    {
      const MutexLock lock(mutex_);
      wanted_ = true;
    }
    wake_.NotifyOne();
  }

  void Run() {
    while (true) {
      {
        const MutexLock lock(mutex_);
        while (!wanted_) wake_.Wait(mutex_);
      }
      if (stop_.load()) return;
      {
        // What was wanted before an attempt is served by it.
        const MutexLock lock(mutex_);
        attempted_at_.store(clock_.Now().time_since_epoch());
        wanted_ = false;
      }
      scheduler_.Cancel(planned_);
      const Clock::Duration delay = Attempt();
      if (stop_.load()) return;
      planned_ = scheduler_.RunAfter(delay, [this] { Wake(); });
    }
  }

  // Returns how long to wait for the next one.
  Clock::Duration Attempt() {
    absl::StatusOr<FetchedKeys> fetched = fetch_(stop_);
    absl::Status status = fetched.status();
    if (status.ok()) status = Apply(fetched->body);
    {
      const MutexLock lock(mutex_);
      status_ = status;
    }
    if (status.ok()) {
      failures_ = 0;
      const Clock::Duration lifetime =
          std::clamp(fetched->lifetime.value_or(options_.default_lifetime),
                     options_.min_lifetime, options_.max_lifetime);
      return Scale(lifetime, 0.8 + 0.15 * random_());
    }
    if (!stop_.load()) {
      logger_.Error("keys not fetched: the old ones stay in force",
                    {{"url", name_}, {"error", ToStd(status.message())}});
    }
    const Clock::Duration backoff = std::min(
        Scale(options_.min_backoff, std::exp2(std::min(failures_, 30))),
        options_.max_backoff);
    ++failures_;
    return Scale(backoff, 0.5 + 0.5 * random_());
  }

  absl::Status Apply(std::string& body) {
    // The same keys again do not make every cached token be verified again.
    if (!body_.empty() && body == body_) return absl::OkStatus();
    absl::StatusOr<JwkSet> keys = JwkSet::Parse(body);
    if (!keys.ok()) return keys.status();
    for (const std::string& note : keys->skipped()) {
      logger_.Warning("key left out", {{"url", name_}, {"error", note}});
    }
    const std::size_t count = keys->keys().size();
    keys_.Set(std::make_shared<const JwkSet>(*std::move(keys)));
    // After the keys: who sees the new generation also sees the new keys.
    generation_.fetch_add(1, std::memory_order_release);
    body_ = std::move(body);
    logger_.Info("keys fetched", {{"url", name_}, {"keys", count}});
    return absl::OkStatus();
  }

  const FetchKeys fetch_;
  const std::string name_;
  Scheduler& scheduler_;
  const KeyUrlOptions options_;
  const Logger logger_;
  const Clock& clock_;
  const Random random_;
  Snapshot<JwkSet> keys_;
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<Clock::Duration> attempted_at_{Clock::Duration(0)};
  std::atomic<bool> stop_{false};
  mutable Mutex mutex_;
  CondVar wake_;
  bool wanted_ ABSL_GUARDED_BY(mutex_) = true;
  absl::Status status_ ABSL_GUARDED_BY(mutex_) =
      absl::UnavailableError("keys not fetched yet");
  // The thread's own, and the destructor's after it.
  Scheduler::TaskId planned_ = 0;
  int failures_ = 0;
  std::string body_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<KeySource> CreateFetchedKeySource(
    FetchKeys fetch, std::string name, Scheduler& scheduler,
    const KeyUrlOptions& options, const Logger& logger, const Clock& clock,
    Random random) {
  return std::make_unique<FetchedKeySource>(std::move(fetch), std::move(name),
                                            scheduler, options, logger, clock,
                                            std::move(random));
}

}  // namespace internal

absl::StatusOr<std::unique_ptr<KeySource>> CreateKeyUrl(
    const std::string& url, Scheduler& scheduler, const KeyUrlOptions& options,
    const Logger& logger, const Clock& clock, Random random) {
  using namespace std::chrono_literals;
  constexpr auto kWeek = std::chrono::hours(7 * 24);
  absl::Status valid = CheckRange("timeout", options.timeout, 100ms, 1min);
  valid.Update(CheckRange("max_bytes", static_cast<double>(options.max_bytes),
                          1 << 10, 1 << 20));
  valid.Update(CheckRange("max_lifetime", options.max_lifetime, 1s, kWeek));
  valid.Update(CheckRange("min_lifetime", options.min_lifetime, 1s,
                          options.max_lifetime));
  valid.Update(
      CheckRange("default_lifetime", options.default_lifetime, 1s, kWeek));
  valid.Update(
      CheckRange("unknown_key_floor", options.unknown_key_floor, 1s, 1h));
  valid.Update(CheckRange("max_backoff", options.max_backoff, 100ms, 1h));
  valid.Update(CheckRange("min_backoff", options.min_backoff, 100ms,
                          options.max_backoff));
  if (!valid.ok()) return valid;
  valid = internal::CheckFetch(url, options.allow_http);
  if (!valid.ok()) return valid;
  return internal::CreateFetchedKeySource(
      [request = internal::HttpRequest{.url = url,
                                       .allow_http = options.allow_http,
                                       .ca_file = options.ca_file,
                                       .timeout = options.timeout,
                                       .max_bytes = options.max_bytes}](
          const std::atomic<bool>& stop)
          -> absl::StatusOr<internal::FetchedKeys> {
        absl::StatusOr<internal::HttpAnswer> answer =
            internal::Fetch(request, stop);
        if (!answer.ok()) return answer.status();
        if (answer->code != 200) {
          return absl::UnavailableError(
              absl::StrCat("the answer is HTTP ", answer->code));
        }
        return internal::FetchedKeys{.body = std::move(answer->body),
                                     .lifetime = answer->lifetime};
      },
      url, scheduler, options, logger, clock, std::move(random));
}

}  // namespace grpccommon
