// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "grpccommon/base/mutex.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/call/server_interceptor.h"

namespace grpccommon::test {

/// Notes how each call ended, and what passed in the last.
class CallRecorder : public ServerInterceptor {
 public:
  std::string_view name() const override { return "recorder"; }
  Stage stage() const override { return Stage::kObserve; }
  void OnFinish(ServerCall& call, grpc::Status& status) override {
    {
      const MutexLock lock(mutex_);
      codes_.push_back(status.error_code());
      received_ = call.messages_received();
      sent_ = call.messages_sent();
      bytes_received_ = call.bytes_received();
      bytes_sent_ = call.bytes_sent();
      peer_ = call.peer();
    }
    finished_.NotifyAll();
  }
  /// How the calls ended, once there are so many.
  std::vector<int> WaitForCodes(std::size_t count) {
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::seconds(10);
    const MutexLock lock(mutex_);
    while (codes_.size() < count && finished_.WaitUntil(mutex_, end)) {
    }
    return codes_;
  }
  /// Waits for so many, and begins anew.
  void Forget(std::size_t count) {
    WaitForCodes(count);
    const MutexLock lock(mutex_);
    codes_.clear();
  }
  std::uint64_t received() const { return received_; }
  std::uint64_t sent() const { return sent_; }
  std::uint64_t bytes_received() const { return bytes_received_; }
  std::uint64_t bytes_sent() const { return bytes_sent_; }
  /// After WaitForCodes.
  const std::string& peer() const { return peer_; }

 private:
  Mutex mutex_;
  CondVar finished_;
  std::vector<int> codes_;
  std::uint64_t received_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t bytes_received_ = 0;
  std::uint64_t bytes_sent_ = 0;
  std::string peer_;
};

}  // namespace grpccommon::test
