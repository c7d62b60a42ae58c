// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace platform::user {

/// In Unicode code points.
inline constexpr std::size_t kMinPasswordLength = 10;
inline constexpr std::size_t kMaxPasswordLength = 200;

/// Why `password` is too easy to guess for the user with this name and address:
/// one phrase for each fault, "must have at least 10 characters", none of which
/// repeats anything of it. Empty for a good one.
///
/// No rule asks for digits or capitals; every character is welcome.
/// Source: NIST SP 800-63B, section 5.1.1.2: length, a list of common ones,
/// repetitions and sequences, words of the context.
std::vector<std::string> PasswordFaults(std::string_view password,
                                        std::string_view username,
                                        std::string_view email);

}  // namespace platform::user
