// SPDX-License-Identifier: Apache-2.0
#include "services/user/user_service.h"

#include <grpcpp/generic/generic_stub.h>

#include <nlohmann/json.hpp>
#include <set>

#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "grpccommon/auth/jwt_signer.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/metrics/metrics_registry.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "http/raw_client.h"
#include "services/common/query.h"
#include "services/user/user_server.h"

namespace platform::user {
namespace {

using grpccommon::FromGrpcStatus;
using grpccommon::ReasonOf;
using grpccommon::testing::HasReason;
using grpccommon::testing::IsOk;
using grpccommon::testing::MessageIs;
using grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kPassword[] = "correct horse battery";
constexpr char kProcess[] = "key process";

class UserServiceTest : public ::testing::Test {
 protected:
  // Makes a call as the owner of an access token, "key <key>", or nobody.
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(
      grpc::Status (v1::UserService::Stub::*method)(grpc::ClientContext*,
                                                    const Request&, Response*),
      const Request& request, const std::string& as = "") {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(30));
    if (as.starts_with("key ")) {
      context.AddMetadata("x-api-key", as.substr(4));
    } else if (!as.empty()) {
      context.AddMetadata("authorization", "Bearer " + as);
    }
    Response response;
    const grpc::Status status =
        (server_.stub().*method)(&context, request, &response);
    if (!status.ok()) return FromGrpcStatus(status);
    return response;
  }

  absl::StatusOr<v1::User> Register(const std::string& username,
                                    const std::string& email,
                                    const std::string& password = kPassword,
                                    const std::string& display_name = "") {
    v1::RegisterRequest request;
    request.set_username(username);
    request.set_email(email);
    request.set_password(password);
    request.set_display_name(display_name);
    const auto response = Call<v1::RegisterRequest, v1::RegisterResponse>(
        &v1::UserService::Stub::Register, request);
    if (!response.ok()) return response.status();
    return response->user();
  }
  absl::StatusOr<v1::LoginResponse> Login(
      const std::string& login, const std::string& password = kPassword) {
    v1::LoginRequest request;
    request.set_login(login);
    request.set_password(password);
    return Call<v1::LoginRequest, v1::LoginResponse>(
        &v1::UserService::Stub::Login, request);
  }
  absl::StatusOr<v1::Tokens> Refresh(const std::string& token) {
    v1::RefreshTokenRequest request;
    request.set_refresh_token(token);
    const auto response =
        Call<v1::RefreshTokenRequest, v1::RefreshTokenResponse>(
            &v1::UserService::Stub::RefreshToken, request);
    if (!response.ok()) return response.status();
    return response->tokens();
  }
  absl::StatusOr<v1::User> Get(const std::string& id, const std::string& as) {
    v1::GetUserRequest request;
    request.set_user_id(id);
    const auto response = Call<v1::GetUserRequest, v1::GetUserResponse>(
        &v1::UserService::Stub::GetUser, request, as);
    if (!response.ok()) return response.status();
    return response->user();
  }
  absl::StatusOr<v1::User> Update(const v1::User& user,
                                  const std::vector<std::string>& paths,
                                  const std::string& as) {
    v1::UpdateUserRequest request;
    *request.mutable_user() = user;
    request.mutable_update_mask();
    for (const std::string& path : paths) {
      request.mutable_update_mask()->add_paths(path);
    }
    const auto response = Call<v1::UpdateUserRequest, v1::UpdateUserResponse>(
        &v1::UserService::Stub::UpdateUser, request, as);
    if (!response.ok()) return response.status();
    return response->user();
  }
  absl::Status Delete(const std::string& id, const std::string& as) {
    v1::DeleteUserRequest request;
    request.set_user_id(id);
    return Call<v1::DeleteUserRequest, v1::DeleteUserResponse>(
               &v1::UserService::Stub::DeleteUser, request, as)
        .status();
  }
  absl::StatusOr<v1::ListUsersResponse> List(const std::string& as,
                                             int size = 0,
                                             const std::string& token = "",
                                             const std::string& filter = "",
                                             v1::Role role = {}) {
    v1::ListUsersRequest request;
    request.mutable_page()->set_page_size(size);
    request.mutable_page()->set_page_token(token);
    request.set_filter(filter);
    request.set_role(role);
    return Call<v1::ListUsersRequest, v1::ListUsersResponse>(
        &v1::UserService::Stub::ListUsers, request, as);
  }
  absl::StatusOr<v1::User> AssignRole(const std::string& id,
                                      const std::vector<int>& roles,
                                      const std::string& as) {
    v1::AssignRoleRequest request;
    request.set_user_id(id);
    for (const int role : roles) request.add_roles(static_cast<v1::Role>(role));
    const auto response = Call<v1::AssignRoleRequest, v1::AssignRoleResponse>(
        &v1::UserService::Stub::AssignRole, request, as);
    if (!response.ok()) return response.status();
    return response->user();
  }
  absl::StatusOr<v1::Tokens> ChangePassword(const std::string& current,
                                            const std::string& fresh,
                                            const std::string& as) {
    v1::ChangePasswordRequest request;
    request.set_current_password(current);
    request.set_new_password(fresh);
    const auto response =
        Call<v1::ChangePasswordRequest, v1::ChangePasswordResponse>(
            &v1::UserService::Stub::ChangePassword, request, as);
    if (!response.ok()) return response.status();
    return response->tokens();
  }
  absl::StatusOr<v1::ValidateTokenResponse> Validate(const std::string& token,
                                                     const std::string& as) {
    v1::ValidateTokenRequest request;
    request.set_access_token(token);
    return Call<v1::ValidateTokenRequest, v1::ValidateTokenResponse>(
        &v1::UserService::Stub::ValidateToken, request, as);
  }

  struct Person {
    v1::User user;
    std::string access;
    std::string refresh;
  };
  Person Join(const std::string& name, RoleSet roles = {Role::kUser}) {
    const auto user = Register(name, name + "@example.org");
    EXPECT_THAT(user, IsOk());
    server_.Write([&](UserStore& store) {
      return store.users().SetRoles(user->id(), roles).status();
    });
    const auto in = Login(name);
    EXPECT_THAT(in, IsOk());
    return {.user = in->user(),
            .access = in->tokens().access_token(),
            .refresh = in->tokens().refresh_token()};
  }
  Person Admin() { return Join("root", {Role::kUser, Role::kAdmin}); }

  static std::vector<std::string> ViolatedFields(const absl::Status& status) {
    google::rpc::BadRequest details;
    (void)grpccommon::GetDetail(status, details);
    std::vector<std::string> fields;
    for (const auto& violation : details.field_violations()) {
      fields.push_back(violation.field());
    }
    return fields;
  }

  UserServer server_;
};

TEST_F(UserServiceTest, RegistersAndLogsIn) {
  const v1::User user =
      *Register("Ada", "Ada@Example.org", kPassword, "Ada Lovelace");
  EXPECT_TRUE(grpccommon::IsUuid(user.id()));
  EXPECT_EQ(user.username(), "Ada");
  EXPECT_EQ(user.email(), "Ada@Example.org");
  EXPECT_EQ(user.display_name(), "Ada Lovelace");
  EXPECT_THAT(user.roles(), ElementsAre(v1::ROLE_USER));
  EXPECT_EQ(user.version(), 1);
  EXPECT_GT(user.created_at().seconds(), 0);
  const v1::LoginResponse in = *Login("ada@example.org");
  EXPECT_EQ(in.user().id(), user.id());
  EXPECT_EQ(in.user().email(), "Ada@Example.org");
  EXPECT_EQ(Get("me", in.tokens().access_token())->id(), user.id());
}

TEST_F(UserServiceTest, RefusesADuplicateWhateverTheCase) {
  ASSERT_THAT(Register("ada", "ada@example.org"), IsOk());
  EXPECT_THAT(
      Register("ADA", "other@example.org"),
      AllOf(StatusIs(grpc::ALREADY_EXISTS), HasReason("USERNAME_TAKEN")));
  EXPECT_THAT(Register("other", "ADA@EXAMPLE.ORG"),
              AllOf(StatusIs(grpc::ALREADY_EXISTS), HasReason("EMAIL_TAKEN")));
}

TEST_F(UserServiceTest, SaysWhatAWeakPasswordLacks) {
  const absl::Status weak =
      Register("ada", "ada@example.org", "password12").status();
  EXPECT_THAT(weak, AllOf(StatusIs(grpc::INVALID_ARGUMENT),
                          MessageIs(HasSubstr("most common"))));
  EXPECT_THAT(ViolatedFields(weak), ElementsAre("password"));
  EXPECT_THAT(Register("ada", "ada@example.org", "short"),
              StatusIs(grpc::INVALID_ARGUMENT));
}

TEST_F(UserServiceTest, TextIsTextAndNothingElse) {
  const Person admin = Admin();
  for (const std::string text :
       {"'; DROP TABLE users; --", "\" OR \"\"=\"", "%s%n%x%p", "${jndi:x}",
        "{0}", "<script>", "\\'", "%", "_", "🧮", "\xef\xbb\xbf"}) {
    const auto user =
        Register("user-" + std::to_string(List(admin.access)->users_size()),
                 "a%s'--" + std::to_string(List(admin.access)->users_size()) +
                     "@example.org",
                 text + kPassword, text);
    ASSERT_THAT(user, IsOk()) << text;
    EXPECT_EQ(user->display_name(), text);
    EXPECT_THAT(Login(user->username(), text + kPassword), IsOk());
    EXPECT_THAT(Login(text, text + kPassword), HasReason("WRONG_CREDENTIALS"));
    EXPECT_THAT(Refresh(text), HasReason("REFRESH_TOKEN_INVALID"));
    const auto found = List(admin.access, 0, "", text);
    ASSERT_THAT(found, IsOk());
    EXPECT_GE(found->users_size(), 1);
    EXPECT_THAT(List(admin.access, 0, text), StatusIs(grpc::INVALID_ARGUMENT));
    EXPECT_THAT(Validate(text, kProcess), StatusIs(grpc::INVALID_ARGUMENT));
    EXPECT_THAT(Get(text, admin.access), StatusIs(grpc::INVALID_ARGUMENT));
  }
}

TEST_F(UserServiceTest, RefusesWhatIsNoUtf8AndNulInNames) {
  // RegisterRequest by hand: field 1 with a byte that is no UTF-8.
  for (const std::string message : {"\x0a\x04"
                                    "ad\xff\xfe",
                                    "\x0a\x03"
                                    "ad\xc3"}) {
    grpc::GenericStub stub(server_.channel());
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    grpc::Slice slice(message);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    grpc::Status status;
    const auto call = stub.PrepareUnaryCall(
        &context, "/platform.user.v1.UserService/Register", request, &queue);
    call->StartCall();
    call->Finish(&response, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    ASSERT_TRUE(queue.Next(&tag, &ok));
    EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT)
        << status.error_message();
    queue.Shutdown();
  }
  EXPECT_THAT(
      Register("ada", "ada@example.org", kPassword, std::string("a\0b", 3)),
      StatusIs(grpc::INVALID_ARGUMENT));
  EXPECT_THAT(Login(std::string("a\0b", 3)), StatusIs(grpc::INVALID_ARGUMENT));
}

TEST_F(UserServiceTest, WrongCredentialsLookAlike) {
  Join("ada");
  const absl::Status wrong = Login("ada", "wrong").status();
  EXPECT_THAT(wrong, AllOf(StatusIs(grpc::UNAUTHENTICATED),
                           HasReason("WRONG_CREDENTIALS")));
  EXPECT_EQ(Login("nobody", "wrong").status(), wrong);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Login("ada", "wrong").status(), wrong);
  EXPECT_EQ(Login("ada").status(), wrong) << "locked";
}

TEST_F(UserServiceTest, RefreshesAndLogsOut) {
  const Person ada = Join("ada");
  const v1::Tokens fresh = *Refresh(ada.refresh);
  EXPECT_EQ(Get("me", fresh.access_token())->id(), ada.user.id());
  EXPECT_THAT(Refresh(ada.refresh), AllOf(StatusIs(grpc::UNAUTHENTICATED),
                                          HasReason("REFRESH_TOKEN_INVALID")));
  EXPECT_THAT(Refresh(fresh.refresh_token()),
              HasReason("REFRESH_TOKEN_INVALID"))
      << "the family went with it";

  const v1::LoginResponse again = *Login("ada");
  v1::LogoutRequest request;
  request.set_refresh_token(again.tokens().refresh_token());
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT((Call<v1::LogoutRequest, v1::LogoutResponse>(
                    &v1::UserService::Stub::Logout, request)),
                IsOk());
  }
  EXPECT_THAT(Refresh(again.tokens().refresh_token()),
              HasReason("REFRESH_TOKEN_INVALID"));
}

TEST_F(UserServiceTest, ShowsTheAddressToThoseWhoMaySeeIt) {
  const Person ada = Join("ada");
  const Person bob = Join("bob");
  const Person admin = Admin();
  EXPECT_EQ(Get("me", ada.access)->email(), "ada@example.org");
  EXPECT_EQ(Get(ada.user.id(), ada.access)->email(), "ada@example.org");
  EXPECT_EQ(Get(ada.user.id(), admin.access)->email(), "ada@example.org");
  EXPECT_EQ(Get(ada.user.id(), kProcess)->email(), "ada@example.org");
  const v1::User seen_by_bob = *Get(ada.user.id(), bob.access);
  EXPECT_EQ(seen_by_bob.email(), "");
  EXPECT_EQ(seen_by_bob.username(), "ada");
  EXPECT_THAT(Get(ada.user.id(), ""), StatusIs(grpc::UNAUTHENTICATED));
  std::string upper = ada.user.id();
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  EXPECT_EQ(Get(upper, ada.access)->email(), "ada@example.org");
}

TEST_F(UserServiceTest, FindsNobodyWhoIsNotThere) {
  const Person ada = Join("ada");
  EXPECT_THAT(Get(grpccommon::UuidV7(), ada.access), StatusIs(grpc::NOT_FOUND));
  EXPECT_THAT(Get("me", kProcess), StatusIs(grpc::NOT_FOUND));
  EXPECT_THAT(Get("you", ada.access), StatusIs(grpc::INVALID_ARGUMENT));
}

TEST_F(UserServiceTest, GetsManyInTheirOrderAndSaysWhoIsMissing) {
  const Person ada = Join("ada");
  const Person bob = Join("bob");
  v1::BatchGetUsersRequest request;
  for (const std::string& id :
       {bob.user.id(), grpccommon::UuidV7(), ada.user.id(), bob.user.id()}) {
    request.add_user_ids(id);
  }
  const auto response =
      Call<v1::BatchGetUsersRequest, v1::BatchGetUsersResponse>(
          &v1::UserService::Stub::BatchGetUsers, request, ada.access);
  ASSERT_THAT(response, IsOk());
  ASSERT_EQ(response->results_size(), 4);
  EXPECT_EQ(response->results(0).user().username(), "bob");
  EXPECT_EQ(response->results(0).user().email(), "");
  EXPECT_TRUE(response->results(0).status().success());
  EXPECT_FALSE(response->results(1).status().success());
  EXPECT_EQ(response->results(1).status().error().code(), grpc::NOT_FOUND);
  EXPECT_FALSE(response->results(1).has_user());
  EXPECT_EQ(response->results(2).user().email(), "ada@example.org");
  EXPECT_EQ(response->results(3).user().username(), "bob");
  request.clear_user_ids();
  for (int i = 0; i < 201; ++i) request.add_user_ids(ada.user.id());
  EXPECT_THAT((Call<v1::BatchGetUsersRequest, v1::BatchGetUsersResponse>(
                  &v1::UserService::Stub::BatchGetUsers, request, ada.access)),
              StatusIs(grpc::INVALID_ARGUMENT));
}

TEST_F(UserServiceTest, UpdatesWhatTheMaskNames) {
  const Person ada = Join("ada");
  v1::User wanted = ada.user;
  wanted.set_display_name("Countess");
  wanted.set_email("new@example.org");
  const v1::User renamed = *Update(wanted, {"display_name"}, ada.access);
  EXPECT_EQ(renamed.display_name(), "Countess");
  EXPECT_EQ(renamed.email(), "ada@example.org") << "not in the mask";
  EXPECT_EQ(renamed.version(), ada.user.version() + 1);
  wanted.set_version(renamed.version());
  const v1::User moved = *Update(wanted, {"email"}, ada.access);
  EXPECT_EQ(moved.email(), "new@example.org");
  EXPECT_THAT(Login("new@example.org"), IsOk());

  wanted = moved;
  wanted.clear_display_name();
  const v1::User cleared = *Update(wanted, {"display_name"}, Admin().access);
  EXPECT_EQ(cleared.display_name(), "ada") << "by an admin, too";
}

TEST_F(UserServiceTest, RefusesUpdatesThatMayNotBe) {
  const Person ada = Join("ada");
  const Person bob = Join("bob");
  v1::User wanted = ada.user;
  wanted.set_display_name("x");
  EXPECT_THAT(Update(wanted, {"display_name"}, bob.access),
              StatusIs(grpc::PERMISSION_DENIED));
  EXPECT_THAT(Update(wanted, {"display_name"}, kProcess),
              StatusIs(grpc::PERMISSION_DENIED));
  for (const std::string path : {"username", "roles", "version", "id", "nope",
                                 "display_name.x", "password", ""}) {
    EXPECT_THAT(Update(wanted, {path}, ada.access),
                StatusIs(grpc::INVALID_ARGUMENT))
        << path;
  }
  EXPECT_THAT(Update(wanted, {}, ada.access), StatusIs(grpc::INVALID_ARGUMENT));
  wanted.clear_email();
  EXPECT_THAT(Update(wanted, {"email"}, ada.access),
              AllOf(StatusIs(grpc::INVALID_ARGUMENT),
                    MessageIs(HasSubstr("user.email"))));
  wanted.set_email("not an address");
  EXPECT_THAT(Update(wanted, {"email"}, ada.access),
              StatusIs(grpc::INVALID_ARGUMENT));
  wanted.set_email("BOB@example.org");
  EXPECT_THAT(Update(wanted, {"email"}, ada.access), HasReason("EMAIL_TAKEN"));
  wanted.set_version(ada.user.version() + 1);
  EXPECT_THAT(Update(wanted, {"display_name"}, ada.access),
              AllOf(StatusIs(grpc::ABORTED), HasReason("VERSION_CONFLICT")));
  wanted.clear_version();
  EXPECT_THAT(Update(wanted, {"display_name"}, ada.access),
              HasReason("VERSION_CONFLICT"));
  wanted.clear_id();
  EXPECT_THAT(
      Update(wanted, {"display_name"}, ada.access),
      AllOf(StatusIs(grpc::INVALID_ARGUMENT), MessageIs(HasSubstr("user.id"))));
  wanted.set_id(grpccommon::UuidV7());
  EXPECT_THAT(Update(wanted, {"display_name"}, Admin().access),
              StatusIs(grpc::NOT_FOUND));
  EXPECT_EQ(Get("me", ada.access)->version(), ada.user.version());
}

TEST_F(UserServiceTest, DeletesByTheUserOrAnAdmin) {
  const Person ada = Join("ada");
  const Person bob = Join("bob");
  const Person admin = Admin();
  EXPECT_THAT(Delete(ada.user.id(), bob.access),
              StatusIs(grpc::PERMISSION_DENIED));
  ASSERT_THAT(Delete(ada.user.id(), ada.access), IsOk());
  EXPECT_THAT(Delete(ada.user.id(), ada.access), StatusIs(grpc::NOT_FOUND));
  EXPECT_THAT(Get("me", ada.access), StatusIs(grpc::NOT_FOUND))
      << "the access token is good, but nobody is behind it";
  EXPECT_THAT(Refresh(ada.refresh), HasReason("REFRESH_TOKEN_INVALID"));
  EXPECT_THAT(Login("ada"), HasReason("WRONG_CREDENTIALS"));
  EXPECT_THAT(Register("ada", "ada@example.org"), HasReason("USERNAME_TAKEN"));
  EXPECT_THAT(ChangePassword(kPassword, "staple of horses", ada.access),
              StatusIs(grpc::NOT_FOUND));
  ASSERT_THAT(Delete(bob.user.id(), admin.access), IsOk());
  EXPECT_THAT(
      Delete(admin.user.id(), admin.access),
      AllOf(StatusIs(grpc::FAILED_PRECONDITION), HasReason("LAST_ADMIN")));
}

TEST_F(UserServiceTest, ListsForAdminsPageByPage) {
  const Person admin = Admin();
  const Person ada = Join("ada", {Role::kUser, Role::kAuthor});
  for (int i = 0; i < 5; ++i) Join("user" + std::to_string(i));
  EXPECT_THAT(List(ada.access), StatusIs(grpc::PERMISSION_DENIED));
  EXPECT_THAT(List(kProcess), StatusIs(grpc::PERMISSION_DENIED));

  std::vector<std::string> names;
  std::string token;
  do {
    const auto page = List(admin.access, 3, token);
    ASSERT_THAT(page, IsOk());
    EXPECT_EQ(page->page().total_count(), 7);
    for (const v1::User& user : page->users()) {
      names.push_back(user.username());
      EXPECT_NE(user.email(), "");
    }
    token = page->page().next_page_token();
  } while (!token.empty());
  EXPECT_THAT(names, ElementsAre("root", "ada", "user0", "user1", "user2",
                                 "user3", "user4"));
  EXPECT_EQ(List(admin.access, 0, "", "USER")->users_size(), 5);
  EXPECT_EQ(List(admin.access, 0, "", "", v1::ROLE_AUTHOR)->users(0).username(),
            "ada");
}

TEST_F(UserServiceTest, RefusesPageTokensOfSomethingElse) {
  const Person admin = Admin();
  for (int i = 0; i < 3; ++i) Join("user" + std::to_string(i));
  const std::string token =
      List(admin.access, 1, "", "user")->page().next_page_token();
  ASSERT_NE(token, "");
  EXPECT_THAT(List(admin.access, 1, token, "user"), IsOk());
  EXPECT_THAT(List(admin.access, 2, token, "user"), IsOk());
  const auto refused = StatusIs(grpc::INVALID_ARGUMENT);
  EXPECT_THAT(List(admin.access, 1, token, "other"), refused);
  EXPECT_THAT(List(admin.access, 1, token, "user", v1::ROLE_USER), refused);
  EXPECT_THAT(List(admin.access, 1, token + "A", "user"), refused);
  EXPECT_THAT(List(admin.access, 1, token.substr(1), "user"), refused);
  EXPECT_THAT(List(admin.access, 1, "1", "user"), refused);
  EXPECT_THAT(ViolatedFields(List(admin.access, 1, "1", "user").status()),
              ElementsAre("page.page_token"));
  EXPECT_THAT(List(admin.access, 1, std::string(500, 'A'), "user"), refused);
  EXPECT_THAT(List(admin.access, 201), refused);
  EXPECT_THAT(List(admin.access, -1), refused);
}

TEST_F(UserServiceTest, ChangesThePassword) {
  const Person ada = Join("ada");
  EXPECT_THAT(
      ChangePassword("wrong", "staple of horses", ada.access),
      AllOf(StatusIs(grpc::UNAUTHENTICATED), HasReason("WRONG_CREDENTIALS")));
  const absl::Status weak =
      ChangePassword(kPassword, "qwertyuiop", ada.access).status();
  EXPECT_THAT(weak, StatusIs(grpc::INVALID_ARGUMENT));
  EXPECT_THAT(ViolatedFields(weak), ElementsAre("new_password"));
  const auto tokens = ChangePassword(kPassword, "staple of horses", ada.access);
  ASSERT_THAT(tokens, IsOk());
  EXPECT_THAT(Refresh(ada.refresh), HasReason("REFRESH_TOKEN_INVALID"));
  EXPECT_THAT(Refresh(tokens->refresh_token()), IsOk());
  EXPECT_THAT(Login("ada"), HasReason("WRONG_CREDENTIALS"));
  EXPECT_THAT(Login("ada", "staple of horses"), IsOk());
  EXPECT_THAT(ChangePassword(kPassword, "staple of horses", kProcess),
              StatusIs(grpc::NOT_FOUND));
}

TEST_F(UserServiceTest, AssignsRolesThatTokensThenHave) {
  const Person admin = Admin();
  const Person ada = Join("ada");
  EXPECT_THAT(AssignRole(ada.user.id(), {v1::ROLE_ADMIN}, ada.access),
              StatusIs(grpc::PERMISSION_DENIED));
  EXPECT_THAT(AssignRole(ada.user.id(), {v1::ROLE_ADMIN}, kProcess),
              StatusIs(grpc::PERMISSION_DENIED));
  const auto author =
      AssignRole(ada.user.id(), {v1::ROLE_AUTHOR, v1::ROLE_USER}, admin.access);
  ASSERT_THAT(author, IsOk());
  EXPECT_THAT(author->roles(), ElementsAre(v1::ROLE_USER, v1::ROLE_AUTHOR));
  EXPECT_THAT(Validate(ada.access, kProcess)->roles(),
              ElementsAre(v1::ROLE_USER))
      << "this token says what was so";
  EXPECT_THAT(Validate(Refresh(ada.refresh)->access_token(), kProcess)->roles(),
              ElementsAre(v1::ROLE_USER, v1::ROLE_AUTHOR));
}

TEST_F(UserServiceTest, GivesNoRoleThatIsNotForUsers) {
  const Person admin = Admin();
  const Person ada = Join("ada");
  for (const std::vector<int>& roles : {std::vector<int>{},
                                        {0},
                                        {4},
                                        {-1},
                                        {31},
                                        {32},
                                        {64},
                                        {1, 1},
                                        {1, 2, 3, 1}}) {
    EXPECT_THAT(AssignRole(ada.user.id(), roles, admin.access),
                StatusIs(grpc::INVALID_ARGUMENT));
  }
  EXPECT_THAT(Get(ada.user.id(), admin.access)->roles(),
              ElementsAre(v1::ROLE_USER));
  EXPECT_THAT(
      AssignRole(admin.user.id(), {v1::ROLE_USER}, admin.access),
      AllOf(StatusIs(grpc::FAILED_PRECONDITION), HasReason("LAST_ADMIN")));
  EXPECT_THAT(AssignRole(grpccommon::UuidV7(), {v1::ROLE_USER}, admin.access),
              StatusIs(grpc::NOT_FOUND));
}

TEST_F(UserServiceTest, TellsProcessesWhatATokenSays) {
  const Person ada = Join("ada", {Role::kUser, Role::kAuthor});
  const auto said = Validate(ada.access, kProcess);
  ASSERT_THAT(said, IsOk());
  EXPECT_EQ(said->user_id(), ada.user.id());
  EXPECT_THAT(said->roles(), ElementsAre(v1::ROLE_USER, v1::ROLE_AUTHOR));
  EXPECT_GT(said->expires_at().seconds(), 0);
  EXPECT_THAT(Validate(ada.access, ada.access),
              StatusIs(grpc::PERMISSION_DENIED));
  EXPECT_THAT(Validate(ada.access, ""), StatusIs(grpc::UNAUTHENTICATED));

  const auto foreign = grpccommon::JwtSigner::Generate(
      grpccommon::JwtAlgorithm::kEs256, "theirs");
  const std::string forged =
      *foreign->Sign({.subject = ada.user.id(),
                      .issuer = "platform-user",
                      .audiences = {"platform"},
                      .expires_at = grpccommon::SteadyClock().WallNow() +
                                    std::chrono::hours(1),
                      .roles = {"admin"}});
  EXPECT_THAT(
      Validate(forged, kProcess),
      AllOf(StatusIs(grpc::INVALID_ARGUMENT), HasReason("TOKEN_KEY_UNKNOWN")));
  EXPECT_THAT(
      Validate("nonsense", kProcess),
      AllOf(StatusIs(grpc::INVALID_ARGUMENT), HasReason("TOKEN_MALFORMED")));
  EXPECT_THAT(Get("me", forged), StatusIs(grpc::UNAUTHENTICATED));
}

TEST_F(UserServiceTest, PublishesItsKeys) {
  const Person ada = Join("ada");
  grpccommon::testing::RawClient client(server_.server().http_port());
  client.Send("GET /.well-known/jwks.json HTTP/1.1\r\nhost: x\r\n\r\n");
  const auto response = client.ReadResponse();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.at("cache-control"), "public, max-age=300");
  EXPECT_THAT(response.headers.at("content-type"), HasSubstr("json"));
  const auto keys = grpccommon::JwkSet::Parse(response.body);
  ASSERT_THAT(keys, IsOk());
  EXPECT_THAT(keys->keys(), SizeIs(1));
  EXPECT_THAT(response.body, Not(HasSubstr("\"d\"")));
  const auto source = grpccommon::CreateStaticKeySource(*keys);
  const auto verifier = *grpccommon::JwtVerifier::Create(
      {.issuer = "platform-user", .audiences = {"platform"}}, *source);
  EXPECT_THAT(verifier->Verify(ada.access, grpccommon::SteadyClock().WallNow()),
              IsOk());
}

TEST_F(UserServiceTest, TellsNoSecretToAnybody) {
  const Person ada = Join("ada");
  std::vector<std::string> secrets = {kPassword, ada.access, ada.refresh,
                                      "staple of horses", "hunter2-is-wrong"};
  const auto keep = [&secrets](const v1::Tokens& tokens) {
    secrets.push_back(tokens.access_token());
    secrets.push_back(tokens.refresh_token());
  };
  std::string errors;
  const auto fail = [&errors](const absl::Status& status) {
    EXPECT_FALSE(status.ok());
    errors += status.ToString(absl::StatusToStringMode::kWithEverything);
  };
  keep(*Refresh(ada.refresh));
  fail(Refresh(ada.refresh).status());
  fail(Login("ada", "hunter2-is-wrong").status());
  fail(Login("hunter2-is-wrong", "hunter2-is-wrong").status());
  fail(Register("ada", "x@example.org", "staple of horses").status());
  fail(Register("!", "x@example.org", "staple of horses").status());
  fail(Validate("hunter2-is-wrong", kProcess).status());
  fail(ChangePassword("hunter2-is-wrong", "staple of horses", ada.access)
           .status());
  fail(Get("me", "hunter2-is-wrong").status());
  keep(*ChangePassword(kPassword, "staple of horses", ada.access));
  // The database itself is told no reason to quote anything.
  server_.Write([](UserStore& store) {
    EXPECT_FALSE(store.database()
                     .Attempt([&] {
                       return store.database().Run(
                           [](soci::session& sql) -> absl::Status {
                             common::Query(sql,
                                           "INSERT INTO users (id, "
                                           "password_hash) VALUES (:id, :hash)")
                                 .Bind("id", "staple of horses")
                                 .Bind("hash", kPassword)
                                 .Run();
                             return absl::OkStatus();
                           });
                     })
                     .ok());
    return absl::OkStatus();
  });

  const std::string metrics = server_.server().metrics().Expose();
  ASSERT_TRUE(server_.log().WaitForLines(
      "grpc.method", "/platform.user.v1.UserService/ChangePassword", 2));
  server_.server().Shutdown();
  std::string told = errors + metrics + server_.log().text();
  for (const grpccommon::SpanData& span : server_.spans().spans()) {
    told += span.name + span.status_message;
    for (const auto& [name, value] : span.attributes) {
      if (const auto* text = std::get_if<std::string>(&value)) told += *text;
    }
  }
  EXPECT_THAT(server_.spans().spans(), Not(IsEmpty()));
  EXPECT_THAT(server_.log().text(), HasSubstr("the database failed"));
  for (const std::string& secret : secrets) {
    EXPECT_THAT(told, Not(HasSubstr(secret)));
    // Nor its random part alone.
    EXPECT_THAT(told, Not(HasSubstr(secret.substr(secret.rfind('.') + 1))));
  }
}

}  // namespace
}  // namespace platform::user
