// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "grpccommon/registry/lease_backend.h"
#include "grpccommon/registry/lease_store.h"

namespace platform::registry {

/// The store of this process as the service asks for it. Answers at once.
class MemoryLeases final : public grpccommon::LeaseBackend {
 public:
  /// `store` is borrowed and must outlive it.
  explicit MemoryLeases(grpccommon::LeaseStore& store) : store_(store) {}

  void Register(std::string_view service, const grpccommon::Instance& instance,
                grpccommon::Clock::Duration ttl,
                Done<absl::StatusOr<Granted>> done) override;
  void Renew(std::string_view service, std::string_view lease_id,
             Done<absl::Status> done) override;
  void Deregister(std::string_view service, std::string_view lease_id,
                  Done<absl::Status> done) override;
  void Lookup(
      std::string_view service,
      Done<absl::StatusOr<std::vector<grpccommon::Instance>>> done) override;
  void List(std::string_view prefix, std::string_view after, std::size_t limit,
            Done<absl::StatusOr<std::vector<Summary>>> done) override;

 private:
  grpccommon::LeaseStore& store_;
};

}  // namespace platform::registry
