// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/registry/registry.h"
#include "grpccommon/registry/v1/registry_service.pb.h"
#include "grpccommon/stream/writer.h"

namespace platform::registry {

using WatchWriter =
    grpccommon::StreamWriter<grpccommon::registry::v1::WatchResponse>;

struct ServiceWatchesOptions {
  std::size_t max_watchers = 20'000;
  /// Changed addresses that a watched service remembers, for those who resume
  /// and those who are slow.
  std::size_t kept_changes = 10'000;
  /// More changes than these are told as a snapshot.
  std::size_t max_delta = 1000;
  /// Of one message; a larger state goes in parts.
  std::size_t max_message_bytes = 512 << 10;
  /// Whether the sets are complete from the start; else from SetComplete on.
  bool complete = true;
};

/// Brings the instances of each watched service to its watchers.
///
/// Watchers are not told of changes, they are brought up to date: whoever has
/// room gets the difference between what it was last sent and what there is
/// now, however many changes that was. So no queue grows behind a slow one, and
/// its next message is the latest state. (A Broadcaster would queue each change
/// for each watcher.) Messages that several watchers get are made once.
///
/// Keeps nothing about a service that nobody watches. Thread-safe.
class ServiceWatches {
 public:
  struct Counts {
    std::size_t watchers = 0;
    std::uint64_t snapshots = 0;
    std::uint64_t changes = 0;
  };

  /// `registry` is borrowed and must outlive it. `epoch` tells this object's
  /// revisions from any other's.
  ServiceWatches(grpccommon::Registry& registry, std::string epoch,
                 ServiceWatchesOptions options);
  /// After Close, and after the last stream has ended.
  ~ServiceWatches();

  /// Sends to `writer` until its end.
  /// Errors: kInvalidArgument for a bad name, kResourceExhausted with reason
  /// TOO_MANY_WATCHERS, the status of Close after that. The stream is left as
  /// it is then.
  absl::Status Add(
      const std::string& service,
      const std::optional<grpccommon::registry::v1::Position>& resume_after,
      const std::shared_ptr<WatchWriter>& writer);

  /// What was unknown so far is not there.
  void SetComplete();

  /// What watchers of the service know; nothing if there are none.
  std::optional<grpccommon::InstanceSet> LastKnown(
      const std::string& service) const;

  /// Ends all streams, after what they have queued, and refuses new ones.
  void Close(const absl::Status& status);

  Counts counts() const;

 private:
  class Topic;

  void Remove(const std::string& service, const WatchWriter* writer);

  grpccommon::Registry& registry_;
  const std::string epoch_;
  const ServiceWatchesOptions options_;
  // Over all services, so that a revision says where it is from after a service
  // was not watched for a while, too.
  std::atomic<std::int64_t> revision_{0};
  std::atomic<std::uint64_t> snapshots_{0};
  std::atomic<std::uint64_t> changes_{0};

  // Not under a topic's lock.
  mutable grpccommon::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Topic>> topics_ ABSL_GUARDED_BY(mutex_);
  std::size_t watchers_ ABSL_GUARDED_BY(mutex_) = 0;
  bool complete_ ABSL_GUARDED_BY(mutex_);
  absl::Status closed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace platform::registry
