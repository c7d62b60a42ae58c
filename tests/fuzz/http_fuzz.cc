// SPDX-License-Identifier: Apache-2.0
// A request's target and method through parser and router, and a pattern
// through the router.
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/fuzz.h"
#include "grpccommon/base/utf8.h"
#include "grpccommon/http/router.h"
#include "grpccommon/http/uri.h"

namespace {

using grpccommon::HttpHandler;
using grpccommon::ParseRequestTarget;
using grpccommon::RequestTarget;
using grpccommon::RouteMatch;
using grpccommon::Router;

using grpccommon::fuzz::Require;

void RequireClean(std::string_view text, bool lines_allowed) {
  for (const char c : text) {
    const auto byte = static_cast<std::uint8_t>(c);
    const bool line = c == '\t' || c == '\r' || c == '\n';
    Require((byte >= 0x20 && byte != 0x7f) || (lines_allowed && line));
  }
  Require(grpccommon::RepairUtf8(text) == text);
}

const Router& Routes() {
  static const Router* router = [] {
    auto* made = new Router();
    const HttpHandler handler =
        [](grpccommon::HttpRequest,
           std::shared_ptr<grpccommon::ResponseWriter>) {};
    for (const char* pattern :
         {"/", "/a", "/a/{b}", "/a/{b}:go", "/{c}/a", "/*/*/x", "/f/{path=**}",
          "/v1/{name=a/*/b/**}:do", "/{rest=**}"}) {
      Require(made->Add("GET", pattern, handler).ok());
    }
    Require(made->Add("POST", "/p/{x}", handler).ok());
    Require(made->AddWebSocket(
                    "/w", [](grpccommon::HttpRequest,
                             std::shared_ptr<grpccommon::WebSocketUpgrade>) {})
                .ok());
    return made;
  }();
  return *router;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<RequestTarget> target = ParseRequestTarget(text);
  if (target.ok()) {
    for (const std::string& segment : target->segments) {
      RequireClean(segment, /*lines_allowed=*/false);
      Require(segment != "." && segment != "..");
    }
    if (target->verb_at != RequestTarget::kNoVerb) {
      Require(target->segments.back().at(target->verb_at) == ':');
    }
    for (const auto& [name, value] : target->query) {
      RequireClean(name, /*lines_allowed=*/false);
      RequireClean(value, /*lines_allowed=*/true);
    }
    const RouteMatch match = Routes().Find("GET", *target);
    // The last pattern takes every path.
    Require(match.handler != nullptr || target->path == "*");
    for (const auto& capture : match.captures) {
      const std::string guarded = "/" + capture.second + "/";
      Require(guarded.find("/../") == std::string::npos);
      Require(guarded.find("/./") == std::string::npos);
    }
    Routes().Find("POST", *target);
    Routes().Find("PUT", *target, /*web_socket=*/true);
    Routes().Find("HEAD", *target);
  }
  (void)grpccommon::ParseQuery(text);
  (void)grpccommon::PercentDecode(text, size % 2 == 0);

  // What the router takes as a pattern it finds, and does not take twice.
  Router router;
  if (router.Add("GET", text, nullptr).ok()) {
    Require(router.Add("GET", text, nullptr).code() ==
            absl::StatusCode::kAlreadyExists);
  }
  return 0;
}
