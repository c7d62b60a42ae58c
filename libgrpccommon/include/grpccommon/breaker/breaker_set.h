// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/random.h"
#include "grpccommon/breaker/adaptive_breaker.h"
#include "grpccommon/breaker/circuit_breaker.h"
#include "grpccommon/breaker/sliding_window_breaker.h"

namespace grpccommon {

struct BreakerSetOptions {
  /// What each breaker is like.
  std::variant<SlidingWindowBreakerOptions, AdaptiveBreakerOptions> breaker;
  /// In [1, 1e6]. A breaker takes 3 to 5 KB by default.
  std::int64_t max_breakers = 10'000;
  /// As `CircuitBreaker::OnChange`, of any of them. Changes of one breaker come
  /// in order and one at a time; those of two may come at once.
  std::function<void(std::string_view key, BreakerState from, BreakerState to)>
      on_change;
};

/// One breaker for each key: a service, a method, an endpoint.
///
/// Thread-safe; one lock. Keep what `Get` gives rather than ask for each call.
class GRPCCOMMON_EXPORT BreakerSet {
 public:
  using Entry = std::pair<std::string, std::shared_ptr<CircuitBreaker>>;

  /// `clock` is borrowed and must outlive every breaker.
  /// Errors: kInvalidArgument, naming the option that is out of range.
  static absl::StatusOr<std::unique_ptr<BreakerSet>> Create(
      const BreakerSetOptions& options = {}, const Clock& clock = SteadyClock(),
      const Random& random = UniformRandom);

  /// The key's breaker, a new one where there is none yet. It may outlive the
  /// set.
  /// Errors: kResourceExhausted when the set is full: remove keys that are
  /// gone.
  absl::StatusOr<std::shared_ptr<CircuitBreaker>> Get(std::string_view key);

  /// The key's breaker, or null.
  std::shared_ptr<CircuitBreaker> Find(std::string_view key) const;

  /// Forgets a key; true if it was there. Who holds its breaker may go on to
  /// use it, beside the new one that the next `Get` makes.
  bool Remove(std::string_view key);

  /// All of them, by key.
  std::vector<Entry> List() const;
  std::size_t size() const;

 private:
  BreakerSet(BreakerSetOptions options, const Clock& clock, Random random);

  absl::StatusOr<std::unique_ptr<CircuitBreaker>> CreateBreaker(
      std::string_view key) const;

  const BreakerSetOptions options_;
  const Clock& clock_;
  const Random random_;
  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<CircuitBreaker>, std::less<>> breakers_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace grpccommon
