// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/random.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/registry/registry_connection.h"
#include "grpcpp/channel.h"

namespace grpccommon::internal {

/// The connection to one of several addresses of a registry. Thread-safe.
///
/// A connection that failed is given up and a new one is made with the next
/// try, to the next address: when gRPC itself goes on trying, it does so at its
/// own pace, which is jittered by a fifth only and would bring all clients of a
/// registry back at once.
class Endpoints {
 public:
  struct Link {
    std::shared_ptr<grpc::Channel> channel;
    std::uint64_t number = 0;
  };

  /// `scheduler` is borrowed and must outlive this.
  Endpoints(const RegistryConnectionOptions& options, Scheduler& scheduler,
            const Random& random, Logger logger);
  /// No call holds a channel any more. Not on a thread of gRPC.
  ~Endpoints();

  Link Current();

  /// What a call over `link` came to. Moves on if that says that the other side
  /// is not what it should be, and nobody else has moved on meanwhile.
  void Report(const Link& link, const absl::Status& status);

 private:
  void PlanSweepLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Sweep();

  const RegistryConnectionOptions options_;
  Scheduler& scheduler_;
  const Logger logger_;
  mutable Mutex mutex_;
  std::size_t index_ ABSL_GUARDED_BY(mutex_);
  Link link_ ABSL_GUARDED_BY(mutex_);
  bool failing_ ABSL_GUARDED_BY(mutex_) = false;
  // Given up, and perhaps held by calls still. See CallGroup for why they go by
  // the scheduler's thread.
  std::vector<std::shared_ptr<grpc::Channel>> given_up_ ABSL_GUARDED_BY(mutex_);
  std::optional<Scheduler::TaskId> sweep_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace grpccommon::internal
