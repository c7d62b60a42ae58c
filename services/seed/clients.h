// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/client/client_manager.h"
#include "platform/contest/v1/contest_service.grpc.pb.h"
#include "platform/execution/v1/execution_service.grpc.pb.h"
#include "platform/problem/v1/problem_service.grpc.pb.h"
#include "platform/user/v1/user_service.grpc.pb.h"

namespace platform::seed {

using contest::v1::ContestService;
using execution::v1::ExecutionService;
using problem::v1::ProblemService;
using user::v1::UserService;

/// Somebody who is logged in.
struct Session {
  std::string user_id;
  std::string username;
  std::string access_token;

  /// Options of a call that they make.
  grpccommon::CallOptions Call() const;
};

/// The platform as a program that uses it sees it. Thread-safe.
class Clients {
 public:
  /// `token` is what the registry is asked with, and goes over plaintext: this
  /// is for the machine that the platform runs on.
  /// Errors: kInvalidArgument for the URI.
  static absl::StatusOr<std::unique_ptr<Clients>> Connect(
      const std::string& registry_uri, const std::string& token);

  grpccommon::Client<UserService>& users() { return *users_; }
  grpccommon::Client<ProblemService>& problems() { return *problems_; }
  grpccommon::Client<ExecutionService>& executions() { return *executions_; }
  grpccommon::Client<ContestService>& contests() { return *contests_; }

  /// By user name or address. Errors: kUnauthenticated.
  absl::StatusOr<Session> LogIn(const std::string& login,
                                const std::string& password);
  std::vector<grpccommon::ServiceStats> Stats() const {
    return manager_->Stats();
  }

 private:
  Clients() = default;

  std::unique_ptr<grpccommon::Scheduler> scheduler_;
  std::unique_ptr<grpccommon::ClientManager> manager_;
  std::shared_ptr<grpccommon::Client<UserService>> users_;
  std::shared_ptr<grpccommon::Client<ProblemService>> problems_;
  std::shared_ptr<grpccommon::Client<ExecutionService>> executions_;
  std::shared_ptr<grpccommon::Client<ContestService>> contests_;
};

/// A password that nobody guesses and the user service accepts.
std::string RandomPassword();

}  // namespace platform::seed
