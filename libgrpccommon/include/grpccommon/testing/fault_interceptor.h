// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>

#include "absl/status/status.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/random.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/call/server_interceptor.h"

namespace grpccommon::testing {

struct Fault {
  /// Share of calls that are held back, in [0, 1], and for how long.
  double delay_share = 0;
  std::chrono::nanoseconds delay{0};
  /// Share of calls that are refused, in [0, 1], and with what.
  double abort_share = 0;
  absl::Status status = absl::UnavailableError("injected fault");
};

/// Makes a server slow or failing on purpose, to see what its callers do.
/// Which methods is for the selector of Server::Use to say. Never blocks.
class GRPCCOMMON_EXPORT FaultInterceptor : public AsyncServerInterceptor {
 public:
  /// `scheduler` is borrowed and must outlive the interceptor.
  FaultInterceptor(Fault fault, Scheduler& scheduler,
                   Random random = UniformRandom);

  std::string_view name() const override { return "fault"; }
  Stage stage() const override { return Stage::kProtect; }
  absl::StatusOr<Hooks> Register(const Method& method) override;
  void OnStartAsync(ServerCall& call, Done done) override;

  /// Calls that were held back, and that were refused.
  int delayed() const { return delayed_; }
  int aborted() const { return aborted_; }

 private:
  const Fault fault_;
  Scheduler& scheduler_;
  const Random random_;
  std::atomic<int> delayed_{0};
  std::atomic<int> aborted_{0};
};

}  // namespace grpccommon::testing
