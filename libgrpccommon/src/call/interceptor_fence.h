// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <string_view>

#include "absl/status/status.h"
#include "grpccommon/log/logger.h"

namespace grpccommon::internal {

/// Logs what `interceptor` threw, and gives what the caller learns of it:
/// INTERNAL, reason INTERCEPTOR_FAILED, without the text.
absl::Status InterceptorThrew(const Logger& log, std::string_view interceptor,
                              std::string_view text);

/// Calls into an interceptor, of the server or the client, for `call`; what it
/// throws becomes INTERNAL, and its text goes to the log alone.
template <typename Call, typename Interceptor, typename Function>
[[gnu::hot]] absl::Status Fenced(const Call& call,
                                 const Interceptor& interceptor,
                                 Function function) {
  try {
    return function();
  } catch (const std::exception& error) {
    return InterceptorThrew(call.log(), interceptor.name(), error.what());
  } catch (...) {
    return InterceptorThrew(call.log(), interceptor.name(),
                            "not derived from std::exception");
  }
}

}  // namespace grpccommon::internal
