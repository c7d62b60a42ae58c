// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/call/contract.h"
#include "grpccommon/call/server_interceptor.h"
#include "grpccommon/log/logger.h"

namespace grpccommon {

struct AuthorizeOptions {
  /// Who may call a method whose contract does not say. Must not be kDefault.
  AccessRule default_access = {.kind = AccessRule::Kind::kAuthenticated};
  /// Patterns of methods that anyone may call where their contract does not say
  /// who may; a probe has no credentials.
  std::vector<std::string> public_methods = {"/grpc.health.v1.Health/*"};
  /// An AccessPolicy, read again when it changes; empty for none.
  std::string policy_file;
  /// How often the file is looked at, in [10 ms, 1 h].
  Clock::Duration check_interval = std::chrono::seconds(5);
  /// What an anonymous caller is told to do: Authenticator::hint().
  std::string credential_hint = "send `authorization: Bearer <token>`";
  /// Takes a line for each denial, and one for each reload of the policy.
  Logger audit;
};

/// Lets a call through if the contract, as changed by the policy file, lets its
/// principal in; else refuses with UNAUTHENTICATED (who is anonymous) or
/// PERMISSION_DENIED (naming the roles or scopes that would do).
///
/// A policy file that turns bad is logged and changes nothing: the one before
/// stays in force.
class GRPCCOMMON_EXPORT AuthorizeInterceptor : public ServerInterceptor {
 public:
  /// `scheduler` is borrowed and must outlive the interceptor; used only with a
  /// policy file.
  /// Errors: kInvalidArgument, naming the option; those of reading and parsing
  /// the policy file.
  static absl::StatusOr<std::unique_ptr<AuthorizeInterceptor>> Create(
      AuthorizeOptions options, Scheduler& scheduler);
  ~AuthorizeInterceptor() override;

  std::string_view name() const override { return "authorize"; }
  Stage stage() const override { return Stage::kCheck; }
  absl::StatusOr<Hooks> Register(const Method& method) override;
  absl::Status OnStart(ServerCall& call) override;

  /// OK, or why the policy file's latest version is not in force.
  absl::Status policy_status() const;

 private:
  struct Impl;
  explicit AuthorizeInterceptor(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace grpccommon
