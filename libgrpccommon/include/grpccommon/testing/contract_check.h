// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "grpccommon/base/export.h"
#include "grpccommon/call/server_interceptor.h"
#include "grpccommon/testing/contract_cases.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"

namespace grpccommon::testing {

/// Counts what gets through the whole chain to the handlers; for Server::Use.
class GRPCCOMMON_EXPORT AdmittedCalls : public ServerInterceptor {
 public:
  std::string_view name() const override { return "admitted_calls"; }
  Stage stage() const override { return Stage::kUser; }
  absl::StatusOr<Hooks> Register(const Method& method) override;
  absl::Status OnStart(ServerCall& call) override;
  absl::Status OnReceived(ServerCall& call,
                          const google::protobuf::Message* message) override;

  std::int64_t calls() const { return calls_; }
  /// Of client streams.
  std::int64_t messages() const { return messages_; }

 private:
  std::atomic<std::int64_t> calls_{0};
  std::atomic<std::int64_t> messages_{0};
};

/// Somebody, for one case.
struct ContractCaller {
  std::string subject;
  std::vector<std::string> roles;
  std::vector<std::string> scopes;
};

struct ContractCheckOptions {
  /// Puts the credential of `caller` into `context`; not called for anonymous
  /// ones. Required.
  std::function<void(const ContractCaller& caller,
                     grpc::ClientContext& context)>
      authenticate;
  /// The server's clock (ServerOptions::clock), which is moved on so that
  /// budgets fill up again. Without it kTooMany is not checked, and other cases
  /// may find their budget spent. Borrowed.
  FakeClock* clock = nullptr;
  /// In the server's chain: proves that nothing refused got to a handler.
  /// Without it valid calls are not made, since a handler may do anything.
  /// Borrowed; the server must have no other callers meanwhile.
  const AdmittedCalls* admitted = nullptr;
  /// For each call.
  std::chrono::nanoseconds timeout = std::chrono::seconds(20);
};

struct ContractResult {
  std::string method;
  std::string name;
  std::string expected;
  std::string got;
  bool kept = false;
};

/// Makes the calls of `cases`, in order, on `channel`, with a generic stub, and
/// says of each whether it ended as the contract promises: the code, the
/// reason, the field, RetryInfo and pushback where the caller is to wait, and
/// nothing at a handler. Every case has a caller of its own, so that budgets by
/// principal are fresh. Blocks.
///
/// The messages of a client stream are checked as the handler reads them, so
/// its handler must do that.
GRPCCOMMON_EXPORT std::vector<ContractResult> CheckContract(
    const std::shared_ptr<grpc::Channel>& channel,
    const std::vector<ContractCase>& cases,
    const ContractCheckOptions& options);

/// One line for each result, in columns: method, case, expected, got. Those
/// that were not kept begin with "BROKEN".
GRPCCOMMON_EXPORT std::string ContractTable(
    const std::vector<ContractResult>& results);

}  // namespace grpccommon::testing
