// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "grpccommon/base/export.h"
#include "grpccommon/http/message.h"
#include "grpccommon/http/uri.h"
#include "grpccommon/http/web_socket.h"

namespace grpccommon {

/// What a router knows of a request. The handlers are borrowed from it.
struct RouteMatch {
  /// Null unless found; at most one of the two is set.
  const HttpHandler* handler = nullptr;
  const WebSocketHandler* web_socket = nullptr;
  /// The pattern as it was added; empty unless found.
  std::string_view pattern;
  std::vector<std::pair<std::string, std::string>> captures;
  /// The methods that the path has, sorted ("GET, HEAD, OPTIONS"); empty if no
  /// route has the path. Set unless found.
  std::string allow;
  /// A GET that is not found because the path speaks WebSocket only.
  bool upgrade_required = false;
};

/// Finds the handler for a method and a path.
///
/// Patterns are those of google.api.http: `/v1/users/{id}`, `/files/{path=**}`,
/// `/v1/{name=shelves/*/books/*}:publish`. `*` and `{id}` match one segment
/// that is not empty, `**` any number of segments, none included, and stands
/// last; a verb after `:` matches a literal end of the path.
///
/// Precedence: segment by segment from the left, a literal wins over `*` and
/// `*` over `**`; a pattern with a verb wins over the same without. A route
/// only competes if it has the method. The order of adding does not matter.
///
/// A capture of one segment has all escapes decoded; one of several segments
/// keeps an escaped slash as `%2F`, so that the segments can be told apart.
///
/// Adding is not thread-safe; finding is. Matching costs at most one step for
/// each node of the pattern tree: no pattern and no path makes it explode.
class GRPCCOMMON_EXPORT Router {
 public:
  Router();
  ~Router();
  Router(Router&&) noexcept;
  Router& operator=(Router&&) noexcept;

  /// Errors: kInvalidArgument for a malformed method or pattern, kAlreadyExists
  /// for a pattern that matches the same paths with the same method; both name
  /// the patterns.
  absl::Status Add(std::string_view method, std::string_view pattern,
                   HttpHandler handler);

  /// For GET requests that ask for an upgrade to WebSocket; a GET route of the
  /// same pattern gets those that do not (without one they get 426).
  absl::Status AddWebSocket(std::string_view pattern, WebSocketHandler handler);

  /// `method` is an HTTP method; `web_socket` says that the request asks for
  /// the upgrade. HEAD finds the GET route if there is no HEAD route.
  RouteMatch Find(std::string_view method, const RequestTarget& target,
                  bool web_socket = false) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace grpccommon
