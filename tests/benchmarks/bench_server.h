// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace grpccommon::bench {

/// The contestants. All serve the same service, by
/// stock gRPC C++, callback API, refusing with the details of a rate limit;
inline constexpr char kBare[] = "bare";
/// the same, and Abseil does not look for deadlocks among its mutexes, which
/// only Abseils without NDEBUG do (ServerOptions::mutex_deadlock_detection);
inline constexpr char kBareUndetected[] = "bare_undetected";
/// the first, refusing with code and message only;
inline constexpr char kBarePlain[] = "bare_plain";
/// grpccommon with nothing enabled;
inline constexpr char kIdle[] = "idle";
/// grpccommon with the whole chain, logging to a file;
inline constexpr char kChain[] = "chain";
/// the same without the access log;
inline constexpr char kQuietChain[] = "quiet_chain";
/// and three of them with server streams sent by grpccommon/stream.
inline constexpr char kBareWriter[] = "bare_writer";
inline constexpr char kIdleWriter[] = "idle_writer";
inline constexpr char kChainWriter[] = "chain_writer";

/// Where in `folder` a chain finds the keys (a JWK set), and what tokens say.
inline std::string KeysFile(const std::string& folder) {
  return folder + "/keys.json";
}
inline constexpr char kIssuer[] = "bench-issuer";
inline constexpr char kAudience[] = "bench";

/// Serves `contestant` on a free port and answers the questions of
/// ServerProcess, a line each, until standard input ends. Returns the exit
/// code.
int RunBenchServer(const std::string& contestant, const std::string& folder);

}  // namespace grpccommon::bench
