// SPDX-License-Identifier: Apache-2.0
#include "probe/options.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/utf8.h"

namespace grpccommon::probe {
namespace {

using std::chrono::nanoseconds;

// What grpc_health_probe has and this program has not, and what to do instead.
constexpr std::array<std::pair<std::string_view, std::string_view>, 6>
    kNotOffered = {{
        {"tls-no-verify",
         "name the authority with --tls-ca-cert, and what the certificate is "
         "for with --tls-server-name"},
        {"rpc-header", "health needs no metadata: it is public"},
        {"gzip", "an answer has two bytes"},
        {"alts", "use --tls with --tls-client-cert and --tls-client-key"},
        {"spiffe", "use --tls with --tls-client-cert and --tls-client-key"},
        {"v", "use --json for all there is to say"},
    }};

template <typename... Parts>
absl::Status Refuse(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

// Foreign text, on one line.
std::string Quote(std::string_view text) {
  return absl::StrCat("'", absl::Utf8SafeCHexEscape(ToAbsl(text)), "'");
}

// Sets an option from a flag's text; a refusal goes on after the flag's name.
using Setter = std::function<absl::Status(std::string_view value)>;

struct Flag {
  bool takes_value;
  Setter set;
};

Setter Text(std::string& option) {
  return [&option](std::string_view value) -> absl::Status {
    if (value.empty()) return Refuse("must not be empty; leave it out");
    if (!IsUtf8(value)) return Refuse("must be UTF-8");
    option = value;
    return absl::OkStatus();
  };
}

Setter Switch(std::function<void(bool)> set) {
  return [set = std::move(set)](std::string_view value) -> absl::Status {
    if (!value.empty() && value != "true" && value != "false") {
      return Refuse("takes no value but true or false, got ", Quote(value));
    }
    set(value != "false");
    return absl::OkStatus();
  };
}

Setter Switch(bool& option) {
  return Switch([&option](bool value) { option = value; });
}

Setter Duration(std::function<void(nanoseconds)> set, absl::Duration most) {
  return [set = std::move(set), most](std::string_view value) -> absl::Status {
    absl::Duration duration;
    if (!absl::ParseDuration(ToAbsl(value), &duration)) {
      return Refuse("must be a duration like 500ms, 2s or 1m30s, got ",
                    Quote(value));
    }
    if (duration < absl::Milliseconds(1) || duration > most) {
      return Refuse("must be in [1ms, ", absl::FormatDuration(most), "], got ",
                    absl::FormatDuration(duration));
    }
    set(absl::ToChronoNanoseconds(duration));
    return absl::OkStatus();
  };
}

Setter Duration(nanoseconds& option) {
  return Duration([&option](nanoseconds value) { option = value; },
                  absl::Hours(1));
}

// "host:port", ":port", or a URI of a scheme that gRPC resolves itself.
absl::Status SetAddress(std::string_view value, std::string& address) {
  constexpr char kWanted[] =
      "must be host:port or unix:/path, as in localhost:50051, got ";
  for (const std::string_view scheme :
       {"unix:", "unix-abstract:", "dns:", "ipv4:", "ipv6:"}) {
    if (absl::StartsWith(ToAbsl(value), ToAbsl(scheme))) {
      if (value.size() == scheme.size()) return Refuse(kWanted, Quote(value));
      address = value;
      return absl::OkStatus();
    }
  }
  const std::size_t colon = value.rfind(':');
  if (colon == std::string_view::npos) return Refuse(kWanted, Quote(value));
  const std::string_view host = value.substr(0, colon);
  int port = 0;
  if (!absl::SimpleAtoi(ToAbsl(value.substr(colon + 1)), &port) || port < 1 ||
      port > 65535) {
    return Refuse("must end in a port in [1, 65535], got ", Quote(value));
  }
  const bool bracketed =
      host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (!bracketed && host.find_first_of(":[]") != std::string_view::npos) {
    return Refuse("must have brackets around IPv6, as in [::1]:50051, got ",
                  Quote(value));
  }
  if (host.find_first_of("/ \t\r\n") != std::string_view::npos) {
    return Refuse(kWanted, Quote(value));
  }
  address = absl::StrCat(host.empty() ? "localhost" : ToAbsl(host), ":", port);
  return absl::OkStatus();
}

absl::Status CheckTogether(const Options& options) {
  if (options.address.empty()) {
    return Refuse("--addr is missing: where the server listens, as in ",
                  "--addr=localhost:50051");
  }
  for (const auto& [flag, value] :
       {std::pair("--tls-ca-cert", &options.tls_ca_cert),
        std::pair("--tls-client-cert", &options.tls_client_cert),
        std::pair("--tls-client-key", &options.tls_client_key),
        std::pair("--tls-server-name", &options.tls_server_name)}) {
    if (!options.tls && !value->empty()) {
      return Refuse(flag, " is for TLS: add --tls");
    }
  }
  if (options.tls_client_cert.empty() != options.tls_client_key.empty()) {
    return options.tls_client_key.empty()
               ? Refuse("--tls-client-cert needs its key: add --tls-client-key")
               : Refuse("--tls-client-key needs its certificate: add ",
                        "--tls-client-cert");
  }
  if (options.watch && options.wait.has_value()) {
    return Refuse("--wait ends when the service serves, --watch does not: ",
                  "leave one of them out");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Options> ParseArguments(
    const std::vector<std::string>& arguments) {
  Options options;
  bool json = false;
  bool quiet = false;
  const std::map<std::string_view, Flag> flags = {
      {"addr",
       {true,
        [&](std::string_view value) {
          return SetAddress(value, options.address);
        }}},
      // May be empty: the process as a whole.
      {"service",
       {true,
        [&](std::string_view value) -> absl::Status {
          if (!IsUtf8(value)) return Refuse("must be UTF-8");
          options.service = value;
          return absl::OkStatus();
        }}},
      {"connect-timeout", {true, Duration(options.connect_timeout)}},
      {"rpc-timeout", {true, Duration(options.rpc_timeout)}},
      {"wait",
       {true, Duration([&](nanoseconds value) { options.wait = value; },
                       absl::Hours(24))}},
      {"watch", {false, Switch(options.watch)}},
      {"tls", {false, Switch(options.tls)}},
      {"tls-ca-cert", {true, Text(options.tls_ca_cert)}},
      {"tls-client-cert", {true, Text(options.tls_client_cert)}},
      {"tls-client-key", {true, Text(options.tls_client_key)}},
      {"tls-server-name", {true, Text(options.tls_server_name)}},
      {"user-agent", {true, Text(options.user_agent)}},
      {"json", {false, Switch(json)}},
      {"quiet", {false, Switch(quiet)}},
      {"help", {false, Switch([&](bool help) {
                  if (help) options.action = Options::Action::kHelp;
                })}},
      {"version", {false, Switch([&](bool version) {
                     if (version) options.action = Options::Action::kVersion;
                   })}},
  };

  std::vector<std::string_view> given;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string_view name = arguments[i];
    if (name.size() < 2 || name.front() != '-' || name == "--") {
      return Refuse("there are only flags, and ", Quote(name),
                    " is none; see --help");
    }
    name.remove_prefix(name[1] == '-' ? 2 : 1);
    const std::size_t equals = name.find('=');
    std::optional<std::string_view> value;
    if (equals != std::string_view::npos) {
      value = name.substr(equals + 1);
      name = name.substr(0, equals);
    }
    const auto flag = flags.find(name);
    if (flag == flags.end()) {
      for (const auto& [missing, instead] : kNotOffered) {
        if (name == missing) {
          return Refuse("--", ToAbsl(name),
                        " is not offered: ", ToAbsl(instead));
        }
      }
      return Refuse("there is no flag ", Quote(arguments[i]), "; see --help");
    }
    if (std::count(given.begin(), given.end(), name) > 0) {
      return Refuse("--", ToAbsl(name), " is given twice: leave one out");
    }
    given.push_back(name);
    if (flag->second.takes_value && !value.has_value()) {
      if (++i == arguments.size()) {
        return Refuse("--", ToAbsl(name), " needs a value");
      }
      value = arguments[i];
    }
    const absl::Status set = flag->second.set(value.value_or(""));
    if (!set.ok()) {
      return Refuse("--", ToAbsl(name), " ", set.message());
    }
  }
  if (options.action != Options::Action::kProbe) return options;
  if (json && quiet) {
    return Refuse("--json says everything, --quiet nothing: leave one out");
  }
  if (json) options.output = Options::Output::kJson;
  if (quiet) options.output = Options::Output::kQuiet;
  const absl::Status together = CheckTogether(options);
  if (!together.ok()) return together;
  return options;
}

std::string_view HelpText() {
  return R"(usage: grpccommon-probe --addr=<address> [flag ...]

Asks a gRPC server for its health, by grpc.health.v1, and says it with its exit
code.

  --addr=<address>         where: host:port, :port (localhost), unix:/path
  --service=<name>         of whom; the whole server without it
  --connect-timeout=1s     how long connecting, TLS included, may take
  --rpc-timeout=1s         how long the answer may take then
  --wait=<time>            try again until it serves, at most this long
  --watch                  print each change until SIGINT or SIGTERM
  --tls                    speak TLS, trusting the machine's authorities
  --tls-ca-cert=<file>     trust these authorities (PEM) instead
  --tls-client-cert=<file> show this certificate (PEM), with
  --tls-client-key=<file>  its key (PEM)
  --tls-server-name=<name> what the server's certificate must be for; else the
                           host of --addr
  --user-agent=<text>      before gRPC's own; grpccommon-probe/<version>
  --json                   print one JSON object
  --quiet                  print nothing
  --help, --version

exit codes:
  0  it serves
  1  wrong usage: a flag, or a file that a flag names
  2  no connection: nobody there, not in time, or TLS failed
  3  no answer: the call failed, or took too long
  4  it does not serve, or the server does not know the service
  5  the server has no health service
)";
}

}  // namespace grpccommon::probe
