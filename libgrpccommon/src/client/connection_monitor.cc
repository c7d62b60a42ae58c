// SPDX-License-Identifier: Apache-2.0
#include "client/connection_monitor.h"

#include <chrono>
#include <utility>
#include <vector>

#include "grpc/support/time.h"

namespace grpccommon::internal {
namespace {

// The tag of the alarm that calls the thread back from gRPC; ids begin at 1.
constexpr std::uint64_t kWake = 0;

void* TagOf(std::uint64_t id) { return reinterpret_cast<void*>(id); }

}  // namespace

ConnectionMonitor::ConnectionMonitor()
    : queue_(std::make_unique<grpc::CompletionQueue>()),
      thread_([this] { Run(); }) {}

ConnectionMonitor::~ConnectionMonitor() {
  {
    const MutexLock lock(mutex_);
    stop_ = true;
    wake_.NotifyAll();
    WakePoll();
  }
  thread_.join();
  queue_->Shutdown();
  const auto give_up =
      std::chrono::system_clock::now() + std::chrono::seconds(5);
  void* tag = nullptr;
  bool ok = false;
  for (;;) {
    switch (queue_->AsyncNext(&tag, &ok, give_up)) {
      case grpc::CompletionQueue::SHUTDOWN:
        return;
      case grpc::CompletionQueue::TIMEOUT:
        // Somebody still has a channel, whose end would write into the queue.
        static_cast<void>(queue_.release());
        return;
      case grpc::CompletionQueue::GOT_EVENT:
        break;
    }
  }
}

std::unique_ptr<ConnectionMonitor::Watch> ConnectionMonitor::Add(
    std::shared_ptr<grpc::Channel> channel, OnChange on_change) {
  auto entry = std::make_shared<Entry>();
  entry->channel = std::move(channel);
  entry->on_change = std::move(on_change);
  entry->refresh = true;
  const MutexLock lock(mutex_);
  const std::uint64_t id = ++last_id_;
  entries_.emplace(id, std::move(entry));
  ++unconnected_;
  refresh_ = true;
  wake_.NotifyAll();
  WakePoll();
  return std::make_unique<Watch>(*this, id);
}

void ConnectionMonitor::Remove(std::uint64_t id) {
  std::shared_ptr<Entry> gone;
  const MutexLock lock(mutex_);
  const auto found = entries_.find(id);
  if (found != entries_.end()) {
    gone = std::move(found->second);
    entries_.erase(found);
    if (gone->state != GRPC_CHANNEL_READY) --unconnected_;
    gone->channel.reset();
  }
  if (std::this_thread::get_id() == thread_.get_id()) return;
  while (calling_ == id) called_.Wait(mutex_);
}

void ConnectionMonitor::Refresh(std::uint64_t id) {
  const MutexLock lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end() || found->second->refresh) return;
  found->second->refresh = true;
  refresh_ = true;
  wake_.NotifyAll();
  WakePoll();
}

void ConnectionMonitor::WakePoll() {
  if (!polling_ || alarm_ != nullptr) return;
  alarm_ = std::make_unique<grpc::Alarm>();
  alarm_->Set(queue_.get(), gpr_now(GPR_CLOCK_MONOTONIC), TagOf(kWake));
}

void ConnectionMonitor::Run() {
  while (Sleep()) {
    RefreshMarked();
    Poll();
  }
}

bool ConnectionMonitor::Sleep() {
  const MutexLock lock(mutex_);
  while (!stop_ && !refresh_ && unconnected_ == 0) wake_.Wait(mutex_);
  return !stop_;
}

void ConnectionMonitor::RefreshMarked() {
  std::vector<std::uint64_t> marked;
  {
    const MutexLock lock(mutex_);
    if (!refresh_) return;
    refresh_ = false;
    for (const auto& [id, entry] : entries_) {
      if (!std::exchange(entry->refresh, false)) continue;
      marked.push_back(id);
    }
  }
  for (const std::uint64_t id : marked) Look(id, false);
}

// Takes in one event, and waits for it while a channel is not connected.
void ConnectionMonitor::Poll() {
  {
    const MutexLock lock(mutex_);
    if (stop_ || refresh_ || unconnected_ == 0) return;
    polling_ = true;
  }
  void* tag = nullptr;
  bool ok = false;
  const bool got = queue_->Next(&tag, &ok);
  {
    const MutexLock lock(mutex_);
    polling_ = false;
  }
  if (!got) return;
  if (tag == TagOf(kWake)) {
    const MutexLock lock(mutex_);
    alarm_.reset();
    return;
  }
  Look(reinterpret_cast<std::uint64_t>(tag), true);
}

void ConnectionMonitor::Look(std::uint64_t id, bool told) {
  std::shared_ptr<Entry> entry;
  std::shared_ptr<grpc::Channel> channel;
  {
    const MutexLock lock(mutex_);
    const auto found = entries_.find(id);
    if (found == entries_.end()) return;
    entry = found->second;
    channel = entry->channel;
    if (told) entry->armed = false;
  }
  // Begins to connect if nobody does.
  const grpc_connectivity_state state = channel->GetState(true);
  // Who asked is told even if it is as it was: it may have been otherwise
  // meanwhile.
  bool tell = !told;
  bool arm = false;
  {
    const MutexLock lock(mutex_);
    if (entries_.count(id) == 0) return;
    if (entry->state != state) {
      tell = true;
      if (entry->state == GRPC_CHANNEL_READY) ++unconnected_;
      if (state == GRPC_CHANNEL_READY) --unconnected_;
      entry->state = state;
    }
    arm = !std::exchange(entry->armed, true);
    if (tell) calling_ = id;
  }
  // One that is armed for an older state has fired already, for the state is
  // another now; its event finds nothing new and arms it again.
  if (arm) {
    channel->NotifyOnStateChange(state, gpr_inf_future(GPR_CLOCK_MONOTONIC),
                                 queue_.get(), TagOf(id));
  }
  if (!tell) return;
  entry->on_change(state);
  const MutexLock lock(mutex_);
  calling_ = 0;
  called_.NotifyAll();
}

}  // namespace grpccommon::internal
