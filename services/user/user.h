// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "grpccommon/base/clock.h"

namespace platform::user {

/// The numbers are those of the proto.
enum class Role { kUser = 1, kAuthor = 2, kAdmin = 3 };

inline constexpr Role kRoles[] = {Role::kUser, Role::kAuthor, Role::kAdmin};

/// As tokens say it: "user", "author", "admin". What a process may is said by a
/// role that nobody gets here.
std::string_view RoleName(Role role);

/// A bit for each role; a number in the database.
class RoleSet {
 public:
  constexpr RoleSet() = default;
  constexpr RoleSet(std::initializer_list<Role> roles) {
    for (const Role role : roles) Add(role);
  }
  static constexpr RoleSet FromBits(int bits) {
    RoleSet set;
    set.bits_ = bits;
    return set;
  }

  constexpr void Add(Role role) { bits_ |= 1 << static_cast<int>(role); }
  constexpr bool Has(Role role) const {
    return (bits_ & 1 << static_cast<int>(role)) != 0;
  }
  constexpr int bits() const { return bits_; }

  friend bool operator==(RoleSet, RoleSet) = default;

 private:
  int bits_ = 0;
};

struct User {
  std::string id;
  std::string username;
  std::string display_name;
  std::string email;
  RoleSet roles;
  grpccommon::Clock::WallTime created_at;
  grpccommon::Clock::WallTime updated_at;
  std::int64_t version = 0;
  /// Its place in the order of registration.
  std::int64_t sequence = 0;
};

}  // namespace platform::user
