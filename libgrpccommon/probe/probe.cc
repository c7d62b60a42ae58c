// SPDX-License-Identifier: Apache-2.0
#include "probe/probe.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "grpccommon/base/file.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/utf8.h"
#include "grpccommon/health/health_client.h"
#include "grpcpp/channel.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"

namespace grpccommon::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

// An error is one line for people, whatever the server put into it.
constexpr std::size_t kMaxErrorBytes = 400;

std::string OnOneLine(std::string_view text) {
  std::string line = RepairUtf8(TruncateUtf8(text, kMaxErrorBytes));
  for (std::size_t i = 0; i < line.size(); ++i) {
    const auto c = static_cast<unsigned char>(line[i]);
    if (c < 0x20 || c == 0x7f) line[i] = ' ';
    // U+0080 to U+009F, which terminals take for commands, too.
    if (c == 0xc2 && static_cast<unsigned char>(line[i + 1]) < 0xa0) {
      line[i] = line[i + 1] = ' ';
    }
  }
  return line;
}

std::string Text(const absl::Status& status) {
  return absl::StrCat(absl::StatusCodeToString(status.code()), ": ",
                      OnOneLine(ToStd(status.message())));
}

std::string Text(nanoseconds duration) {
  return absl::FormatDuration(absl::FromChrono(duration));
}

// Reads the PEM file of a flag; none where the flag was not given.
absl::StatusOr<std::string> ReadPem(const std::string& flag,
                                    const std::string& path,
                                    const std::string& kind) {
  if (path.empty()) return std::string();
  absl::StatusOr<std::string> pem = ReadFile(path, 1 << 20);
  if (!pem.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": ", OnOneLine(ToStd(pem.status().message()))));
  }
  if (pem->find(kind + "-----") == std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": ", OnOneLine(path), " has no ",
                     absl::AsciiStrToLower(kind), " in PEM"));
  }
  return pem;
}

Outcome FromAnswer(const Options& options,
                   const absl::StatusOr<ServingStatus>& answer) {
  Outcome outcome;
  if (answer.ok()) {
    outcome.status = ServingStatusName(*answer);
    outcome.code = *answer == ServingStatus::kServing ? ExitCode::kServing
                                                      : ExitCode::kNotServing;
    if (*answer == ServingStatus::kServiceUnknown) {
      outcome.error = absl::StrCat("the server does not know the service '",
                                   OnOneLine(options.service), "'");
    } else if (*answer != ServingStatus::kServing) {
      outcome.error = absl::StrCat("not serving: ", outcome.status);
    }
    return outcome;
  }
  if (absl::IsUnimplemented(answer.status())) {
    outcome.code = ExitCode::kNoHealthService;
    outcome.error = "the server has no health service (grpc.health.v1)";
  } else if (absl::IsDeadlineExceeded(answer.status())) {
    outcome.code = ExitCode::kNoAnswer;
    outcome.error =
        absl::StrCat("no answer within ", Text(options.rpc_timeout));
  } else {
    outcome.code = ExitCode::kNoAnswer;
    outcome.error = absl::StrCat("the call failed: ", Text(answer.status()));
  }
  return outcome;
}

// Whether the channel is ready before the deadline; else `failed` says whether
// gRPC has given up or is still at it.
bool Connect(grpc::Channel& channel, steady_clock::time_point deadline,
             bool& failed) {
  for (;;) {
    const grpc_connectivity_state state = channel.GetState(true);
    if (state == GRPC_CHANNEL_READY) return true;
    failed = state == GRPC_CHANNEL_TRANSIENT_FAILURE ||
             state == GRPC_CHANNEL_SHUTDOWN;
    const nanoseconds left = deadline - steady_clock::now();
    if (failed ||
        !channel.WaitForStateChange(
            state,
            std::chrono::system_clock::now() +
                std::chrono::duration_cast<std::chrono::system_clock::duration>(
                    left))) {
      return false;
    }
  }
}

Outcome Attempt(const Options& options, grpc::Channel& channel,
                const HealthClient& client) {
  const auto begin = steady_clock::now();
  bool failed = false;
  const bool connected =
      Connect(channel, begin + options.connect_timeout, failed);
  const nanoseconds connect_time = steady_clock::now() - begin;
  Outcome outcome;
  outcome.connect_time = connect_time;
  if (!connected && !failed) {
    outcome.error =
        absl::StrCat("no connection within ", Text(options.connect_timeout));
    return outcome;
  }
  // Where there is no connection, the call fails at once and says why.
  const auto asked = steady_clock::now();
  const absl::StatusOr<ServingStatus> answer =
      client.Check(options.service, options.rpc_timeout);
  if (!connected && !answer.ok() &&
      channel.GetState(false) != GRPC_CHANNEL_READY) {
    outcome.error = absl::StrCat("no connection: ",
                                 OnOneLine(ToStd(answer.status().message())));
    return outcome;
  }
  outcome = FromAnswer(options, answer);
  outcome.connect_time = connect_time;
  outcome.rpc_time = steady_clock::now() - asked;
  return outcome;
}

ExitCode CodeOf(HealthState state) {
  switch (state) {
    case HealthState::kServing:
      return ExitCode::kServing;
    case HealthState::kNotServing:
    case HealthState::kServiceUnknown:
      return ExitCode::kNotServing;
    case HealthState::kNotWatchable:
      return ExitCode::kNoHealthService;
    case HealthState::kUnreachable:
    case HealthState::kUnknown:
      break;
  }
  return ExitCode::kNoConnection;
}

sigset_t EndingSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

double Milliseconds(nanoseconds duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

void PrintJson(const nlohmann::ordered_json& json) {
  const std::string text = json.dump(
      -1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  std::printf("%s\n", text.c_str());
  std::fflush(stdout);
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeCredentials(
    const Options& options) {
  if (!options.tls) return grpc::InsecureChannelCredentials();
  const auto roots =
      ReadPem("--tls-ca-cert", options.tls_ca_cert, "CERTIFICATE");
  if (!roots.ok()) return roots.status();
  const auto certificate =
      ReadPem("--tls-client-cert", options.tls_client_cert, "CERTIFICATE");
  if (!certificate.ok()) return certificate.status();
  const auto key =
      ReadPem("--tls-client-key", options.tls_client_key, "PRIVATE KEY");
  if (!key.ok()) return key.status();
  return grpc::SslCredentials({.pem_root_certs = *roots,
                               .pem_private_key = *key,
                               .pem_cert_chain = *certificate});
}

std::shared_ptr<grpc::Channel> MakeChannel(
    const Options& options,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetUserAgentPrefix(
      options.user_agent.empty()
          ? absl::StrCat("grpccommon-probe/", GRPCCOMMON_VERSION)
          : options.user_agent);
  if (!options.tls_server_name.empty()) {
    arguments.SetSslTargetNameOverride(options.tls_server_name);
  }
  // A probe asks this server, now: no proxy between, no configuration from DNS,
  // no connection of an earlier attempt.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // For --watch, which stays.
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5'000);
  return grpc::CreateCustomChannel(options.address, credentials, arguments);
}

Outcome Probe(const Options& options,
              const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  const std::shared_ptr<grpc::Channel> channel =
      MakeChannel(options, credentials);
  return Attempt(options, *channel, HealthClient(channel));
}

Outcome ProbeUntilServing(
    const Options& options,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  const auto end = steady_clock::now() + *options.wait;
  nanoseconds pause = milliseconds(50);
  std::optional<Outcome> before;
  for (;;) {
    const nanoseconds left =
        std::max<nanoseconds>(end - steady_clock::now(), milliseconds(1));
    Options attempt = options;
    attempt.connect_timeout = std::min(options.connect_timeout, left);
    attempt.rpc_timeout = std::min(options.rpc_timeout, left);
    Outcome outcome = Probe(attempt, credentials);
    if (outcome.code == ExitCode::kServing ||
        outcome.code == ExitCode::kNoHealthService) {
      return outcome;
    }
    const auto now = steady_clock::now();
    if (now + pause >= end) {
      // An attempt that the end cut short says less than the one before it.
      if (now >= end && outcome.status.empty() && before.has_value()) {
        outcome = *std::move(before);
      }
      outcome.error =
          absl::StrCat("not within ", Text(*options.wait), ": ", outcome.error);
      return outcome;
    }
    before = std::move(outcome);
    std::this_thread::sleep_for(pause);
    pause = std::min<nanoseconds>(2 * pause, std::chrono::seconds(1));
  }
}

void KeepSignalsForWatch() {
  const sigset_t signals = EndingSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

Outcome Watch(const Options& options,
              const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  HealthWatch watch(
      MakeChannel(options, credentials), options.service, *scheduler,
      [&options](HealthState state) {
        const std::string name =
            absl::AsciiStrToUpper(ToAbsl(HealthStateName(state)));
        if (options.output == Options::Output::kJson) {
          PrintJson({{"time", absl::FormatTime(absl::RFC3339_full, absl::Now(),
                                               absl::UTCTimeZone())},
                     {"status", name}});
        } else if (options.output == Options::Output::kText) {
          std::printf("status: %s\n", name.c_str());
          std::fflush(stdout);
        }
        // Ends the wait below.
        if (state == HealthState::kNotWatchable) kill(getpid(), SIGTERM);
      });
  const sigset_t signals = EndingSignals();
  int signal = 0;
  sigwait(&signals, &signal);
  Outcome outcome;
  outcome.code = CodeOf(watch.state());
  outcome.status =
      absl::AsciiStrToUpper(ToAbsl(HealthStateName(watch.state())));
  if (outcome.code == ExitCode::kNoHealthService) {
    outcome.error = "the server has no health watches (grpc.health.v1)";
  } else if (outcome.code == ExitCode::kNotServing) {
    outcome.error = absl::StrCat("not serving: ", outcome.status);
  } else if (outcome.code == ExitCode::kNoConnection) {
    outcome.error = watch.last_error().ok() ? "nothing is known yet"
                                            : Text(watch.last_error());
  }
  return outcome;
}

void Print(const Options& options, const Outcome& outcome) {
  switch (options.output) {
    case Options::Output::kQuiet:
      return;
    case Options::Output::kJson:
      PrintJson({{"address", options.address},
                 {"service", options.service},
                 {"status", outcome.status},
                 {"error", outcome.error},
                 {"connect_ms", Milliseconds(outcome.connect_time)},
                 {"rpc_ms", Milliseconds(outcome.rpc_time)},
                 {"exit_code", static_cast<int>(outcome.code)}});
      return;
    case Options::Output::kText:
      break;
  }
  if (outcome.code == ExitCode::kServing) {
    std::printf("status: %s\n", outcome.status.c_str());
  } else {
    std::fprintf(stderr, "grpccommon-probe: %s: %s\n", options.address.c_str(),
                 outcome.error.c_str());
  }
}

}  // namespace grpccommon::probe
