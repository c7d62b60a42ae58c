// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "grpccommon/base/mutex.h"

namespace platform::common {

/// How many streams each user watches by at a time, so that nobody takes the
/// places of all others. Thread-safe.
class WatchQuota {
 public:
  /// At least 1.
  explicit WatchQuota(std::size_t max_per_user)
      : state_(std::make_shared<State>(max_per_user)) {}

  /// Takes a place until the stream of `writer`, which it may outlive, is done.
  /// Errors: kResourceExhausted, reason CALLER_WATCHES_TOO_MUCH.
  template <typename Writer>
  absl::Status Take(const std::string& user,
                    const std::shared_ptr<Writer>& writer) {
    absl::Status taken = state_->Take(user);
    if (taken.ok()) {
      writer->WhenDone([state = state_, user] { state->GiveBack(user); });
    }
    return taken;
  }

  /// Users who watch something.
  std::size_t users() const;

 private:
  struct State {
    explicit State(std::size_t max) : max_per_user(max) {}
    absl::Status Take(const std::string& user);
    void GiveBack(const std::string& user);

    const std::size_t max_per_user;
    mutable grpccommon::Mutex mutex;
    // Of those who have any.
    std::map<std::string, std::size_t> streams ABSL_GUARDED_BY(mutex);
  };

  const std::shared_ptr<State> state_;
};

}  // namespace platform::common
