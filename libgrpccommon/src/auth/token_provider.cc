// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/token_provider.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "auth/fetched_token.h"
#include "auth/http_fetch.h"
#include "auth/refresh_thread.h"
#include "auth/watched_file.h"
#include "base/json_reader.h"
#include "base/snapshot.h"
#include "grpccommon/auth/reasons.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/file.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/status/details.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMaxTokenBytes = 16 << 10;
// The least time between fetches that succeed, for tokens that hardly live.
constexpr Clock::Duration kFetchFloor = 1s;

absl::Status CheckToken(std::string_view token) {
  if (token.empty() || token.size() > kMaxTokenBytes ||
      !std::all_of(token.begin(), token.end(),
                   [](char c) { return c > ' ' && c < 0x7f; })) {
    return absl::InvalidArgumentError(
        "a token must have 1 to 16384 bytes of printable ASCII without blanks");
  }
  return absl::OkStatus();
}

absl::Status NoToken(std::string_view why) {
  return WithReason(
      absl::UnavailableError(absl::StrCat("no token: ", ToAbsl(why))),
      auth_reason::kTokenUnavailable, kErrorDomain);
}

class StaticToken : public TokenProvider {
 public:
  explicit StaticToken(std::string token)
      : token_(std::make_shared<const std::string>(std::move(token))) {}
  absl::StatusOr<std::shared_ptr<const std::string>> Token() const override {
    return token_.Get();
  }

 private:
  // Threads count references at places of their own.
  const internal::Snapshot<std::string> token_;
};

class TokenFile : public TokenProvider {
 public:
  TokenFile(const std::string& path, const Logger& logger)
      : token_(nullptr),
        file_(
            path, "token", Parse,
            [this](std::string token) {
              token_.Set(std::make_shared<const std::string>(std::move(token)));
            },
            logger) {}

  absl::Status Start(Scheduler& scheduler, Clock::Duration interval) {
    return file_.Start(scheduler, interval);
  }
  absl::StatusOr<std::shared_ptr<const std::string>> Token() const override {
    return token_.Get();
  }

 private:
  static absl::StatusOr<std::string> Parse(const std::string& content) {
    std::string token(absl::StripAsciiWhitespace(content));
    if (absl::Status valid = CheckToken(token); !valid.ok()) return valid;
    return token;
  }

  internal::Snapshot<std::string> token_;
  internal::WatchedFile<std::string> file_;
};

struct Issued {
  std::string token;
  // Not to be used from then on.
  Clock::TimePoint until;
};

class FetchedTokenProvider : public TokenProvider {
 public:
  FetchedTokenProvider(internal::FetchToken fetch, Scheduler& scheduler,
                       const ClientCredentialsOptions& options,
                       const Logger& logger, const Clock& clock, Random random)
      : fetch_(std::move(fetch)),
        options_(options),
        logger_(logger),
        clock_(clock),
        random_(random),
        issued_(nullptr),
        refresh_([this](const std::atomic<bool>& stop) { return Fetch(stop); },
                 {.min_backoff = options.min_backoff,
                  .max_backoff = options.max_backoff},
                 scheduler, clock, std::move(random)) {}

  absl::StatusOr<std::shared_ptr<const std::string>> Token() const override {
    std::shared_ptr<const Issued> issued = issued_.Get();
    if (issued != nullptr && clock_.Now() < issued->until) {
      const std::string* const token = &issued->token;
      return std::shared_ptr<const std::string>(std::move(issued), token);
    }
    const MutexLock lock(mutex_);
    return NoToken(why_);
  }

  // Returns when the first attempt has ended.
  void WaitForFirst(Clock::Duration at_most) {
    const auto until = std::chrono::steady_clock::now() + at_most;
    const MutexLock lock(mutex_);
    while (!attempted_ && attempt_ended_.WaitUntil(mutex_, until)) {
    }
  }

 private:
  // Returns after how long to fetch again.
  absl::StatusOr<Clock::Duration> Fetch(const std::atomic<bool>& stop) {
    const Clock::TimePoint asked_at = clock_.Now();
    absl::StatusOr<internal::FetchedToken> fetched = fetch_(stop);
    const absl::Status status =
        fetched.ok() ? CheckToken(fetched->token) : fetched.status();
    const std::string why(status.message());
    Clock::Duration due{0};
    if (status.ok()) {
      const Clock::Duration lifetime =
          fetched->lifetime.value_or(options_.default_lifetime);
      // Since it was asked for: it may have lain on the way for a while.
      issued_.Set(std::make_shared<const Issued>(
          Issued{std::move(fetched->token),
                 asked_at + lifetime -
                     std::min(options_.expiry_margin, lifetime / 10)}));
      due = std::max(internal::Scale(lifetime, 0.6 + 0.2 * random_()),
                     kFetchFloor);
    } else if (!stop.load()) {
      logger_.Error("token not fetched: the old one is used while it is valid",
                    {{"url", options_.token_url}, {"error", why}});
    }
    {
      const MutexLock lock(mutex_);
      why_ = status.ok() ? "the last one has expired" : why;
      attempted_ = true;
    }
    attempt_ended_.NotifyAll();
    if (!status.ok()) return status;
    return due;
  }

  const internal::FetchToken fetch_;
  const ClientCredentialsOptions options_;
  const Logger logger_;
  const Clock& clock_;
  const Random random_;
  internal::Snapshot<Issued> issued_;
  mutable Mutex mutex_;
  CondVar attempt_ended_;
  bool attempted_ ABSL_GUARDED_BY(mutex_) = false;
  std::string why_ ABSL_GUARDED_BY(mutex_) = "not fetched yet";
  internal::RefreshThread refresh_;
};

// application/x-www-form-urlencoded
std::string FormEncode(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || c == '-' || c == '.' || c == '_' ||
        c == '~') {
      encoded += c;
    } else {
      encoded += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return encoded;
}

absl::StatusOr<std::string> ReadSecret(
    const ClientCredentialsOptions& options) {
  if (options.client_secret_file.empty()) return options.client_secret;
  const absl::StatusOr<std::string> content =
      ReadFile(options.client_secret_file, kMaxTokenBytes);
  if (!content.ok()) return content.status();
  std::string secret(absl::StripAsciiWhitespace(*content));
  if (!secret.empty()) return secret;
  return absl::InvalidArgumentError(
      absl::StrCat(options.client_secret_file, " is empty"));
}

absl::StatusOr<internal::FetchedToken> FetchFromIssuer(
    const ClientCredentialsOptions& options, const std::atomic<bool>& stop) {
  const absl::StatusOr<std::string> secret = ReadSecret(options);
  if (!secret.ok()) return secret.status();
  internal::HttpRequest request = {.url = options.token_url,
                                   .allow_http = options.allow_http,
                                   .ca_file = options.ca_file,
                                   .timeout = options.timeout,
                                   .max_bytes = 64 << 10};
  std::string& form = request.form.emplace("grant_type=client_credentials");
  const auto add = [&form](std::string_view name, std::string_view value) {
    if (value.empty()) return;
    absl::StrAppend(&form, "&", ToAbsl(name), "=", FormEncode(value));
  };
  add("scope", options.scope);
  add("audience", options.audience);
  if (options.secret_in_form) {
    add("client_id", options.client_id);
    add("client_secret", *secret);
  } else {
    // Encoded first, so that they may contain a colon (RFC 6749, 2.3.1).
    request.user = FormEncode(options.client_id);
    request.password = FormEncode(*secret);
  }
  const absl::StatusOr<internal::HttpAnswer> answer =
      internal::Fetch(request, stop);
  if (!answer.ok()) return answer.status();
  return internal::ParseTokenAnswer(answer->code, answer->body);
}

absl::Status CheckOptions(const ClientCredentialsOptions& options) {
  absl::Status valid = CheckRange("timeout", options.timeout, 100ms, 1min);
  valid.Update(CheckRange("first_wait", options.first_wait, 0s, 1min));
  valid.Update(
      CheckRange("default_lifetime", options.default_lifetime, 10s, 24h));
  valid.Update(CheckRange("expiry_margin", options.expiry_margin, 0s, 5min));
  valid.Update(CheckRange("max_backoff", options.max_backoff, 100ms, 1h));
  valid.Update(CheckRange("min_backoff", options.min_backoff, 100ms,
                          options.max_backoff));
  if (options.client_id.empty()) {
    valid.Update(absl::InvalidArgumentError("client_id must not be empty"));
  }
  if (options.client_secret.empty() == options.client_secret_file.empty()) {
    valid.Update(absl::InvalidArgumentError(
        "one of client_secret and client_secret_file must be set"));
  }
  if (!valid.ok()) return valid;
  valid = internal::CheckFetch(options.token_url, options.allow_http);
  if (valid.ok()) valid = ReadSecret(options).status();
  return valid;
}

}  // namespace

namespace internal {

std::shared_ptr<TokenProvider> CreateFetchedToken(
    FetchToken fetch, Scheduler& scheduler,
    const ClientCredentialsOptions& options, const Logger& logger,
    const Clock& clock, Random random) {
  return std::make_shared<FetchedTokenProvider>(
      std::move(fetch), scheduler, options, logger, clock, std::move(random));
}

absl::StatusOr<FetchedToken> ParseTokenAnswer(long http_code,
                                              std::string_view body) {
  const absl::StatusOr<nlohmann::json> answer =
      ParseJson(body, "the issuer's answer", 64 << 10);
  const auto text = [&answer](const char* member) -> std::string {
    if (!answer.ok() || !answer->is_object()) return "";
    const auto found = answer->find(member);
    return found != answer->end() && found->is_string()
               ? found->get<std::string>()
               : "";
  };
  if (http_code != 200) {
    // One of a few words; what else the issuer says may hold anything.
    const std::string error = text("error");
    const bool plain =
        !error.empty() && error.size() <= 64 &&
        std::all_of(error.begin(), error.end(), [](char c) {
          return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
        });
    return absl::UnavailableError(absl::StrCat("the issuer's answer is HTTP ",
                                               http_code, plain ? ", " : "",
                                               plain ? error : ""));
  }
  if (!answer.ok()) {
    return absl::UnavailableError(answer.status().message());
  }
  if (!absl::EqualsIgnoreCase(text("token_type"), "bearer")) {
    return absl::UnavailableError(
        "the issuer's answer has another token_type than Bearer");
  }
  FetchedToken fetched{.token = text("access_token")};
  if (!CheckToken(fetched.token).ok()) {
    return absl::UnavailableError(
        "the issuer's answer has no access_token that can be sent");
  }
  if (const auto found = answer->find("expires_in"); found != answer->end()) {
    if (!found->is_number() || !(found->get<double>() >= 1)) {
      return absl::UnavailableError(
          "the issuer's answer has an expires_in that is no time");
    }
    // Beyond a year it makes no difference, and nanoseconds must hold it.
    fetched.lifetime = std::chrono::seconds(static_cast<std::int64_t>(
        std::min(found->get<double>(), 366.0 * 24 * 3600)));
  }
  return fetched;
}

}  // namespace internal

absl::StatusOr<std::shared_ptr<TokenProvider>> CreateStaticToken(
    std::string token) {
  if (absl::Status valid = CheckToken(token); !valid.ok()) return valid;
  return std::make_shared<StaticToken>(std::move(token));
}

absl::StatusOr<std::shared_ptr<TokenProvider>> CreateTokenFile(
    const std::string& path, Scheduler& scheduler,
    const TokenFileOptions& options, const Logger& logger) {
  if (absl::Status valid =
          CheckRange("check_interval", options.check_interval, 10ms, 1h);
      !valid.ok()) {
    return valid;
  }
  auto provider = std::make_shared<TokenFile>(path, logger);
  if (absl::Status started = provider->Start(scheduler, options.check_interval);
      !started.ok()) {
    return started;
  }
  return provider;
}

absl::StatusOr<std::shared_ptr<TokenProvider>> CreateClientCredentials(
    const ClientCredentialsOptions& options, Scheduler& scheduler,
    const Logger& logger, const Clock& clock, Random random) {
  if (absl::Status valid = CheckOptions(options); !valid.ok()) return valid;
  auto provider = std::make_shared<FetchedTokenProvider>(
      [options](const std::atomic<bool>& stop) {
        return FetchFromIssuer(options, stop);
      },
      scheduler, options, logger, clock, std::move(random));
  provider->WaitForFirst(options.first_wait);
  return provider;
}

}  // namespace grpccommon
