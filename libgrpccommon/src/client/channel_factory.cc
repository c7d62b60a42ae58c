// SPDX-License-Identifier: Apache-2.0
#include "client/channel_factory.h"

#include <grpc/grpc.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "grpccommon/base/check_range.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/tls_credentials_options.h"

namespace grpccommon {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;

int Milliseconds(nanoseconds duration) {
  return static_cast<int>(std::chrono::ceil<milliseconds>(duration).count());
}

absl::Status CheckTls(const ChannelTlsOptions& tls) {
  absl::Status valid = CheckRange("tls.reload_interval", tls.reload_interval,
                                  seconds(1), std::chrono::hours(24));
  if (tls.certificate_file.empty() != tls.private_key_file.empty()) {
    valid.Update(absl::InvalidArgumentError(
        "tls.certificate_file and tls.private_key_file must be set together"));
  }
  return valid;
}

bool IsPrintable(char c) { return c >= ' ' && c < 0x7f; }

}  // namespace

absl::Status CheckOptions(const ChannelOptions& options) {
  constexpr std::chrono::hours kDay(24);
  absl::Status valid;
  if (options.tls.has_value()) valid = CheckTls(*options.tls);
  valid.Update(
      CheckRange("keepalive.time", options.keepalive.time, seconds(10), kDay));
  valid.Update(CheckRange("keepalive.timeout", options.keepalive.timeout,
                          seconds(1), minutes(10)));
  const ReconnectOptions& reconnect = options.reconnect;
  valid.Update(CheckRange("reconnect.initial_backoff",
                          reconnect.initial_backoff, milliseconds(100),
                          std::chrono::hours(1)));
  valid.Update(CheckRange("reconnect.max_backoff", reconnect.max_backoff,
                          reconnect.initial_backoff, std::chrono::hours(1)));
  valid.Update(CheckRange("reconnect.connect_timeout",
                          reconnect.connect_timeout, milliseconds(100),
                          minutes(10)));
  constexpr double kMaxBytes = std::numeric_limits<int>::max();
  valid.Update(CheckRange("max_send_message_bytes",
                          static_cast<double>(options.max_send_message_bytes),
                          1, kMaxBytes));
  valid.Update(CheckRange(
      "max_receive_message_bytes",
      static_cast<double>(options.max_receive_message_bytes), 1, kMaxBytes));
  valid.Update(CheckRange("compression", options.compression,
                          GRPC_COMPRESS_NONE,
                          GRPC_COMPRESS_ALGORITHMS_COUNT - 1));
  if (!std::all_of(options.user_agent.begin(), options.user_agent.end(),
                   IsPrintable)) {
    valid.Update(
        absl::InvalidArgumentError("user_agent must be printable ASCII"));
  }
  for (const std::shared_ptr<ClientInterceptor>& interceptor :
       options.interceptors) {
    if (interceptor == nullptr) {
      valid.Update(absl::InvalidArgumentError("interceptors must not be null"));
    }
  }
  return valid;
}

namespace internal {
namespace {

std::shared_ptr<grpc::ChannelCredentials> TlsCredentials(
    const ChannelTlsOptions& options, const TlsFiles* files) {
  grpc::experimental::TlsChannelCredentialsOptions tls;
  if (files != nullptr) {
    tls.set_certificate_provider(files->CreateProvider(
        std::chrono::ceil<seconds>(options.reload_interval)));
    if (!options.ca_file.empty()) tls.watch_root_certs();
    if (!options.certificate_file.empty()) tls.watch_identity_key_cert_pairs();
  }
  return grpc::experimental::TlsCredentials(tls);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChannelFactory>> ChannelFactory::Create(
    const ChannelOptions& options, Scheduler& scheduler, const Logger& logger) {
  if (absl::Status valid = CheckOptions(options); !valid.ok()) return valid;
  std::unique_ptr<TlsFiles> files;
  if (options.tls.has_value() && !(options.tls->ca_file.empty() &&
                                   options.tls->certificate_file.empty())) {
    absl::StatusOr<std::unique_ptr<TlsFiles>> read =
        TlsFiles::Create({.certificate = options.tls->certificate_file,
                          .private_key = options.tls->private_key_file,
                          .ca = options.tls->ca_file,
                          .reload_interval = options.tls->reload_interval},
                         scheduler, logger);
    if (!read.ok()) return read.status();
    files = *std::move(read);
  }
  return std::unique_ptr<ChannelFactory>(
      new ChannelFactory(options, std::move(files)));
}

ChannelFactory::ChannelFactory(const ChannelOptions& options,
                               std::unique_ptr<TlsFiles> tls_files)
    : options_(options),
      tls_files_(std::move(tls_files)),
      credentials_(options.tls.has_value()
                       ? TlsCredentials(*options.tls, tls_files_.get())
                       : grpc::InsecureChannelCredentials()) {}

ChannelFactory::ArgumentMap ChannelFactory::Common() const {
  const ChannelKeepaliveOptions& keepalive = options_.keepalive;
  const ReconnectOptions& reconnect = options_.reconnect;
  ArgumentMap arguments = {
      {GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(keepalive.time)},
      {GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(keepalive.timeout)},
      {GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS,
       keepalive.without_calls ? 1 : 0},
      // Else gRPC stops after the second ping in a silence, and never learns
      // that a stream which waits for events has died.
      {GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0},
      {GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS,
       Milliseconds(reconnect.initial_backoff)},
      {GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, Milliseconds(reconnect.max_backoff)},
      {GRPC_ARG_MIN_RECONNECT_BACKOFF_MS,
       Milliseconds(reconnect.connect_timeout)},
      {GRPC_ARG_MAX_SEND_MESSAGE_LENGTH,
       static_cast<int>(options_.max_send_message_bytes)},
      {GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
       static_cast<int>(options_.max_receive_message_bytes)},
  };
  if (options_.compression != GRPC_COMPRESS_NONE) {
    arguments[GRPC_COMPRESSION_CHANNEL_DEFAULT_ALGORITHM] =
        static_cast<int>(options_.compression);
  }
  if (options_.tls.has_value() && !options_.tls->server_name.empty()) {
    arguments[GRPC_SSL_TARGET_NAME_OVERRIDE_ARG] = options_.tls->server_name;
  }
  return arguments;
}

grpc::ChannelArguments ChannelFactory::Finish(
    ArgumentMap arguments, const std::vector<ChannelArgument>& more) const {
  for (const ChannelArgument& argument : options_.arguments) {
    arguments.insert_or_assign(argument.name, argument.value);
  }
  for (const ChannelArgument& argument : more) {
    arguments.insert_or_assign(argument.name, argument.value);
  }
  grpc::ChannelArguments finished;
  if (!options_.user_agent.empty()) {
    finished.SetUserAgentPrefix(options_.user_agent);
  }
  for (const auto& [name, value] : arguments) {
    if (const int* const number = std::get_if<int>(&value)) {
      finished.SetInt(name, *number);
    } else {
      finished.SetString(name, std::get<std::string>(value));
    }
  }
  return finished;
}

grpc::ChannelArguments ChannelFactory::Arguments(
    const std::string& service_config) const {
  ArgumentMap arguments = Common();
  if (!options_.load_balancing_policy.empty()) {
    arguments[GRPC_ARG_LB_POLICY_NAME] = options_.load_balancing_policy;
  }
  if (!options_.share_connections) {
    arguments[GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL] = 1;
  }
  if (!service_config.empty()) {
    arguments[GRPC_ARG_SERVICE_CONFIG] = service_config;
  }
  return Finish(std::move(arguments), {});
}

std::shared_ptr<grpc::Channel> ChannelFactory::ConnectTo(
    const std::string& address,
    const std::vector<ChannelArgument>& more) const {
  ArgumentMap arguments = Common();
  arguments[GRPC_ARG_LB_POLICY_NAME] = "pick_first";
  arguments[GRPC_ARG_ENABLE_RETRIES] = 0;
  arguments[GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL] = 1;
  return grpc::CreateCustomChannel(address, credentials_,
                                   Finish(std::move(arguments), more));
}

}  // namespace internal
}  // namespace grpccommon
