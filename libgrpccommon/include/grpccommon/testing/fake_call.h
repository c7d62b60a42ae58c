// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/method.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/call/server_interceptor.h"

namespace grpccommon::testing {

struct FakeCallOptions {
  Method method = {.path = "/test.v1.TestService/Test",
                   .service = "test.v1.TestService",
                   .name = "Test"};
  std::vector<std::pair<std::string, std::string>> metadata;
  std::string peer = "ipv4:127.0.0.1:4711";
  /// From now; none: unbounded but for the method's policy.
  std::optional<Clock::Duration> timeout;
  /// Borrowed.
  const google::protobuf::Message* request = nullptr;
  const Clock* clock = nullptr;
  Logger logger;
};

/// A ServerCall without a server, for unit tests of interceptors:
///
///   FakeCall call({.metadata = {{"x-api-key", "k"}}, .clock = &clock});
///   EXPECT_THAT(interceptor.OnStart(*call), IsOk());
class GRPCCOMMON_EXPORT FakeCall {
 public:
  explicit FakeCall(FakeCallOptions options = {});
  ~FakeCall();

  ServerCall& operator*();
  ServerCall* operator->() { return &**this; }

  /// What the call would send.
  std::multimap<std::string, std::string> trailing_metadata() const;
  std::multimap<std::string, std::string> initial_metadata() const;
  /// What the client would get if an interceptor returned `status`.
  absl::Status Sent(const absl::Status& status) const;

  void CountReceived(std::uint64_t bytes);
  void CountSent(std::uint64_t bytes);
  void SetRefusedBy(const ServerInterceptor* interceptor);
  void SetException(std::string_view text);
  void Cancel();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace grpccommon::testing
