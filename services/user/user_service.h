// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "grpccommon/validate/updatable_fields.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "platform/user/v1/user_service.grpc.pb.h"
#include "services/user/access_tokens.h"
#include "services/user/accounts.h"
#include "services/user/user_store.h"

namespace platform::user {

/// The calls: translate, ask, translate back. Who may call what, and what a
/// request must be like, the contract has said before.
class UserService final : public v1::UserService::CallbackService {
 public:
  /// All are borrowed and must outlive the service and its calls.
  static absl::StatusOr<std::unique_ptr<UserService>> Create(
      UserStoreQueue& store, Accounts& accounts, const AccessTokens& tokens);

  grpc::ServerUnaryReactor* Register(grpc::CallbackServerContext* context,
                                     const v1::RegisterRequest* request,
                                     v1::RegisterResponse* response) override;
  grpc::ServerUnaryReactor* Login(grpc::CallbackServerContext* context,
                                  const v1::LoginRequest* request,
                                  v1::LoginResponse* response) override;
  grpc::ServerUnaryReactor* RefreshToken(
      grpc::CallbackServerContext* context,
      const v1::RefreshTokenRequest* request,
      v1::RefreshTokenResponse* response) override;
  grpc::ServerUnaryReactor* Logout(grpc::CallbackServerContext* context,
                                   const v1::LogoutRequest* request,
                                   v1::LogoutResponse* response) override;
  grpc::ServerUnaryReactor* ValidateToken(
      grpc::CallbackServerContext* context,
      const v1::ValidateTokenRequest* request,
      v1::ValidateTokenResponse* response) override;
  grpc::ServerUnaryReactor* GetUser(grpc::CallbackServerContext* context,
                                    const v1::GetUserRequest* request,
                                    v1::GetUserResponse* response) override;
  grpc::ServerUnaryReactor* BatchGetUsers(
      grpc::CallbackServerContext* context,
      const v1::BatchGetUsersRequest* request,
      v1::BatchGetUsersResponse* response) override;
  grpc::ServerUnaryReactor* UpdateUser(
      grpc::CallbackServerContext* context,
      const v1::UpdateUserRequest* request,
      v1::UpdateUserResponse* response) override;
  grpc::ServerUnaryReactor* DeleteUser(
      grpc::CallbackServerContext* context,
      const v1::DeleteUserRequest* request,
      v1::DeleteUserResponse* response) override;
  grpc::ServerUnaryReactor* ListUsers(grpc::CallbackServerContext* context,
                                      const v1::ListUsersRequest* request,
                                      v1::ListUsersResponse* response) override;
  grpc::ServerUnaryReactor* ChangePassword(
      grpc::CallbackServerContext* context,
      const v1::ChangePasswordRequest* request,
      v1::ChangePasswordResponse* response) override;
  grpc::ServerUnaryReactor* AssignRole(
      grpc::CallbackServerContext* context,
      const v1::AssignRoleRequest* request,
      v1::AssignRoleResponse* response) override;

 private:
  /// Who calls, as far as this service minds.
  struct Caller {
    bool Is(const std::string& id) const;

    /// Empty for those who are no users of ours.
    std::string user_id;
    bool is_admin = false;
    bool is_service = false;
  };

  UserService(UserStoreQueue& store, Accounts& accounts,
              const AccessTokens& tokens,
              grpccommon::UpdatableFields updatable);

  Caller CallerOf(const grpc::CallbackServerContext& context) const;

  UserStoreQueue& store_;
  Accounts& accounts_;
  const AccessTokens& tokens_;
  const grpccommon::UpdatableFields updatable_;
};

}  // namespace platform::user
