// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/key_source.h"

#include <atomic>
#include <utility>

#include "auth/watched_file.h"
#include "base/snapshot.h"
#include "grpccommon/base/check_range.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;

class StaticKeySource : public KeySource {
 public:
  explicit StaticKeySource(JwkSet keys)
      : keys_(std::make_shared<const JwkSet>(std::move(keys))) {}

  std::shared_ptr<const JwkSet> Keys() const override { return keys_.Get(); }
  std::uint64_t generation() const override { return 0; }

 private:
  internal::Snapshot<JwkSet> keys_;
};

class KeyFile : public KeySource {
 public:
  KeyFile(const std::string& path, const Logger& logger)
      : logger_(logger),
        file_(
            path, "keys", Parse,
            [this](JwkSet fresh) { Apply(std::move(fresh)); }, logger) {}

  absl::Status Start(Scheduler& scheduler, Clock::Duration interval) {
    return file_.Start(scheduler, interval);
  }

  static absl::StatusOr<JwkSet> Parse(const std::string& content) {
    return JwkSet::Parse(content);
  }

  std::shared_ptr<const JwkSet> Keys() const override { return keys_.Keys(); }
  std::uint64_t generation() const override { return keys_.generation(); }
  absl::Status status() const override { return file_.status(); }

 private:
  void Apply(JwkSet fresh) {
    for (const std::string& note : fresh.skipped()) {
      logger_.Warning("key left out", {{"error", note}});
    }
    keys_.Set(std::move(fresh));
  }

  const Logger logger_;
  SettableKeySource keys_;
  internal::WatchedFile<JwkSet> file_;
};

}  // namespace

struct SettableKeySource::Impl {
  internal::Snapshot<JwkSet> keys{std::make_shared<const JwkSet>()};
  std::atomic<std::uint64_t> generation{0};
};

SettableKeySource::SettableKeySource() : impl_(std::make_unique<Impl>()) {}
SettableKeySource::~SettableKeySource() = default;

void SettableKeySource::Set(JwkSet keys) {
  impl_->keys.Set(std::make_shared<const JwkSet>(std::move(keys)));
  // After the keys: who sees the new generation also sees the new keys.
  impl_->generation.fetch_add(1, std::memory_order_release);
}

std::shared_ptr<const JwkSet> SettableKeySource::Keys() const {
  return impl_->keys.Get();
}

std::uint64_t SettableKeySource::generation() const {
  return impl_->generation.load(std::memory_order_acquire);
}

std::unique_ptr<KeySource> CreateStaticKeySource(JwkSet keys) {
  return std::make_unique<StaticKeySource>(std::move(keys));
}

absl::StatusOr<std::unique_ptr<KeySource>> CreateKeyFile(
    const std::string& path, Scheduler& scheduler,
    const KeyFileOptions& options, const Logger& logger) {
  const absl::Status valid =
      CheckRange("check_interval", options.check_interval, 10ms, 1h);
  if (!valid.ok()) return valid;
  auto source = std::make_unique<KeyFile>(path, logger);
  if (absl::Status started = source->Start(scheduler, options.check_interval);
      !started.ok()) {
    return started;
  }
  return source;
}

}  // namespace grpccommon
