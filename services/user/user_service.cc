// SPDX-License-Identifier: Apache-2.0
#include "services/user/user_service.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "services/common/id.h"
#include "services/common/rpc.h"
#include "services/common/token.h"
#include "services/user/convert.h"

namespace platform::user {
namespace {

using common::Finish;
using common::Place;
using common::ReadAndAnswer;
using common::TokenKind;
using common::WriteAndAnswer;
using grpccommon::InvalidFields;
using grpccommon::ToGrpcStatus;

constexpr int kDefaultPageSize = 20;

// What Accounts gives for one call: `answer` gets the value of a good outcome.
template <typename T, typename Answer>
Accounts::Done<T> AnswerTo(grpc::ServerUnaryReactor* reactor, Answer answer) {
  return [reactor, answer](absl::StatusOr<T> outcome) {
    const grpc::Status end = ToGrpcStatus(outcome.status());
    if (outcome.ok()) answer(*std::move(outcome));
    reactor->Finish(end);
  };
}

Accounts::Gone IsGone(const grpc::CallbackServerContext& context) {
  return [&context] { return context.IsCancelled(); };
}

absl::Status NotYours() {
  return grpccommon::PermissionDenied("NOT_YOUR_ACCOUNT",
                                      "only the user and admins may do that");
}

}  // namespace

bool UserService::Caller::Is(const std::string& id) const {
  return !user_id.empty() && absl::EqualsIgnoreCase(user_id, id);
}

absl::StatusOr<std::unique_ptr<UserService>> UserService::Create(
    UserStoreQueue& store, Accounts& accounts, const AccessTokens& tokens) {
  auto updatable = grpccommon::UpdatableFields::Create(
      *v1::User::descriptor(), {"display_name", "email"});
  if (!updatable.ok()) return updatable.status();
  return absl::WrapUnique(
      new UserService(store, accounts, tokens, *std::move(updatable)));
}

UserService::UserService(UserStoreQueue& store, Accounts& accounts,
                         const AccessTokens& tokens,
                         grpccommon::UpdatableFields updatable)
    : store_(store),
      accounts_(accounts),
      tokens_(tokens),
      updatable_(std::move(updatable)) {}

UserService::Caller UserService::CallerOf(
    const grpc::CallbackServerContext& context) const {
  const auto* const call = grpccommon::ServerCall::Of(context);
  if (call == nullptr) return {};
  const grpccommon::Principal& principal = call->principal();
  Caller caller{.is_admin = principal.HasRole(RoleName(Role::kAdmin)),
                .is_service = principal.HasRole("service")};
  // A subject is unique within its issuer only.
  if (principal.issuer == tokens_.options().issuer) {
    caller.user_id = principal.subject;
  }
  return caller;
}

grpc::ServerUnaryReactor* UserService::Register(
    grpc::CallbackServerContext* context, const v1::RegisterRequest* request,
    v1::RegisterResponse* response) {
  auto* const reactor = context->DefaultReactor();
  accounts_.Register({.username = request->username(),
                      .email = request->email(),
                      .display_name = request->display_name(),
                      .password_hash = {}},
                     request->password(), IsGone(*context),
                     AnswerTo<User>(reactor, [response](const User& user) {
                       *response->mutable_user() = ToProto(user, true);
                     }));
  return reactor;
}

grpc::ServerUnaryReactor* UserService::Login(
    grpc::CallbackServerContext* context, const v1::LoginRequest* request,
    v1::LoginResponse* response) {
  auto* const reactor = context->DefaultReactor();
  accounts_.LogIn(request->login(), request->password(), IsGone(*context),
                  AnswerTo<LoggedIn>(reactor, [response](const LoggedIn& in) {
                    *response->mutable_user() = ToProto(in.user, true);
                    *response->mutable_tokens() = ToProto(in.tokens);
                  }));
  return reactor;
}

grpc::ServerUnaryReactor* UserService::RefreshToken(
    grpc::CallbackServerContext* context,
    const v1::RefreshTokenRequest* request,
    v1::RefreshTokenResponse* response) {
  auto* const reactor = context->DefaultReactor();
  accounts_.Refresh(request->refresh_token(), IsGone(*context),
                    AnswerTo<Tokens>(reactor, [response](const Tokens& made) {
                      *response->mutable_tokens() = ToProto(made);
                    }));
  return reactor;
}

grpc::ServerUnaryReactor* UserService::Logout(
    grpc::CallbackServerContext* context, const v1::LogoutRequest* request,
    v1::LogoutResponse* /*response*/) {
  auto* const reactor = context->DefaultReactor();
  accounts_.LogOut(request->refresh_token(),
                   [reactor](const absl::Status& status) {
                     reactor->Finish(ToGrpcStatus(status));
                   });
  return reactor;
}

grpc::ServerUnaryReactor* UserService::ValidateToken(
    grpc::CallbackServerContext* context,
    const v1::ValidateTokenRequest* request,
    v1::ValidateTokenResponse* response) {
  const auto verified = tokens_.Verify(request->access_token());
  if (absl::IsUnauthenticated(verified.status())) {
    // The caller's own credential is good: it is the argument that is not.
    return Finish(
        *context,
        grpccommon::WithReason(
            absl::InvalidArgumentError(verified.status().message()),
            grpccommon::ReasonOf(verified.status()), grpccommon::kErrorDomain));
  }
  if (!verified.ok()) return Finish(*context, verified.status());
  response->set_user_id(verified->principal->subject);
  for (const std::string& name : verified->principal->roles) {
    response->add_roles(RoleFromName(name));
  }
  *response->mutable_expires_at() = ToProto(verified->expires_at);
  return Finish(*context, absl::OkStatus());
}

grpc::ServerUnaryReactor* UserService::GetUser(
    grpc::CallbackServerContext* context, const v1::GetUserRequest* request,
    v1::GetUserResponse* response) {
  const Caller caller = CallerOf(*context);
  const bool me = request->user_id() == "me";
  if (me && caller.user_id.empty()) {
    return Finish(*context, grpccommon::NotFound("user", "me"));
  }
  const std::string id = me ? caller.user_id : request->user_id();
  const bool with_email = caller.Is(id) || caller.is_admin || caller.is_service;
  return ReadAndAnswer(
      store_, *context,
      [id](UserStore& store) { return store.users().Get(id); },
      [response, with_email](const User& user) {
        *response->mutable_user() = ToProto(user, with_email);
      });
}

grpc::ServerUnaryReactor* UserService::BatchGetUsers(
    grpc::CallbackServerContext* context,
    const v1::BatchGetUsersRequest* request,
    v1::BatchGetUsersResponse* response) {
  using Results = std::vector<absl::StatusOr<User>>;
  return ReadAndAnswer(
      store_, *context,
      [request](UserStore& store) -> absl::StatusOr<Results> {
        // One snapshot for all.
        return store.database().Run(
            [&](soci::session&) -> absl::StatusOr<Results> {
              Results results;
              for (const std::string& id : request->user_ids()) {
                results.push_back(store.users().Get(id));
                const absl::Status& status = results.back().status();
                if (!status.ok() && !absl::IsNotFound(status)) return status;
              }
              return results;
            });
      },
      [response, caller = CallerOf(*context)](const Results& results) {
        for (const absl::StatusOr<User>& user : results) {
          auto& result = *response->add_results();
          if (user.ok()) {
            result.mutable_status()->set_success(true);
            *result.mutable_user() =
                ToProto(*user, caller.Is(user->id) || caller.is_admin ||
                                   caller.is_service);
          } else {
            auto& error = *result.mutable_status()->mutable_error();
            error.set_code(static_cast<int>(user.status().code()));
            error.set_message(std::string(user.status().message()));
          }
        }
      });
}

grpc::ServerUnaryReactor* UserService::UpdateUser(
    grpc::CallbackServerContext* context, const v1::UpdateUserRequest* request,
    v1::UpdateUserResponse* response) {
  const Caller caller = CallerOf(*context);
  const v1::User& wanted = request->user();
  if (wanted.id().empty()) {
    return Finish(*context, InvalidFields({{"user.id", "must not be empty"}}));
  }
  if (!caller.Is(wanted.id()) && !caller.is_admin) {
    return Finish(*context, NotYours());
  }
  const absl::Status valid = updatable_.Check(request->update_mask());
  if (!valid.ok()) return Finish(*context, valid);
  return WriteAndAnswer(
      store_, *context,
      [this, request](UserStore& store) -> absl::StatusOr<User> {
        absl::StatusOr<User> user = store.users().Get(request->user().id());
        if (!user.ok()) return user;
        v1::User changed = ToProto(*user, true);
        const absl::Status applied =
            updatable_.Apply(request->update_mask(), request->user(), changed);
        if (!applied.ok()) return applied;
        if (changed.email().empty()) {
          return InvalidFields({{"user.email", "must not be empty"}});
        }
        return store.users().Update(
            user->id,
            {.display_name = changed.display_name(), .email = changed.email()},
            request->user().version());
      },
      [response](const User& user) {
        *response->mutable_user() = ToProto(user, true);
      });
}

grpc::ServerUnaryReactor* UserService::DeleteUser(
    grpc::CallbackServerContext* context, const v1::DeleteUserRequest* request,
    v1::DeleteUserResponse* /*response*/) {
  const Caller caller = CallerOf(*context);
  if (!caller.Is(request->user_id()) && !caller.is_admin) {
    return Finish(*context, NotYours());
  }
  return WriteAndAnswer(
      store_, *context,
      [id = common::CanonicalId(request->user_id())](
          UserStore& store) -> absl::Status {
        absl::Status deleted = store.users().Delete(id);
        if (!deleted.ok()) return deleted;
        return store.sessions().CloseAllOf(id);
      },
      [] {});
}

grpc::ServerUnaryReactor* UserService::ListUsers(
    grpc::CallbackServerContext* context, const v1::ListUsersRequest* request,
    v1::ListUsersResponse* response) {
  const std::string role = absl::StrCat(static_cast<int>(request->role()));
  const auto place =
      common::ReadPageToken(request->page().page_token(),
                            {request->filter(), role}, "page.page_token");
  if (!place.ok()) return Finish(*context, place.status());
  UserFilter filter{.text = request->filter(), .role = {}};
  if (request->role() != v1::ROLE_UNSPECIFIED) {
    filter.role = static_cast<Role>(request->role());
  }
  const int size = request->page().page_size() > 0 ? request->page().page_size()
                                                   : kDefaultPageSize;
  struct Answer {
    UserPage page;
    std::int64_t count = 0;
  };
  return ReadAndAnswer(
      store_, *context,
      [filter, size, after = place->value_or(Place()).number](
          UserStore& store) -> absl::StatusOr<Answer> {
        return store.database().Run(
            [&](soci::session&) -> absl::StatusOr<Answer> {
              absl::StatusOr<UserPage> page = store.users().List(
                  filter, after, static_cast<std::size_t>(size));
              if (!page.ok()) return page.status();
              const absl::StatusOr<std::int64_t> count =
                  store.users().Count(filter);
              if (!count.ok()) return count.status();
              return Answer{.page = *std::move(page), .count = *count};
            });
      },
      [request, response, role](const Answer& answer) {
        for (const User& user : answer.page.users) {
          *response->add_users() = ToProto(user, true);
        }
        if (!answer.page.last) {
          response->mutable_page()->set_next_page_token(common::MakeToken(
              TokenKind::kPage, {.number = answer.page.users.back().sequence},
              {request->filter(), role}));
        }
        response->mutable_page()->set_total_count(answer.count);
      });
}

grpc::ServerUnaryReactor* UserService::ChangePassword(
    grpc::CallbackServerContext* context,
    const v1::ChangePasswordRequest* request,
    v1::ChangePasswordResponse* response) {
  const Caller caller = CallerOf(*context);
  if (caller.user_id.empty()) {
    return Finish(*context, grpccommon::NotFound("user", "me"));
  }
  auto* const reactor = context->DefaultReactor();
  accounts_.ChangePassword(
      caller.user_id, request->current_password(), request->new_password(),
      IsGone(*context),
      AnswerTo<Tokens>(reactor, [response](const Tokens& tokens) {
        *response->mutable_tokens() = ToProto(tokens);
      }));
  return reactor;
}

grpc::ServerUnaryReactor* UserService::AssignRole(
    grpc::CallbackServerContext* context, const v1::AssignRoleRequest* request,
    v1::AssignRoleResponse* response) {
  RoleSet roles;
  for (const int role : request->roles()) roles.Add(static_cast<Role>(role));
  return WriteAndAnswer(
      store_, *context,
      [request, roles](UserStore& store) {
        return store.users().SetRoles(request->user_id(), roles);
      },
      [response](const User& user) {
        *response->mutable_user() = ToProto(user, true);
      });
}

}  // namespace platform::user
