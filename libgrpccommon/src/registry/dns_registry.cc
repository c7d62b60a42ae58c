// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/registry/dns_registry.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/string_view.h"
#include "registry/backoff.h"
#include "registry/dns_registry_over.h"
#include "registry/watch_hub.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using internal::DnsAnswer;
using internal::DnsResolver;
using internal::DnsTarget;

constexpr std::string_view kPlaceholder = "{service}";
constexpr Clock::Duration kFirstBackoff = 1s;

std::string Expand(std::string_view pattern, std::string_view service) {
  return absl::StrReplaceAll(ToAbsl(pattern),
                             {{ToAbsl(kPlaceholder), ToAbsl(service)}});
}

absl::Status Check(const DnsRegistryOptions& options) {
  absl::Status valid =
      CheckRange("refresh_interval", options.refresh_interval, 1s, 1h);
  valid.Update(CheckRange("min_interval", options.min_interval, 100ms,
                          options.refresh_interval));
  valid.Update(CheckRange("timeout", options.timeout, 100ms, 1min));
  // Whatever the service: one for which it makes sense must exist.
  if (options.pattern != kPlaceholder) {
    const absl::Status pattern =
        internal::ParseDnsTarget(Expand(options.pattern, "s")).status();
    if (!pattern.ok()) {
      valid.Update(absl::InvalidArgumentError(
          absl::StrCat("pattern: ", pattern.message())));
    }
  }
  for (const auto& [service, name] : options.names) {
    absl::Status entry = CheckServiceName(service);
    entry.Update(internal::ParseDnsTarget(name).status());
    if (!entry.ok()) {
      valid.Update(
          absl::InvalidArgumentError(absl::StrCat("names: ", entry.message())));
    }
  }
  return valid;
}

class DnsRegistry : public Registry {
 public:
  DnsRegistry(Scheduler& scheduler, const DnsRegistryOptions& options,
              Logger logger, Random random,
              std::unique_ptr<DnsResolver> resolver)
      : options_(options),
        scheduler_(scheduler),
        logger_(std::move(logger)),
        random_(std::move(random)),
        hub_(scheduler, logger_,
             [this](const std::string& service) { OnDemand(service); }),
        resolver_(std::move(resolver)) {}

  absl::StatusOr<std::unique_ptr<Registration>> Register(
      std::string /*service*/, Instance /*instance*/,
      RegistrationOptions /*options*/) override {
    return absl::UnimplementedError(
        "a DNS registry takes no registrations: what it finds is written into "
        "a zone");
  }

  absl::StatusOr<std::unique_ptr<InstanceWatch>> Watch(
      std::string service, OnChange on_change) override {
    const absl::StatusOr<DnsTarget> target = TargetOf(service);
    if (!target.ok()) return target.status();
    return hub_.Watch(std::move(service), std::move(on_change));
  }

 private:
  // A service that is looked up again and again.
  struct Follow {
    Follow(DnsTarget t, std::uint64_t n, internal::Backoff b)
        : target(std::move(t)), number(n), backoff(std::move(b)) {}

    DnsTarget target;
    // Of this following: an answer to an earlier one is an old answer.
    std::uint64_t number;
    internal::Backoff backoff;
    bool failing = false;
    std::optional<Scheduler::TaskId> timer;
  };

  absl::StatusOr<DnsTarget> TargetOf(const std::string& service) const {
    const auto name = options_.names.find(service);
    return internal::ParseDnsTarget(name != options_.names.end()
                                        ? name->second
                                        : Expand(options_.pattern, service));
  }

  void OnDemand(const std::string& service) {
    std::optional<Scheduler::TaskId> timer;
    {
      const MutexLock lock(mutex_);
      const auto follow = follows_.find(service);
      const bool watched = hub_.IsWatched(service);
      if (watched == (follow != follows_.end())) return;
      if (watched) {
        Begin(service);
      } else {
        timer = follow->second.timer;
        follows_.erase(follow);
      }
    }
    // Not under the lock, for which a running task may wait.
    if (timer.has_value()) scheduler_.Cancel(*timer);
  }

  void Begin(const std::string& service) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto follow =
        follows_
            .try_emplace(service, *TargetOf(service),  // Watch has checked it
                         ++last_number_,
                         internal::Backoff(kFirstBackoff,
                                           options_.refresh_interval, random_))
            .first;
    const DnsTarget& target = follow->second.target;
    if (!target.srv && target.host_port.kind != internal::HostKind::kName) {
      hub_.Publish(service,
                   {{.address = internal::JoinHostPort(target.host_port)}});
      return;
    }
    LookUp(service, follow->second);
  }

  void LookUp(const std::string& service, const Follow& follow)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    resolver_->LookUp(follow.target, [this, service, number = follow.number](
                                         absl::StatusOr<DnsAnswer> answer) {
      OnAnswer(service, number, std::move(answer));
    });
  }

  void OnAnswer(const std::string& service, std::uint64_t number,
                absl::StatusOr<DnsAnswer> answer) {
    bool turned = false;
    {
      const MutexLock lock(mutex_);
      const auto found = follows_.find(service);
      if (found == follows_.end() || found->second.number != number) return;
      Follow& follow = found->second;
      turned = std::exchange(follow.failing, !answer.ok()) == answer.ok();
      Clock::Duration wait;
      if (answer.ok()) {
        follow.backoff.Reset();
        wait = Jittered(std::clamp(answer->ttl, options_.min_interval,
                                   options_.refresh_interval));
        hub_.Publish(service, std::move(answer->instances));
      } else {
        wait = follow.backoff.Next();
        hub_.MarkAway(service, answer.status());
      }
      follow.timer = scheduler_.RunAfter(
          wait, [this, service, number] { Refresh(service, number); });
    }
    if (!turned) return;
    if (answer.ok()) {
      logger_.Info("DNS answers again", {{"registry_service", service}});
    } else {
      logger_.Warning("DNS does not answer: the last instances stay in force",
                      {{"registry_service", service},
                       {"error", ToStd(answer.status().message())}});
    }
  }

  void Refresh(const std::string& service, std::uint64_t number) {
    const MutexLock lock(mutex_);
    const auto follow = follows_.find(service);
    if (follow == follows_.end() || follow->second.number != number) return;
    LookUp(service, follow->second);
  }

  // Or the processes that were started together would ask together for ever.
  Clock::Duration Jittered(Clock::Duration wait) const {
    return std::chrono::duration_cast<Clock::Duration>(wait *
                                                       (0.9 + 0.2 * random_()));
  }

  const DnsRegistryOptions options_;
  Scheduler& scheduler_;
  const Logger logger_;
  const Random random_;

  Mutex mutex_;
  std::uint64_t last_number_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, Follow> follows_ ABSL_GUARDED_BY(mutex_);

  // Told under the lock above, and never asks for it under its own.
  internal::WatchHub hub_;
  // Last, so that it answers no more when the rest goes.
  const std::unique_ptr<DnsResolver> resolver_;
};

}  // namespace

namespace internal {

absl::StatusOr<std::unique_ptr<Registry>> CreateDnsRegistryOver(
    std::unique_ptr<DnsResolver> resolver, Scheduler& scheduler,
    const DnsRegistryOptions& options, const Logger& logger, Random random) {
  if (absl::Status valid = Check(options); !valid.ok()) return valid;
  return std::make_unique<DnsRegistry>(scheduler, options, logger,
                                       std::move(random), std::move(resolver));
}

}  // namespace internal

absl::StatusOr<std::unique_ptr<Registry>> CreateDnsRegistry(
    Scheduler& scheduler, const DnsRegistryOptions& options,
    const Logger& logger, Random random) {
  if (absl::Status valid = Check(options); !valid.ok()) return valid;
  absl::StatusOr<std::unique_ptr<DnsResolver>> resolver =
      internal::CreateDnsResolver(
          {.timeout = options.timeout, .name_servers = options.name_servers});
  if (!resolver.ok()) return resolver.status();
  return internal::CreateDnsRegistryOver(*std::move(resolver), scheduler,
                                         options, logger, std::move(random));
}

}  // namespace grpccommon
