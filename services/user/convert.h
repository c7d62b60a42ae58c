// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "grpccommon/base/clock.h"
#include "platform/user/v1/user_service.pb.h"
#include "services/user/accounts.h"
#include "services/user/user.h"

namespace platform::user {

google::protobuf::Timestamp ToProto(grpccommon::Clock::WallTime time);

/// With the address, or without it for those who may not see it.
v1::User ToProto(const User& user, bool with_email);
v1::Tokens ToProto(const Tokens& tokens);

/// The role of that name; unspecified if there is none.
v1::Role RoleFromName(std::string_view name);

}  // namespace platform::user
