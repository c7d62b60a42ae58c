// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "grpccommon/auth/jwk.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/random.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/log/logger.h"

namespace grpccommon {

/// Where the keys come from that tokens are verified with.
///
/// Thread-safe; `Keys` and `generation` take no lock that two threads share.
class GRPCCOMMON_EXPORT KeySource {
 public:
  virtual ~KeySource() = default;

  /// The keys in force; empty, not null, while none was loaded.
  virtual std::shared_ptr<const JwkSet> Keys() const = 0;

  /// Grows after each change of the keys: what was verified under an older one
  /// has to be verified again.
  virtual std::uint64_t generation() const = 0;

  /// A token named a key that is not here. May look for new keys, in the
  /// background.
  virtual void ReportUnknownKey() {}

  /// OK, or why the latest attempt to get keys failed; those of before are then
  /// still in force.
  virtual absl::Status status() const { return absl::OkStatus(); }
};

/// Keys that never change.
GRPCCOMMON_EXPORT std::unique_ptr<KeySource> CreateStaticKeySource(JwkSet keys);

/// Keys that their owner replaces: those of an issuer that verifies its own
/// tokens. Empty until they are set.
class GRPCCOMMON_EXPORT SettableKeySource : public KeySource {
 public:
  SettableKeySource();
  ~SettableKeySource() override;

  /// What is verified after the return is verified with these.
  void Set(JwkSet keys);

  std::shared_ptr<const JwkSet> Keys() const override;
  std::uint64_t generation() const override;

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

struct KeyFileOptions {
  /// How often the file is looked at, in [10 ms, 1 h].
  Clock::Duration check_interval = std::chrono::seconds(5);
};

/// A file that JwkSet::Parse reads, read again when it changes. A broken file
/// is logged and keeps the old keys in force. `scheduler` is borrowed and must
/// outlive the source.
/// Errors: those of reading and parsing the file, naming it.
GRPCCOMMON_EXPORT absl::StatusOr<std::unique_ptr<KeySource>> CreateKeyFile(
    const std::string& path, Scheduler& scheduler,
    const KeyFileOptions& options = {}, const Logger& logger = {});

struct KeyUrlOptions {
  /// Permits "http://…": whoever can alter that traffic can then let himself
  /// in.
  bool allow_http = false;
  /// PEM with the authorities to trust; empty for those of the system.
  std::string ca_file;
  /// For a whole fetch, in [100 ms, 1 min].
  Clock::Duration timeout = std::chrono::seconds(5);
  /// Largest answer, in bytes, in [1 KiB, 1 MiB].
  std::size_t max_bytes = 256 << 10;
  /// How long keys are kept where the answer has no `Cache-Control: max-age`.
  Clock::Duration default_lifetime = std::chrono::minutes(15);
  /// Bounds of what the answer may ask for, in [1 s, 7 d].
  Clock::Duration min_lifetime = std::chrono::minutes(1);
  Clock::Duration max_lifetime = std::chrono::hours(24);
  /// Least time between two fetches for the sake of an unknown `kid`, in
  /// [1 s, 1 h]: strangers can make up as many of those as they like.
  Clock::Duration unknown_key_floor = std::chrono::seconds(30);
  /// After failures: equal jitter between half of and the full backoff, which
  /// doubles from `min_backoff` to `max_backoff`, in [100 ms, 1 h].
  Clock::Duration min_backoff = std::chrono::seconds(1);
  Clock::Duration max_backoff = std::chrono::minutes(5);
};

/// A JWK set at a URL, fetched at once and again after 80 to 95 % of its
/// lifetime, by a thread of its own. Redirects are not followed. A failed fetch
/// or an unusable answer is logged and keeps the old keys in force. `scheduler`
/// and `clock` are borrowed and must outlive the source.
///
/// Tokens are refused with UNAVAILABLE until the first fetch has succeeded.
/// Errors: kInvalidArgument, naming the option or the URL's fault.
GRPCCOMMON_EXPORT absl::StatusOr<std::unique_ptr<KeySource>> CreateKeyUrl(
    const std::string& url, Scheduler& scheduler,
    const KeyUrlOptions& options = {}, const Logger& logger = {},
    const Clock& clock = SteadyClock(), Random random = UniformRandom);

}  // namespace grpccommon
