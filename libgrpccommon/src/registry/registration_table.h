// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "grpccommon/base/mutex.h"

namespace grpccommon::internal {

/// The places that one Registry object holds, so that none is taken twice.
/// Thread-safe.
class RegistrationTable {
 public:
  /// Gives the place back when it is destroyed. Must not outlive its table.
  class Place {
   public:
    Place(RegistrationTable& table, std::pair<std::string, std::string> key)
        : table_(table), key_(std::move(key)) {}
    ~Place() {
      const MutexLock lock(table_.mutex_);
      table_.places_.erase(key_);
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    const std::string& service() const { return key_.first; }
    const std::string& address() const { return key_.second; }

   private:
    RegistrationTable& table_;
    const std::pair<std::string, std::string> key_;
  };

  /// Errors: kAlreadyExists.
  absl::StatusOr<std::unique_ptr<Place>> Take(const std::string& service,
                                              const std::string& address) {
    std::pair<std::string, std::string> key(service, address);
    const MutexLock lock(mutex_);
    if (!places_.insert(key).second) {
      return absl::AlreadyExistsError(address + " is registered for " +
                                      service + " already");
    }
    return std::make_unique<Place>(*this, std::move(key));
  }

 private:
  Mutex mutex_;
  std::set<std::pair<std::string, std::string>> places_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace grpccommon::internal
