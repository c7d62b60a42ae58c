// SPDX-License-Identifier: Apache-2.0
#include "auth/key_url.h"

#include <curl/curl.h>

#include <algorithm>
#include <cmath>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
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

std::string_view Trim(std::string_view text) {
  return ToStd(absl::StripAsciiWhitespace(ToAbsl(text)));
}

// One fetch by libcurl, and what its callbacks collect.
class Transfer {
 public:
  Transfer(const std::string& url, const KeyUrlOptions& options,
           const std::atomic<bool>& stop)
      : options_(options), stop_(stop), curl_(curl_easy_init()) {
    if (curl_ == nullptr) return;
    Set(CURLOPT_URL, url.c_str());
    Set(CURLOPT_NOSIGNAL, 1L);
    Set(CURLOPT_FOLLOWLOCATION, 0L);
    Set(CURLOPT_ERRORBUFFER, error_);
    Set(CURLOPT_USERAGENT, "grpccommon");
    const auto timeout = static_cast<long>(
        std::chrono::duration_cast<std::chrono::milliseconds>(options.timeout)
            .count());
    Set(CURLOPT_TIMEOUT_MS, timeout);
    Set(CURLOPT_CONNECTTIMEOUT_MS, timeout);
    const char* const protocols = options.allow_http ? "http,https" : "https";
#if LIBCURL_VERSION_NUM >= 0x075500
    Set(CURLOPT_PROTOCOLS_STR, protocols);
#else
    Set(CURLOPT_PROTOCOLS, options.allow_http
                               ? long{CURLPROTO_HTTP | CURLPROTO_HTTPS}
                               : long{CURLPROTO_HTTPS});
    static_cast<void>(protocols);
#endif
    if (!options.ca_file.empty()) Set(CURLOPT_CAINFO, options.ca_file.c_str());
    Set(CURLOPT_WRITEFUNCTION, &OnBody);
    Set(CURLOPT_WRITEDATA, this);
    Set(CURLOPT_HEADERFUNCTION, &OnHeader);
    Set(CURLOPT_HEADERDATA, this);
    Set(CURLOPT_XFERINFOFUNCTION, &OnProgress);
    Set(CURLOPT_XFERINFODATA, this);
    Set(CURLOPT_NOPROGRESS, 0L);
  }
  ~Transfer() { curl_easy_cleanup(curl_); }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  absl::StatusOr<FetchedKeys> Perform() {
    if (curl_ == nullptr) return absl::ResourceExhaustedError("out of memory");
    const CURLcode result = curl_easy_perform(curl_);
    if (too_large_) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the answer is larger than ", options_.max_bytes, " bytes"));
    }
    if (result != CURLE_OK) {
      return absl::UnavailableError(
          error_[0] != '\0' ? error_ : curl_easy_strerror(result));
    }
    long code = 0;
    curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &code);
    if (code != 200) {
      return absl::UnavailableError(absl::StrCat("the answer is HTTP ", code));
    }
    FetchedKeys fetched{.body = std::move(body_)};
    if (const std::optional<std::int64_t> max_age =
            ParseMaxAge(cache_control_)) {
      // A cache on the way has used up `Age` of it.
      fetched.lifetime =
          std::chrono::seconds(std::max<std::int64_t>(*max_age - age_, 0));
    }
    return fetched;
  }

 private:
  template <typename Value>
  void Set(CURLoption option, Value value) {
    curl_easy_setopt(curl_, option, value);
  }

  static std::size_t OnBody(char* data, std::size_t size, std::size_t count,
                            void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    if (transfer.body_.size() + size * count > transfer.options_.max_bytes) {
      transfer.too_large_ = true;
      return 0;
    }
    transfer.body_.append(data, size * count);
    return size * count;
  }

  static std::size_t OnHeader(char* data, std::size_t size, std::size_t count,
                              void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    const std::string_view line(data, size * count);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return line.size();
    const absl::string_view name = ToAbsl(line.substr(0, colon));
    const std::string_view value = Trim(line.substr(colon + 1));
    if (absl::EqualsIgnoreCase(name, "cache-control")) {
      if (!transfer.cache_control_.empty()) transfer.cache_control_ += ",";
      transfer.cache_control_ += value;
    } else if (absl::EqualsIgnoreCase(name, "age")) {
      if (!absl::SimpleAtoi(ToAbsl(value), &transfer.age_) ||
          transfer.age_ < 0) {
        transfer.age_ = 0;
      }
    }
    return line.size();
  }

  static int OnProgress(void* self, curl_off_t, curl_off_t, curl_off_t,
                        curl_off_t) {
    return static_cast<Transfer*>(self)->stop_.load() ? 1 : 0;
  }

  const KeyUrlOptions& options_;
  const std::atomic<bool>& stop_;
  CURL* const curl_;
  char error_[CURL_ERROR_SIZE] = {};
  std::string body_;
  std::string cache_control_;
  std::int64_t age_ = 0;
  bool too_large_ = false;
};

}  // namespace

std::optional<std::int64_t> ParseMaxAge(std::string_view cache_control) {
  std::optional<std::int64_t> max_age;
  for (const absl::string_view part :
       absl::StrSplit(ToAbsl(cache_control), ',')) {
    absl::string_view directive = absl::StripAsciiWhitespace(part);
    if (absl::EqualsIgnoreCase(directive, "no-store") ||
        absl::EqualsIgnoreCase(directive, "no-cache")) {
      return 0;
    }
    constexpr absl::string_view kMaxAge = "max-age=";
    if (!absl::StartsWithIgnoreCase(directive, kMaxAge)) continue;
    directive.remove_prefix(kMaxAge.size());
    std::int64_t seconds = 0;
    if (!absl::SimpleAtoi(directive, &seconds) || seconds < 0) continue;
    // Beyond a year it makes no difference, and nanoseconds must hold it.
    max_age = std::min<std::int64_t>(seconds, 366 * 24 * 3600);
  }
  return max_age;
}

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
  const bool https = absl::StartsWith(url, "https://");
  if (!https && !(options.allow_http && absl::StartsWith(url, "http://"))) {
    return absl::InvalidArgumentError(absl::StrCat(
        "url must begin with https://",
        options.allow_http ? " or http://" : " (or set allow_http)"));
  }
  if (url.find('@') != std::string::npos) {
    return absl::InvalidArgumentError(
        "url must not hold a user name or password");
  }
  static const CURLcode curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (curl_ready != CURLE_OK) {
    return absl::InternalError("libcurl cannot be initialised");
  }
  return internal::CreateFetchedKeySource(
      [url, options](const std::atomic<bool>& stop) {
        return internal::Transfer(url, options, stop).Perform();
      },
      url, scheduler, options, logger, clock, std::move(random));
}

}  // namespace grpccommon
