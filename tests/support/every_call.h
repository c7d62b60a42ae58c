// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "grpccommon/call/method.h"
#include "gtest/gtest.h"
#include "support/test_server.h"

namespace grpccommon::test {

/// For parameterised tests: both styles of services, and all kinds of calls.
inline auto EveryStyle() {
  return ::testing::Values(Style::kSync, Style::kCallback);
}
inline auto EveryKind() {
  return ::testing::Values(CallKind::kUnary, CallKind::kClientStream,
                           CallKind::kServerStream, CallKind::kBidiStream);
}

}  // namespace grpccommon::test
