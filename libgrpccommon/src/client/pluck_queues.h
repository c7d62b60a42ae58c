// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>

#include "grpccommon/base/thread_slot.h"
#include "grpcpp/completion_queue.h"

namespace grpccommon::internal {

/// Completion queues that blocking calls wait on, kept for the next call. gRPC
/// makes one for each and destroys it, which is a twentieth of the call, and
/// takes two locks that all threads share.
///
/// Thread-safe, but for destruction; keeps at most sixteen. gRPC must run, as
/// it does while there is a channel.
class PluckQueues {
  struct alignas(kCacheLineBytes) Place {
    std::atomic<grpc::CompletionQueue*> queue{nullptr};
  };

 public:
  /// A queue without operations, to be given back so.
  class Lease {
   public:
    explicit Lease(PluckQueues& queues)
        : place_(queues.places_[ThreadSlot() % queues.places_.size()]),
          queue_(place_.queue.exchange(nullptr)) {
      if (queue_ == nullptr) queue_ = New();
    }
    ~Lease() { delete place_.queue.exchange(queue_); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    grpc::CompletionQueue& operator*() const { return *queue_; }

   private:
    Place& place_;
    grpc::CompletionQueue* queue_;
  };

  PluckQueues() = default;
  ~PluckQueues() {
    for (Place& place : places_) delete place.queue.load();
  }
  PluckQueues(const PluckQueues&) = delete;
  PluckQueues& operator=(const PluckQueues&) = delete;

 private:
  static grpc::CompletionQueue* New();

  std::array<Place, 16> places_;
};

}  // namespace grpccommon::internal
