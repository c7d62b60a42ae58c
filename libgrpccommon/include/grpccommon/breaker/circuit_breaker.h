// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cassert>
#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/status/outcome.h"

namespace grpccommon {

enum class BreakerState : std::uint8_t {
  /// Calls pass and are counted.
  kClosed,
  /// Calls are refused for a while.
  kOpen,
  /// A few calls pass as trials; how they end decides.
  kHalfOpen,
  /// Calls are refused until the operator says otherwise.
  kForcedOpen,
  /// Calls pass, and nothing is counted.
  kDisabled,
  /// Calls pass and are counted, and that has no consequences.
  kMetricsOnly,
};

/// "CLOSED", "OPEN", "HALF_OPEN", "FORCED_OPEN", "DISABLED", "METRICS_ONLY".
GRPCCOMMON_EXPORT std::string_view BreakerStateName(BreakerState state);

/// For a status page and metrics.
struct BreakerStats {
  BreakerState state = BreakerState::kClosed;
  /// Since when it has been in this state.
  Clock::TimePoint since;
  /// Calls of the window that succeeded or failed; in kHalfOpen the trials; in
  /// kOpen those that opened it; nothing in kForcedOpen and kDisabled.
  std::uint64_t calls = 0;
  std::uint64_t failures = 0;
  std::uint64_t slow_calls = 0;
  /// The probability with which a call would be refused just now: 0 or 1, or in
  /// between for an adaptive breaker.
  double rejection_probability = 0;
  /// Since the breaker was created.
  std::uint64_t refused_total = 0;
  std::uint64_t opened_total = 0;
};

/// Refuses calls to something that fails, so that callers lose no time with it
/// and it has room to recover.
///
/// Each attempt takes a permit and tells it how it ended:
///
///   CircuitBreaker::Permit permit = breaker.TryAcquire();
///   if (!permit) return CircuitOpen("users", breaker);
///   …
///   permit.Record(OutcomeOf(code), latency);
///
/// Thread-safe. Nothing of it blocks, and neither acquiring nor recording
/// allocates unless the state changes.
class GRPCCOMMON_EXPORT CircuitBreaker {
 public:
  /// Told of each change of state, in their order and one at a time, without a
  /// lock held, on the path of a call that caused one of them: be brief. It may
  /// call the breaker. What it throws is dropped.
  using OnChange = std::function<void(BreakerState from, BreakerState to)>;

  /// The permission for one attempt. Destroyed without `Record` it counts as
  /// Outcome::kIgnored, so a trial is always given back. What comes of an
  /// attempt that was granted before the breaker's state last changed is
  /// ignored: it says nothing about now.
  ///
  /// 16 bytes, of one thread at a time. Must not outlive its breaker.
  class [[nodiscard]] Permit {
   public:
    /// Refused, as one that was moved from or has recorded.
    Permit() = default;
    Permit(Permit&& other) noexcept
        : breaker_(std::exchange(other.breaker_, nullptr)),
          ticket_(other.ticket_) {}
    Permit& operator=(Permit&& other) noexcept {
      if (this != &other) {
        GiveBack();
        breaker_ = std::exchange(other.breaker_, nullptr);
        ticket_ = other.ticket_;
      }
      return *this;
    }
    ~Permit() { GiveBack(); }

    /// Whether the attempt may be made.
    explicit operator bool() const { return breaker_ != nullptr; }

    /// Says how the attempt ended and how long it took; once. Does nothing to
    /// a refused permit.
    void Record(Outcome outcome, Clock::Duration latency) {
      if (breaker_ == nullptr) return;
      std::exchange(breaker_, nullptr)->Record(ticket_, outcome, latency);
    }

   private:
    friend class CircuitBreaker;
    Permit(CircuitBreaker* breaker, std::uint64_t ticket)
        : breaker_(breaker), ticket_(ticket) {}
    void GiveBack() { Record(Outcome::kIgnored, Clock::Duration::zero()); }

    CircuitBreaker* breaker_ = nullptr;
    std::uint64_t ticket_ = 0;
  };

  virtual ~CircuitBreaker() = default;
  CircuitBreaker(const CircuitBreaker&) = delete;
  CircuitBreaker& operator=(const CircuitBreaker&) = delete;

  /// Asks to make an attempt now.
  virtual Permit TryAcquire() = 0;

  /// How long to wait until a call may pass again; zero where calls pass. An
  /// estimate where that hangs on trials, on chance or on the operator.
  virtual Clock::Duration RetryAfter() const = 0;

  /// Time alone changes no state: an open breaker whose time is over stays
  /// kOpen until someone asks for a permit.
  virtual BreakerState state() const = 0;

  /// What the operator wants, until `Reset`. Each begins anew: counts are
  /// dropped, and attempts under way are not counted.
  virtual void ForceOpen() = 0;
  virtual void Disable() = 0;
  virtual void MetricsOnly() = 0;
  /// Closed, and nothing counted.
  virtual void Reset() = 0;

  virtual BreakerStats stats() const = 0;

 protected:
  CircuitBreaker() = default;

  /// `ticket` comes back with `Record`.
  Permit Grant(std::uint64_t ticket) { return Permit(this, ticket); }

 private:
  virtual void Record(std::uint64_t ticket, Outcome outcome,
                      Clock::Duration latency) = 0;
};

/// The status of a call that `breaker` refused: UNAVAILABLE with ErrorInfo
/// (reason CIRCUIT_OPEN, metadata "breaker": `key`) and RetryInfo. The message
/// says which breaker refused, why, and until when.
GRPCCOMMON_EXPORT absl::Status CircuitOpen(std::string_view key,
                                           const CircuitBreaker& breaker);

}  // namespace grpccommon
