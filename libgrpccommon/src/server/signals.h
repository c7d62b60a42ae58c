// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace grpccommon::internal {

/// SIGTERM and SIGINT as something to wait for, from construction to
/// destruction, when the old handlers come back. One at a time in a process.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// Blocks until a signal arrives (true) or Interrupt is called (false).
  bool Wait();
  void Interrupt();
};

}  // namespace grpccommon::internal
