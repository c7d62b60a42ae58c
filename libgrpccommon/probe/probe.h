// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "probe/options.h"

namespace grpc {
class Channel;
class ChannelCredentials;
}  // namespace grpc

namespace grpccommon::probe {

/// The codes are part of the program's interface; those up to 4 are those of
/// grpc_health_probe.
enum class ExitCode {
  kServing = 0,
  kUsage = 1,
  kNoConnection = 2,
  kNoAnswer = 3,
  kNotServing = 4,
  kNoHealthService = 5,
};

/// What came of an attempt.
struct Outcome {
  ExitCode code = ExitCode::kNoConnection;
  /// "SERVING" and so on, as the server said; else empty.
  std::string status;
  /// Why it is not `kServing`, on one line; may hold what the server said.
  std::string error;
  std::chrono::nanoseconds connect_time{0};
  std::chrono::nanoseconds rpc_time{0};
};

/// Errors: kInvalidArgument naming the flag whose file cannot be used.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeCredentials(
    const Options& options);

/// A channel of its own: shares no connection with others.
std::shared_ptr<grpc::Channel> MakeChannel(
    const Options& options,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials);

/// Connects and asks once, within `connect_timeout` and `rpc_timeout`.
Outcome Probe(const Options& options,
              const std::shared_ptr<grpc::ChannelCredentials>& credentials);

/// The same again and again until the service serves, `options.wait` is over,
/// or no further attempt can make a difference (kNoHealthService).
Outcome ProbeUntilServing(
    const Options& options,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials);

/// Makes SIGINT and SIGTERM wait for `Watch`. To be called before gRPC is used,
/// whose threads inherit it.
void KeepSignalsForWatch();

/// Prints each state of the service to standard output until SIGINT or SIGTERM
/// comes, or the server turns out to have no watches. Returns the latest.
Outcome Watch(const Options& options,
              const std::shared_ptr<grpc::ChannelCredentials>& credentials);

/// Prints the outcome as the options say: good news to standard output, bad to
/// standard error.
void Print(const Options& options, const Outcome& outcome);

}  // namespace grpccommon::probe
