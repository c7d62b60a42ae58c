// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/client_call.h"
#include "grpccommon/call/method.h"
#include "grpccommon/log/logger.h"

namespace grpccommon::testing {

struct FakeClientCallOptions {
  Method method = {.path = "/test.v1.TestService/Test",
                   .service = "test.v1.TestService",
                   .name = "Test"};
  std::string target = "test";
  /// Borrowed.
  const ServerCall* parent = nullptr;
  bool secure = false;
  bool forward_credentials = false;
  /// From now; none: unbounded.
  std::optional<Clock::Duration> timeout;
  /// Borrowed.
  const google::protobuf::MessageLite* request = nullptr;
  const Clock* clock = nullptr;
  Logger logger;
};

/// A ClientCall that goes nowhere, for unit tests of interceptors:
///
///   FakeClientCall call({.secure = true});
///   EXPECT_THAT(interceptor.OnStart(*call), IsOk());
///   EXPECT_EQ(call.metadata("authorization"), "Bearer …");
class GRPCCOMMON_EXPORT FakeClientCall {
 public:
  explicit FakeClientCall(FakeClientCallOptions options = {});
  ~FakeClientCall();

  ClientCall& operator*();
  ClientCall* operator->() { return &**this; }

  /// The value of the last entry with this key that the call would send.
  std::optional<std::string> metadata(std::string_view key) const;

  /// Begins the next attempt; the one before is destroyed.
  ClientAttempt& StartAttempt(std::string endpoint = "127.0.0.1:4711",
                              bool hedged = false);
  std::optional<std::string> attempt_metadata(std::string_view key) const;

  /// What the call was answered with; null if it was not.
  const google::protobuf::MessageLite* answer() const;

  void CountSent();
  void CountReceived();
  void SetRefusedBy(const ClientInterceptor* interceptor);
  void SetEndpoint(std::string_view endpoint);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace grpccommon::testing
