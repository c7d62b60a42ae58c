// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "grpccommon/call/method.h"
#include "gtest/gtest.h"
#include "support/test_server.h"

namespace grpccommon::test {

/// For parameterised tests: both styles of services, all kinds of calls, and
/// their names.
inline auto EveryStyle() {
  return ::testing::Values(Style::kSync, Style::kCallback);
}
inline auto EveryKind() {
  return ::testing::Values(CallKind::kUnary, CallKind::kClientStream,
                           CallKind::kServerStream, CallKind::kBidiStream);
}
inline std::string NameOf(Style style) {
  return style == Style::kSync ? "sync" : "callback";
}
inline std::string NameOf(Style style, CallKind kind) {
  return NameOf(style) + "_" + std::string(CallKindName(kind));
}

}  // namespace grpccommon::test
