// SPDX-License-Identifier: Apache-2.0
#include "services/user/user.h"

namespace platform::user {

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kUser:
      return "user";
    case Role::kAuthor:
      return "author";
    case Role::kAdmin:
      return "admin";
  }
  return "";
}

}  // namespace platform::user
