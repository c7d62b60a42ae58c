// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/random.h"

namespace grpccommon {

/// How the wait before a retry is drawn. `cap` of the n-th retry, from 0, is
/// min(max, initial * multiplier^n); U is uniform.
enum class BackoffKind : std::uint8_t {
  /// U[0, cap]: spreads clients best, and sends least (AWS, "Exponential
  /// Backoff And Jitter").
  kFullJitter,
  /// cap / 2 + U[0, cap / 2]: never next to nothing.
  kEqualJitter,
  /// min(max, U[initial, 3 * previous]), where the first `previous` is
  /// `initial`; knows no multiplier.
  kDecorrelated,
  /// cap * U[0.8, 1.2], which may exceed `max` (gRFC A6).
  kGrpc,
};

struct BackoffOptions {
  BackoffKind kind = BackoffKind::kFullJitter;
  /// In [1 ns, 24 h].
  std::chrono::nanoseconds initial = std::chrono::milliseconds(25);
  /// In [initial, 24 h].
  std::chrono::nanoseconds max = std::chrono::seconds(1);
  /// In [1, 100].
  double multiplier = 2;
};

/// Errors: kInvalidArgument, naming the option that is out of range, with
/// `prefix` before it.
GRPCCOMMON_EXPORT absl::Status CheckOptions(const BackoffOptions& options,
                                            std::string_view prefix = "");

/// The waits of one call, one after the other. A value of three words; not
/// thread-safe.
class GRPCCOMMON_EXPORT Backoff {
 public:
  /// `options` are valid (`CheckOptions`), borrowed, and outlive this.
  explicit Backoff(const BackoffOptions& options) : options_(&options) {
    Restart();
  }

  /// The wait before the next retry, at least 0; longer than `max` only with
  /// kGrpc, by a fifth. Calls `random` once.
  std::chrono::nanoseconds Next(const Random& random);

  /// Begins at `initial` again.
  void Restart() { state_ = static_cast<double>(options_->initial.count()); }

 private:
  const BackoffOptions* options_;
  // In nanoseconds: `cap`, or with kDecorrelated `previous`. As it saturates at
  // `max` there is no power that could overflow.
  double state_;
};

}  // namespace grpccommon
