// SPDX-License-Identifier: Apache-2.0
#include "services/user/convert.h"

#include <chrono>

namespace platform::user {

google::protobuf::Timestamp ToProto(grpccommon::Clock::WallTime time) {
  const auto seconds =
      std::chrono::floor<std::chrono::seconds>(time.time_since_epoch());
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(seconds.count());
  timestamp.set_nanos(
      static_cast<int>((time.time_since_epoch() - seconds).count()));
  return timestamp;
}

v1::User ToProto(const User& user, bool with_email) {
  v1::User proto;
  proto.set_id(user.id);
  proto.set_username(user.username);
  proto.set_display_name(user.display_name);
  if (with_email) proto.set_email(user.email);
  for (const Role role : kRoles) {
    if (user.roles.Has(role)) proto.add_roles(static_cast<v1::Role>(role));
  }
  *proto.mutable_created_at() = ToProto(user.created_at);
  *proto.mutable_updated_at() = ToProto(user.updated_at);
  proto.set_version(user.version);
  return proto;
}

v1::Tokens ToProto(const Tokens& tokens) {
  v1::Tokens proto;
  proto.set_access_token(tokens.access.text);
  *proto.mutable_access_expires_at() = ToProto(tokens.access.expires_at);
  proto.set_refresh_token(tokens.refresh);
  *proto.mutable_refresh_expires_at() = ToProto(tokens.refresh_expires_at);
  return proto;
}

v1::Role RoleFromName(std::string_view name) {
  for (const Role role : kRoles) {
    if (RoleName(role) == name) return static_cast<v1::Role>(role);
  }
  return v1::ROLE_UNSPECIFIED;
}

}  // namespace platform::user
