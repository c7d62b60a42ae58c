// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "auth/tls_files.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/client/channel.h"
#include "grpccommon/log/logger.h"
#include "grpcpp/channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"

namespace grpccommon::internal {

/// Makes channels of one kind, which share credentials and so the watching of
/// their files.
///
/// Thread-safe.
class ChannelFactory {
 public:
  /// `scheduler` is borrowed and must outlive this; this must outlive the
  /// channels. Interceptors and services of `options` are not looked at here.
  /// Errors: kInvalidArgument for options out of range; as TlsFiles::Create.
  static absl::StatusOr<std::unique_ptr<ChannelFactory>> Create(
      const ChannelOptions& options, Scheduler& scheduler,
      const Logger& logger);

  /// A channel to one endpoint ("host:port" or "unix:/path", as a registry has
  /// it) for a caller that balances and retries itself: without interceptors,
  /// service config and gRPC's retries, and with a connection of its own, which
  /// no other channel shares. `more` goes before all other arguments.
  std::shared_ptr<grpc::Channel> ConnectTo(
      const std::string& address,
      const std::vector<ChannelArgument>& more = {}) const;

  /// Whether connections are encrypted.
  bool secure() const { return options_.tls.has_value(); }

  /// Whether something must live as long as the channels.
  bool watches_files() const { return tls_files_ != nullptr; }

  /// For CreateChannel: what a channel to any target is made with.
  grpc::ChannelArguments Arguments(const std::string& service_config) const;
  const std::shared_ptr<grpc::ChannelCredentials>& credentials() const {
    return credentials_;
  }

 private:
  // By name, since of two with the same name gRPC does not take the later.
  using ArgumentMap = std::map<std::string, std::variant<int, std::string>>;

  ArgumentMap Common() const;
  grpc::ChannelArguments Finish(ArgumentMap arguments,
                                const std::vector<ChannelArgument>& more) const;

  ChannelFactory(const ChannelOptions& options,
                 std::unique_ptr<TlsFiles> tls_files);

  const ChannelOptions options_;
  const std::unique_ptr<TlsFiles> tls_files_;
  std::shared_ptr<grpc::ChannelCredentials> credentials_;
};

}  // namespace grpccommon::internal
