// SPDX-License-Identifier: Apache-2.0
#include "http/session.h"

namespace grpccommon::internal {
namespace {

// A flood of connections over the limit must not take all file descriptors to
// tell each one so; beyond this many they are closed without a word.
constexpr int kMaxRefusing = 64;

}  // namespace

HttpCore::Admission HttpCore::Add(const std::shared_ptr<Session>& session) {
  const MutexLock lock(mutex);
  if (draining) return Admission::kDrop;
  const int served = static_cast<int>(sessions.size()) - refusing;
  const bool refuse = served >= options.max_connections;
  if (refuse) {
    refused.fetch_add(1, std::memory_order_relaxed);
    if (refusing >= kMaxRefusing) return Admission::kDrop;
    ++refusing;
  }
  sessions[session.get()] = {session, refuse};
  return refuse ? Admission::kRefuse : Admission::kServe;
}

void HttpCore::Replace(const Session& from,
                       const std::shared_ptr<Session>& to) {
  const MutexLock lock(mutex);
  sessions.erase(&from);
  sessions[to.get()] = {to, false};
}

void HttpCore::Remove(const Session& session) {
  const MutexLock lock(mutex);
  const auto place = sessions.find(&session);
  if (place == sessions.end()) return;
  if (place->second.refused) --refusing;
  sessions.erase(place);
  changed.NotifyAll();
}

std::vector<std::shared_ptr<Session>> HttpCore::Sessions() {
  std::vector<std::shared_ptr<Session>> all;
  const MutexLock lock(mutex);
  for (const auto& entry : sessions) {
    if (auto session = entry.second.session.lock()) {
      all.push_back(std::move(session));
    }
  }
  return all;
}

}  // namespace grpccommon::internal
