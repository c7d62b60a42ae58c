// SPDX-License-Identifier: Apache-2.0
#include "registry/endpoints.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/string_view.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/support/channel_arguments.h"
#include "registry/address.h"

namespace grpccommon {

using namespace std::chrono_literals;

absl::Status CheckConnection(const RegistryConnectionOptions& options) {
  absl::Status valid = CheckRange(
      "addresses", static_cast<double>(options.addresses.size()), 1, 16);
  for (const std::string& address : options.addresses) {
    // What has a scheme is for gRPC to read.
    static constexpr std::string_view kSchemes[] = {
        "dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "xds:"};
    if (std::any_of(std::begin(kSchemes), std::end(kSchemes),
                    [&address](std::string_view scheme) {
                      return address.starts_with(scheme);
                    })) {
      continue;
    }
    // Names of containers have underscores.
    std::string strict = address;
    std::replace(strict.begin(), strict.end(), '_', 'x');
    if (const auto parsed = internal::ParseHostPort(strict); !parsed.ok()) {
      valid.Update(absl::InvalidArgumentError(
          absl::StrCat("addresses: ", internal::Quoted(address), ": ",
                       parsed.status().message())));
    }
  }
  valid.Update(CheckRange("call_timeout", options.call_timeout, 100ms, 60s));
  valid.Update(
      CheckRange("reconnect_initial", options.reconnect_initial, 10ms, 1min));
  valid.Update(CheckRange("reconnect_maximum", options.reconnect_maximum,
                          options.reconnect_initial, 10min));
  valid.Update(CheckRange("keepalive_time", options.keepalive_time, 10s, 1h));
  valid.Update(
      CheckRange("keepalive_timeout", options.keepalive_timeout, 1s, 1min));
  valid.Update(
      CheckRange("deregister_timeout", options.deregister_timeout, 0s, 1min));
  return valid;
}

namespace internal {
namespace {

int Milliseconds(Clock::Duration duration) {
  return static_cast<int>(
      std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

grpc::ChannelArguments ArgumentsOf(const RegistryConnectionOptions& options) {
  grpc::ChannelArguments arguments;
  // A connection of its own for each of our tries; see Endpoints.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // How long connecting may take. gRPC's own next try is beyond that.
  const int connect = Milliseconds(options.call_timeout);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, connect);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, connect);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS,
                   Milliseconds(options.reconnect_maximum) + connect);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS,
                   Milliseconds(options.keepalive_time));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                   Milliseconds(options.keepalive_timeout));
  // A silent watch is what it is for, so pings without data in between are.
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // Large sets come in parts, but a foreign registry may not do that.
  arguments.SetMaxReceiveMessageSize(64 << 20);
  arguments.SetServiceConfigJSON("{}");
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  return arguments;
}

// By then the call that failed has let go of its channel.
constexpr Clock::Duration kSweepDelay = 1s;

// Whether a registry that works may answer so.
bool IsAnAnswer(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return true;
    default:
      return false;
  }
}

}  // namespace

Endpoints::Endpoints(const RegistryConnectionOptions& options,
                     Scheduler& scheduler, const Random& random, Logger logger)
    : options_(options),
      scheduler_(scheduler),
      logger_(std::move(logger)),
      // At random, so that clients spread over the addresses.
      index_(std::min(
          options_.addresses.size() - 1,
          static_cast<std::size_t>(
              random() * static_cast<double>(options_.addresses.size())))) {}

Endpoints::~Endpoints() {
  std::optional<Scheduler::TaskId> sweep;
  {
    const MutexLock lock(mutex_);
    sweep = sweep_;
  }
  if (sweep.has_value()) scheduler_.Cancel(*sweep);
}

Endpoints::Link Endpoints::Current() {
  const MutexLock lock(mutex_);
  if (link_.channel == nullptr) {
    link_.channel = grpc::CreateCustomChannel(
        options_.addresses[index_],
        options_.credentials != nullptr ? options_.credentials
                                        : grpc::InsecureChannelCredentials(),
        ArgumentsOf(options_));
    ++link_.number;
  }
  return link_;
}

void Endpoints::Report(const Link& link, const absl::Status& status) {
  const bool answered = IsAnAnswer(status);
  std::string address;
  {
    const MutexLock lock(mutex_);
    PlanSweepLocked();
    if (status.code() == absl::StatusCode::kCancelled) return;
    if (answered && !failing_) return;
    address = options_.addresses[index_];
    if (!answered) {
      if (link.number != link_.number || link_.channel == nullptr) return;
      given_up_.push_back(std::exchange(link_.channel, nullptr));
      PlanSweepLocked();
      index_ = (index_ + 1) % options_.addresses.size();
    }
    // Once for each absence.
    if (std::exchange(failing_, !answered) == !answered) return;
  }
  if (answered) {
    logger_.Info("the registry answers again", {{"address", address}});
  } else {
    logger_.Warning("the registry does not answer",
                    {{"address", address}, {"error", status.ToString()}});
  }
}

void Endpoints::PlanSweepLocked() {
  if (given_up_.empty() || sweep_.has_value()) return;
  sweep_ = scheduler_.RunAfter(kSweepDelay, [this] { Sweep(); });
}

void Endpoints::Sweep() {
  std::vector<std::shared_ptr<grpc::Channel>> unused;  // go without the lock
  const MutexLock lock(mutex_);
  sweep_.reset();
  // One that only we hold stays so.
  const auto used = std::partition(
      given_up_.begin(), given_up_.end(),
      [](const auto& channel) { return channel.use_count() == 1; });
  unused.assign(std::make_move_iterator(given_up_.begin()),
                std::make_move_iterator(used));
  given_up_.erase(given_up_.begin(), used);
}

}  // namespace internal
}  // namespace grpccommon
