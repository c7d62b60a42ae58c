// SPDX-License-Identifier: Apache-2.0
#include "auth/key_url.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "auth/http_fetch.h"
#include "auth/refresh_thread.h"
#include "base/snapshot.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/string_view.h"

namespace grpccommon {
namespace internal {
namespace {

class FetchedKeySource : public KeySource {
 public:
  FetchedKeySource(FetchKeys fetch, std::string name, Scheduler& scheduler,
                   const KeyUrlOptions& options, const Logger& logger,
                   const Clock& clock, Random random)
      : fetch_(std::move(fetch)),
        name_(std::move(name)),
        options_(options),
        logger_(logger),
        random_(random),
        keys_(std::make_shared<const JwkSet>()),
        refresh_([this](const std::atomic<bool>& stop) { return Fetch(stop); },
                 {.min_backoff = options.min_backoff,
                  .max_backoff = options.max_backoff},
                 scheduler, clock, std::move(random)) {}

  std::shared_ptr<const JwkSet> Keys() const override { return keys_.Get(); }

  std::uint64_t generation() const override {
    return generation_.load(std::memory_order_acquire);
  }

  void ReportUnknownKey() override {
    refresh_.RefreshUnlessWithin(options_.unknown_key_floor);
  }

  absl::Status status() const override {
    const MutexLock lock(mutex_);
    return status_;
  }

 private:
  // Returns after how long to fetch again.
  absl::StatusOr<Clock::Duration> Fetch(const std::atomic<bool>& stop) {
    absl::StatusOr<FetchedKeys> fetched = fetch_(stop);
    absl::Status status = fetched.status();
    if (status.ok()) status = Apply(fetched->body);
    {
      const MutexLock lock(mutex_);
      status_ = status;
    }
    if (status.ok()) {
      const Clock::Duration lifetime =
          std::clamp(fetched->lifetime.value_or(options_.default_lifetime),
                     options_.min_lifetime, options_.max_lifetime);
      return Scale(lifetime, 0.8 + 0.15 * random_());
    }
    if (!stop.load()) {
      logger_.Error("keys not fetched: the old ones stay in force",
                    {{"url", name_}, {"error", ToStd(status.message())}});
    }
    return status;
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
  const KeyUrlOptions options_;
  const Logger logger_;
  const Random random_;
  Snapshot<JwkSet> keys_;
  std::atomic<std::uint64_t> generation_{0};
  mutable Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_) =
      absl::UnavailableError("keys not fetched yet");
  std::string body_;  // the refreshing thread's own
  RefreshThread refresh_;
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
