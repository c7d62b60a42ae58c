// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace platform::task {

/// What a token is for; one is no use as the other.
enum class TokenKind : char { kPage = 'p', kResume = 'r' };

/// A place in a list or in the changes, as text that callers hand back. It is
/// bound to `context`, such as the filter of the list, without containing it.
/// Not a secret and not signed: whoever makes one up reaches a place that they
/// may reach anyway.
std::string MakeToken(TokenKind kind, std::int64_t place,
                      std::string_view context = {});

/// The place; empty for what is no token, or one of another kind or context.
std::optional<std::int64_t> ReadToken(TokenKind kind, std::string_view token,
                                      std::string_view context = {});

}  // namespace platform::task
