// SPDX-License-Identifier: Apache-2.0
// grpccommon-probe: asks a gRPC server for its health. See --help.

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "probe/options.h"
#include "probe/probe.h"

namespace {

using grpccommon::probe::ExitCode;
using grpccommon::probe::Options;
using grpccommon::probe::Outcome;

int End(ExitCode code) {
  std::fflush(nullptr);
  // Not by the destructors of gRPC, which take longer than all the rest.
  std::_Exit(static_cast<int>(code));
}

int Refuse(const absl::Status& status) {
  std::fprintf(stderr, "grpccommon-probe: %s\n",
               std::string(status.message()).c_str());
  return End(ExitCode::kUsage);
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = grpccommon::probe::ParseArguments(
      std::vector<std::string>(argv + 1, argv + argc));
  if (!options.ok()) return Refuse(options.status());
  if (options->action == Options::Action::kHelp) {
    const std::string help(grpccommon::probe::HelpText());
    std::fputs(help.c_str(), stdout);
    return End(ExitCode::kServing);
  }
  if (options->action == Options::Action::kVersion) {
    std::puts("grpccommon-probe " GRPCCOMMON_VERSION);
    return End(ExitCode::kServing);
  }
  // Errors are told here, on one line; gRPC's own log is for who asks for it.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  if (options->watch) grpccommon::probe::KeepSignalsForWatch();
  const auto credentials = grpccommon::probe::MakeCredentials(*options);
  if (!credentials.ok()) return Refuse(credentials.status());
  const Outcome outcome =
      options->watch ? grpccommon::probe::Watch(*options, *credentials)
      : options->wait.has_value()
          ? grpccommon::probe::ProbeUntilServing(*options, *credentials)
          : grpccommon::probe::Probe(*options, *credentials);
  // A watch has told its states already, but not why there is no better one.
  if (!options->watch || outcome.code == ExitCode::kNoConnection ||
      outcome.code == ExitCode::kNoHealthService) {
    grpccommon::probe::Print(*options, outcome);
  }
  return End(outcome.code);
}
