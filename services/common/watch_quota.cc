// SPDX-License-Identifier: Apache-2.0
#include "services/common/watch_quota.h"

#include <chrono>

#include "grpccommon/status/details.h"

namespace platform::common {

using grpccommon::MutexLock;

absl::Status WatchQuota::State::Take(const std::string& user) {
  const MutexLock lock(mutex);
  std::size_t& count = streams[user];
  if (count >= max_per_user) {
    return grpccommon::Exhausted("CALLER_WATCHES_TOO_MUCH", user,
                                 "you watch as much as one user may",
                                 std::chrono::seconds(5));
  }
  ++count;
  return absl::OkStatus();
}

void WatchQuota::State::GiveBack(const std::string& user) {
  const MutexLock lock(mutex);
  const auto own = streams.find(user);
  if (--own->second == 0) streams.erase(own);
}

std::size_t WatchQuota::users() const {
  const MutexLock lock(state_->mutex);
  return state_->streams.size();
}

}  // namespace platform::common
