// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace platform::common {

/// What a token is for; one is no use as the other.
enum class TokenKind : char { kPage = 'p', kResume = 'r' };

/// A place in a list: the key of the row before it. Lists are ordered by a
/// number, or by a number or text that several rows may share and then their
/// id; what is not part of the key stays empty.
struct Place {
  std::int64_t number = 0;
  std::string text;
  std::string id;

  friend bool operator==(const Place&, const Place&) = default;
};

/// What a list was asked for (filter, order, owner …), of which a token of it
/// is not valid for another: all fields, in a fixed order.
using TokenContext = std::initializer_list<std::string_view>;

/// A place as text that callers hand back. It is bound to `context` without
/// containing it. Not a secret and not signed: whoever makes one up reaches a
/// place that they may reach anyway, so the query has to check what they may
/// see on every page. It may be longer than the texts by half and 30 bytes.
std::string MakeToken(TokenKind kind, const Place& place,
                      TokenContext context = {});

/// The place; empty for what is no token, or one of another kind or context.
/// Its texts are UTF-8 without NUL, whoever made it.
std::optional<Place> ReadToken(TokenKind kind, std::string_view token,
                               TokenContext context = {});

/// The place to go on from, none for an empty token. Errors: kInvalidArgument
/// naming the request's `field`.
absl::StatusOr<std::optional<Place>> ReadPageToken(
    std::string_view token, TokenContext context = {},
    std::string_view field = "page_token");

}  // namespace platform::common
