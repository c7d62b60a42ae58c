// SPDX-License-Identifier: Apache-2.0
#include "client/blocking_call.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "client/service_client.h"
#include "grpccommon/status/convert.h"

namespace grpccommon::internal {
namespace {

// How soon a wait notices that the parent was cancelled, which tells nobody.
constexpr Clock::Duration kParentCheck = std::chrono::milliseconds(10);

}  // namespace

BlockingCall::BlockingCall(ServiceClient& client, const ClientMethod& method,
                           const CallOptions& options,
                           const google::protobuf::MessageLite* request)
    : InFlight::Entry(client.resources().in_flight),
      client_(client),
      run_(client, method, options, request) {}

BlockingCall::~BlockingCall() { Leave(); }

absl::Status BlockingCall::Enter() {
  if (run_.options().cancellation != nullptr) {
    cancellation_.emplace(run_.options().cancellation, [this] { Cancel(); });
  }
  Bulkhead* const bulkhead = client_.resources().bulkhead.get();
  if (bulkhead == nullptr) return absl::OkStatus();
  absl::StatusOr<Bulkhead::Permit> permit = bulkhead->Acquire(run_.deadline());
  if (!permit.ok()) return permit.status();
  run_.bulkhead_permit = *std::move(permit);
  return absl::OkStatus();
}

absl::Status BlockingCall::PickAndStart(RunningAttempt& attempt) {
  for (;;) {
    absl::StatusOr<bool> picked = run_.TryPick(attempt);
    if (!picked.ok()) return picked.status();
    if (*picked) return run_.StartAttempt(attempt, false);
    if (absl::Status waited = WaitForEndpoint(); !waited.ok()) return waited;
  }
}

absl::Status BlockingCall::WaitForEndpoint() {
  // The answer may come when this call has been cancelled and is gone.
  struct Answer {
    Mutex mutex;
    CondVar arrived;
    std::optional<absl::Status> status ABSL_GUARDED_BY(mutex);
  };
  const auto answer = std::make_shared<Answer>();
  client_.resources().endpoints->WaitAsync(
      run_.deadline(), [answer](absl::Status status) {
        const MutexLock lock(answer->mutex);
        answer->status = std::move(status);
        answer->arrived.NotifyAll();
      });
  for (;;) {
    {
      const MutexLock lock(answer->mutex);
      if (!answer->status.has_value()) {
        answer->arrived.WaitUntil(
            answer->mutex, std::chrono::steady_clock::now() + kParentCheck);
      }
      if (answer->status.has_value()) return *answer->status;
    }
    const MutexLock lock(mutex_);
    if (cancelled_ || run_.parent_cancelled()) {
      return FromGrpcStatus(Cancelled());
    }
  }
}

bool BlockingCall::SleepUntil(Clock::TimePoint time) {
  const auto until = std::chrono::steady_clock::now() +
                     (time - client_.resources().clock->Now());
  const bool has_parent = run_.options().parent != nullptr;
  const MutexLock lock(mutex_);
  while (!cancelled_ && !run_.parent_cancelled()) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= until) return true;
    wake_.WaitUntil(mutex_,
                    has_parent ? std::min(until, now + kParentCheck) : until);
  }
  return false;
}

bool BlockingCall::Watch(grpc::ClientContext* context) {
  const MutexLock lock(mutex_);
  context_ = context;
  return !cancelled_;
}

void BlockingCall::Cancel() {
  const MutexLock lock(mutex_);
  cancelled_ = true;
  if (context_ != nullptr) context_->TryCancel();
  wake_.NotifyAll();
}

}  // namespace grpccommon::internal
