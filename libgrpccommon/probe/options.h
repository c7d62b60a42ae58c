// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace grpccommon::probe {

/// What the command line of grpccommon-probe asks for.
struct Options {
  enum class Action { kProbe, kHelp, kVersion };
  enum class Output { kText, kJson, kQuiet };

  Action action = Action::kProbe;
  /// As gRPC takes it: "host:port", "unix:/path", "dns:///host:port" …
  std::string address;
  /// "": the process as a whole.
  std::string service;
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds(1);
  std::chrono::nanoseconds rpc_timeout = std::chrono::seconds(1);
  /// Try again until the service serves or this is over; none: try once.
  std::optional<std::chrono::nanoseconds> wait;
  /// Follow the service until a signal comes.
  bool watch = false;
  bool tls = false;
  /// Files, PEM; empty: the machine's authorities, and no client certificate.
  std::string tls_ca_cert;
  std::string tls_client_cert;
  std::string tls_client_key;
  /// What the server's certificate must be for; empty: the address's host.
  std::string tls_server_name;
  std::string user_agent;
  Output output = Output::kText;
};

/// `arguments` without the program's name. Flags begin with one hyphen or two;
/// values follow in the next argument or after "=".
/// Errors: kInvalidArgument, naming the flag and what to do.
absl::StatusOr<Options> ParseArguments(
    const std::vector<std::string>& arguments);

/// The text of --help.
std::string_view HelpText();

}  // namespace grpccommon::probe
