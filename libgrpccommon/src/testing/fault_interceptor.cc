// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/testing/fault_interceptor.h"

#include <utility>

#include "grpccommon/base/check_range.h"

namespace grpccommon::testing {

FaultInterceptor::FaultInterceptor(Fault fault, Scheduler& scheduler,
                                   Random random)
    : fault_(std::move(fault)),
      scheduler_(scheduler),
      random_(std::move(random)) {}

absl::StatusOr<Hooks> FaultInterceptor::Register(const Method& /*method*/) {
  absl::Status valid = CheckRange("delay_share", fault_.delay_share, 0, 1);
  valid.Update(CheckRange("abort_share", fault_.abort_share, 0, 1));
  if (fault_.status.ok()) {
    valid.Update(absl::InvalidArgumentError("status must not be OK"));
  }
  if (!valid.ok()) return valid;
  return Hooks{.start = true, .finish = false};
}

void FaultInterceptor::OnStartAsync(ServerCall& /*call*/, Done done) {
  absl::Status verdict;
  if (random_() < fault_.abort_share) {
    ++aborted_;
    verdict = fault_.status;
  }
  if (random_() >= fault_.delay_share) {
    done(std::move(verdict));
    return;
  }
  ++delayed_;
  scheduler_.RunAfter(fault_.delay,
                      [done = std::move(done), verdict = std::move(verdict)] {
                        done(verdict);
                      });
}

}  // namespace grpccommon::testing
