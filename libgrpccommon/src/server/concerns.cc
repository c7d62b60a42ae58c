// SPDX-License-Identifier: Apache-2.0
#include "server/concerns.h"

#include <string>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpccommon/auth/authenticate_interceptor.h"
#include "grpccommon/auth/authenticator.h"
#include "grpccommon/auth/authorize_interceptor.h"
#include "grpccommon/auth/key_source.h"
#include "grpccommon/concurrency/deadline_interceptor.h"
#include "grpccommon/metrics/metrics_interceptor.h"
#include "grpccommon/ratelimit/rate_limit_interceptor.h"
#include "grpccommon/tracing/span_exporter.h"
#include "grpccommon/tracing/tracing_interceptor.h"
#include "grpccommon/validate/validate_interceptor.h"
#include "server/within.h"

namespace grpccommon::internal {
namespace {

// Adds what `made` of the options' `part` holds, or says why there is nothing.
template <typename Interceptor>
absl::Status Use(std::string_view part,
                 absl::StatusOr<std::unique_ptr<Interceptor>> made,
                 CallPath& path) {
  if (!made.ok()) return Within(part, made.status());
  path.Use(*std::move(made), Selector());
  return absl::OkStatus();
}

// Of AuthOptions or TokenIssuerOptions, which name these members alike; `name`
// is how they are configured.
template <typename Options>
absl::StatusOr<TrustedIssuer> MakeIssuer(const Options& options,
                                         const std::string& name,
                                         Scheduler& scheduler,
                                         const Logger& logger,
                                         const Clock& clock) {
  TrustedIssuer issuer;
  if constexpr (std::is_same_v<Options, TokenIssuerOptions>) {
    issuer.keys = options.keys;
  }
  const int sources = static_cast<int>(issuer.keys != nullptr) +
                      static_cast<int>(!options.jwks_file.empty()) +
                      static_cast<int>(!options.jwks_url.empty());
  if (sources != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("one of ", name, ".jwks_file and ", name,
                     ".jwks_url must be set, and not both"));
  }
  if (issuer.keys == nullptr) {
    absl::StatusOr<std::unique_ptr<KeySource>> keys =
        options.jwks_url.empty()
            ? CreateKeyFile(options.jwks_file, scheduler, {}, logger)
            : CreateKeyUrl(options.jwks_url, scheduler,
                           {.allow_http = options.allow_http_jwks}, logger,
                           clock);
    if (!keys.ok()) {
      return Within(absl::StrCat(name, options.jwks_url.empty() ? ".jwks_file"
                                                                : ".jwks_url"),
                    keys.status());
    }
    issuer.keys = *std::move(keys);
  }
  issuer.verifier.issuer = options.issuer;
  issuer.verifier.audiences = options.audiences;
  issuer.verifier.any_audience = options.any_audience;
  issuer.verifier.allowed_roles = options.roles;
  return issuer;
}

absl::StatusOr<std::unique_ptr<Authenticator>> MakeTokenAuthenticator(
    const AuthOptions& options, Scheduler& scheduler, const Logger& logger,
    const Clock& clock) {
  std::vector<TrustedIssuer> issuers;
  if (!options.jwks_file.empty() || !options.jwks_url.empty()) {
    absl::StatusOr<TrustedIssuer> issuer =
        MakeIssuer(options, "auth", scheduler, logger, clock);
    if (!issuer.ok()) return issuer.status();
    if (options.issuers.empty()) {
      return CreateJwtAuthenticator(std::move(issuer->keys),
                                    {.verifier = std::move(issuer->verifier)});
    }
    issuers.push_back(*std::move(issuer));
  }
  for (std::size_t i = 0; i < options.issuers.size(); ++i) {
    absl::StatusOr<TrustedIssuer> issuer =
        MakeIssuer(options.issuers[i], absl::StrCat("auth.issuers[", i, "]"),
                   scheduler, logger, clock);
    if (!issuer.ok()) return issuer.status();
    issuers.push_back(*std::move(issuer));
  }
  absl::StatusOr<std::unique_ptr<Authenticator>> made =
      CreateJwtAuthenticator(std::move(issuers));
  if (made.ok()) return made;
  return absl::Status(made.status().code(),
                      absl::StrCat("auth: ", made.status().message()));
}

// An exporter may serve several servers of a process.
class SharedExporter : public SpanExporter {
 public:
  explicit SharedExporter(std::shared_ptr<SpanExporter> exporter)
      : exporter_(std::move(exporter)) {}
  absl::Status Export(const SpanResource& resource,
                      std::span<const SpanData> spans) override {
    return exporter_->Export(resource, spans);
  }

 private:
  const std::shared_ptr<SpanExporter> exporter_;
};

// Whoever says which tokens to take and forgets the keys would have a server
// that takes everybody.
absl::Status CheckTokenOptions(const AuthOptions& options) {
  const bool has_keys = !options.jwks_file.empty() ||
                        !options.jwks_url.empty() || options.make_authenticator;
  const char* const orphan = !options.issuer.empty()      ? "issuer"
                             : !options.audiences.empty() ? "audiences"
                             : options.any_audience       ? "any_audience"
                             : !options.roles.empty()     ? "roles"
                                                          : nullptr;
  if (has_keys || orphan == nullptr) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("auth.", orphan, " is about tokens, and no keys are set: ",
                   "auth.jwks_file or auth.jwks_url"));
}

// Every kind of credential that the options name; empty if they name none.
absl::StatusOr<std::vector<std::unique_ptr<Authenticator>>> MakeAuthenticators(
    const AuthOptions& options, Scheduler& scheduler, const Logger& logger,
    const Clock& clock) {
  std::vector<std::unique_ptr<Authenticator>> kinds;
  absl::Status status;
  const auto add =
      [&](absl::StatusOr<std::unique_ptr<Authenticator>> authenticator) {
        if (authenticator.ok()) {
          kinds.push_back(*std::move(authenticator));
        } else {
          status.Update(authenticator.status());
        }
      };
  if (options.make_authenticator) {
    add(options.make_authenticator(scheduler, logger));
  } else {
    if (!options.jwks_file.empty() || !options.jwks_url.empty() ||
        !options.issuers.empty()) {
      add(MakeTokenAuthenticator(options, scheduler, logger, clock));
    }
    if (!options.api_key_file.empty()) {
      absl::StatusOr<std::unique_ptr<Authenticator>> keys =
          CreateApiKeyFileAuthenticator(options.api_key_file, scheduler, {},
                                        logger);
      if (!keys.ok()) return Within("auth.api_key_file", keys.status());
      add(std::move(keys));
    }
    if (options.client_certificates) add(CreateMtlsAuthenticator());
  }
  if (!status.ok()) return status;
  return kinds;
}

}  // namespace

Concerns::Concerns() = default;
Concerns::~Concerns() = default;

absl::Status Concerns::Install(const ServerOptions& options,
                               const Logger& logger, const Clock& clock,
                               CallPath& path) {
  absl::Status status = InstallObservers(options, logger, clock, path);
  status.Update(InstallProtection(options, clock, path));
  status.Update(InstallAuth(options.auth, logger, clock, path));
  if (options.validation) path.Use(std::make_shared<ValidateInterceptor>(), {});
  if (options.deadline.has_value()) {
    status.Update(
        Use("deadline", DeadlineInterceptor::Create(*options.deadline), path));
  }
  if (!status.ok()) return status;
  return ExposeOwnMetrics(logger);
}

absl::Status Concerns::InstallObservers(const ServerOptions& options,
                                        const Logger& logger,
                                        const Clock& clock, CallPath& path) {
  metrics_ = options.metrics_registry != nullptr
                 ? options.metrics_registry
                 : std::make_shared<MetricsRegistry>(MetricsRegistryOptions{
                       .service = options.name,
                       .service_version = options.version,
                       .logger = logger});
  absl::Status status;
  if (options.tracing.has_value()) {
    status.Update(InstallTracing(options, logger, clock, path));
  }
  if (options.metrics.has_value()) {
    status.Update(Use("metrics",
                      MetricsInterceptor::Create(*metrics_, *options.metrics),
                      path));
  }
  if (options.access_log.has_value()) {
    absl::StatusOr<std::unique_ptr<AccessLog>> log =
        AccessLog::Create(*options.access_log, logger);
    if (!log.ok()) return Within("access_log", log.status());
    access_log_ = *std::move(log);
    path.Use(access_log_, {});
  }
  return status;
}

absl::Status Concerns::InstallTracing(const ServerOptions& options,
                                      const Logger& logger, const Clock& clock,
                                      CallPath& path) {
  const TracingOptions& tracing = *options.tracing;
  if (tracing.exporter != nullptr) {
    absl::StatusOr<std::unique_ptr<BatchSpanProcessor>> spans =
        BatchSpanProcessor::Create(
            std::make_unique<SharedExporter>(tracing.exporter),
            {.resource = {{"service.name", options.name},
                          {"service.version", options.version}},
             .logger = logger});
    if (!spans.ok()) return spans.status();
    spans_ = *std::move(spans);
  }
  absl::StatusOr<std::unique_ptr<Tracer>> tracer =
      Tracer::Create(spans_.get(),
                     {.sample_ratio = tracing.sample_ratio,
                      .follow_caller = tracing.follow_caller},
                     clock);
  if (!tracer.ok()) return Within("tracing", tracer.status());
  tracer_ = *std::move(tracer);
  path.Use(std::make_shared<TracingInterceptor>(
               *tracer_, TracingInterceptorOptions{.message_events =
                                                       tracing.message_events}),
           {});
  return absl::OkStatus();
}

absl::Status Concerns::InstallProtection(const ServerOptions& options,
                                         const Clock& clock, CallPath& path) {
  if (options.concurrency.has_value()) {
    absl::StatusOr<std::unique_ptr<ConcurrencyInterceptor>> concurrency =
        ConcurrencyInterceptor::Create(*options.concurrency);
    if (!concurrency.ok()) {
      return Within("concurrency", concurrency.status());
    }
    concurrency_ = *std::move(concurrency);
    path.Use(concurrency_, {});
  }
  if (options.rate_limit.has_value()) {
    absl::StatusOr<std::unique_ptr<RateLimitInterceptor>> rate_limit =
        RateLimitInterceptor::Create(*options.rate_limit, clock);
    if (!rate_limit.ok()) return Within("rate_limit", rate_limit.status());
    rate_limit_ = *std::move(rate_limit);
    path.Use(rate_limit_, {});
  }
  return absl::OkStatus();
}

absl::Status Concerns::InstallAuth(const AuthOptions& options,
                                   const Logger& logger, const Clock& clock,
                                   CallPath& path) {
  if (absl::Status valid = CheckTokenOptions(options); !valid.ok()) {
    return valid;
  }
  absl::StatusOr<std::vector<std::unique_ptr<Authenticator>>> kinds =
      MakeAuthenticators(options, *scheduler_, logger, clock);
  if (!kinds.ok()) return kinds.status();
  authenticates_ = !kinds->empty();

  AuthorizeOptions authorize;
  authorize.default_access = options.default_access;
  if (authorize.default_access.kind == AccessRule::Kind::kDefault) {
    authorize.default_access.kind = authenticates_
                                        ? AccessRule::Kind::kAuthenticated
                                        : AccessRule::Kind::kPublic;
  }
  authorize.policy_file = options.policy_file;
  authorize.audit = logger;
  if (authenticates_) {
    std::unique_ptr<Authenticator> authenticator =
        kinds->size() == 1 ? std::move(kinds->front())
                           : AnyOf(*std::move(kinds));
    authorize.credential_hint = authenticator->hint();
    path.Use(
        std::make_shared<AuthenticateInterceptor>(
            std::move(authenticator), AuthenticateOptions{.audit = logger}),
        {});
  }
  return Use("auth.policy_file",
             AuthorizeInterceptor::Create(std::move(authorize), *scheduler_),
             path);
}

absl::Status Concerns::ExposeOwnMetrics(const Logger& logger) {
  absl::Status status;
  const auto keep = [&](absl::StatusOr<MetricRegistration> registration) {
    if (registration.ok()) {
      own_metrics_.push_back(*std::move(registration));
    } else {
      status.Update(registration.status());
    }
  };
  const auto counter = [&](std::string name, std::string help, auto read) {
    keep(metrics_->AddCallbackCounter(std::move(name), std::move(help), [read] {
      return static_cast<double>(read());
    }));
  };
  const auto gauge = [&](std::string name, std::string help, auto read) {
    keep(metrics_->AddCallbackGauge(std::move(name), std::move(help), [read] {
      return static_cast<double>(read());
    }));
  };
  if (logger.sink() != nullptr) {
    counter("grpccommon_log_dropped_lines_total",
            "Log lines that came faster than they could be written.",
            [sink = logger.sink()] { return sink->dropped(); });
  }
  if (spans_ != nullptr) {
    BatchSpanProcessor* const spans = spans_.get();
    counter("grpccommon_tracing_dropped_spans_total",
            "Spans that came faster than they could be exported.",
            [spans] { return spans->dropped(); });
    counter("grpccommon_tracing_failed_spans_total",
            "Spans that the exporter could not export.",
            [spans] { return spans->failed(); });
    counter("grpccommon_tracing_exported_spans_total",
            "Spans that the exporter took.",
            [spans] { return spans->exported(); });
  }
  if (concurrency_ != nullptr && concurrency_->server_limiter() != nullptr) {
    const ConcurrencyLimiter* const limiter = concurrency_->server_limiter();
    gauge("grpccommon_concurrency_limit",
          "Calls that the server admits at the same time.",
          [limiter] { return limiter->limit(); });
    gauge("grpccommon_concurrency_in_flight",
          "Calls that count for the server's limit.",
          [limiter] { return limiter->in_flight(); });
    counter("grpccommon_concurrency_rejected_total",
            "Calls that the server's limit shed.",
            [limiter] { return limiter->rejected(); });
  }
  if (rate_limit_ != nullptr) {
    const KeyedLimiter* const callers = &rate_limit_->callers();
    gauge("grpccommon_ratelimit_callers", "Callers that rate limits remember.",
          [callers] { return callers->keys(); });
    counter("grpccommon_ratelimit_displaced_callers_total",
            "Callers forgotten before their time to make room for others.",
            [callers] { return callers->displaced(); });
  }
  return status;
}

void Concerns::Flush() {
  if (spans_ != nullptr) spans_->Shutdown();
}

}  // namespace grpccommon::internal
