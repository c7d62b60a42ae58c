// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/breaker/breaker_set.h"

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/string_view.h"

namespace grpccommon {
namespace {

absl::StatusOr<std::unique_ptr<CircuitBreaker>> CreateOne(
    const SlidingWindowBreakerOptions& options, const Clock& clock,
    const Random& random) {
  return CreateSlidingWindowBreaker(options, clock, random);
}

absl::StatusOr<std::unique_ptr<CircuitBreaker>> CreateOne(
    const AdaptiveBreakerOptions& options, const Clock& clock,
    const Random& random) {
  return CreateAdaptiveBreaker(options, clock, random);
}

}  // namespace

absl::StatusOr<std::unique_ptr<BreakerSet>> BreakerSet::Create(
    const BreakerSetOptions& options, const Clock& clock,
    const Random& random) {
  absl::Status valid = CheckRange(
      "max_breakers", static_cast<double>(options.max_breakers), 1, 1e6);
  if (!valid.ok()) return valid;
  auto set = absl::WrapUnique(new BreakerSet(options, clock, random));
  // What is wrong with the options shows now, not at the first call.
  const auto trial = set->CreateBreaker("");
  if (!trial.ok()) return trial.status();
  return set;
}

BreakerSet::BreakerSet(BreakerSetOptions options, const Clock& clock,
                       Random random)
    : options_(std::move(options)), clock_(clock), random_(std::move(random)) {}

absl::StatusOr<std::unique_ptr<CircuitBreaker>> BreakerSet::CreateBreaker(
    std::string_view key) const {
  return std::visit(
      [&](auto options) {
        if (options_.on_change) {
          options.on_change = [key = std::string(key), all = options_.on_change,
                               own = std::move(options.on_change)](
                                  BreakerState from, BreakerState to) {
            if (own) own(from, to);
            all(key, from, to);
          };
        }
        return CreateOne(options, clock_, random_);
      },
      options_.breaker);
}

absl::StatusOr<std::shared_ptr<CircuitBreaker>> BreakerSet::Get(
    std::string_view key) {
  const MutexLock lock(mutex_);
  const auto place = breakers_.find(key);
  if (place != breakers_.end()) return place->second;
  if (static_cast<std::int64_t>(breakers_.size()) >= options_.max_breakers) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no circuit breaker for ", ToAbsl(key), ": there are ",
                     options_.max_breakers,
                     " (max_breakers); remove those of keys that are gone"));
  }
  absl::StatusOr<std::unique_ptr<CircuitBreaker>> breaker = CreateBreaker(key);
  if (!breaker.ok()) return breaker.status();
  return breakers_.emplace(key, *std::move(breaker)).first->second;
}

std::shared_ptr<CircuitBreaker> BreakerSet::Find(std::string_view key) const {
  const MutexLock lock(mutex_);
  const auto place = breakers_.find(key);
  return place == breakers_.end() ? nullptr : place->second;
}

bool BreakerSet::Remove(std::string_view key) {
  std::shared_ptr<CircuitBreaker> removed;  // destroyed without the lock
  const MutexLock lock(mutex_);
  const auto place = breakers_.find(key);
  if (place == breakers_.end()) return false;
  removed = std::move(place->second);
  breakers_.erase(place);
  return true;
}

std::vector<BreakerSet::Entry> BreakerSet::List() const {
  const MutexLock lock(mutex_);
  return {breakers_.begin(), breakers_.end()};
}

std::size_t BreakerSet::size() const {
  const MutexLock lock(mutex_);
  return breakers_.size();
}

}  // namespace grpccommon
