// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/http/router.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <span>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "grpccommon/base/string_view.h"

namespace grpccommon {
namespace {

// Not a token, so no request can name it as its method.
constexpr std::string_view kWebSocketMethod = "(websocket)";
constexpr std::size_t kToTheEnd = static_cast<std::size_t>(-1);
// Bounds the recursion of a match; no API nests deeper.
constexpr std::size_t kMaxPatternSegments = 64;

struct CaptureSpec {
  std::string name;
  // Segments [begin, end) of the path.
  std::size_t begin = 0;
  std::size_t end = 0;
  bool one_segment = true;
};

struct Route {
  std::string pattern;
  std::vector<CaptureSpec> captures;
  HttpHandler handler;
  WebSocketHandler web_socket;
};

// Routes of patterns that end at the same node.
using Leaf = std::map<std::string, Route, std::less<>>;   // by method
using Leaves = std::map<std::string, Leaf, std::less<>>;  // by verb

struct Node {
  std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
  std::unique_ptr<Node> any;
  Leaves here;
  Leaves rest;  // after "**"
};

struct Pattern {
  // Decoded literals, "*" or "**" (a literal cannot have an asterisk).
  std::vector<std::string> segments;
  std::string verb;
  std::vector<CaptureSpec> captures;
};

bool IsName(std::string_view name) {
  return !name.empty() && name.front() != '.' && name.back() != '.' &&
         name.find("..") == std::string_view::npos &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                  (c >= 'A' && c <= 'Z') || c == '_' || c == '.';
         });
}

// Template = "/" Segments [ ":" Verb ], as in google/api/http.proto.
class PatternParser {
 public:
  explicit PatternParser(std::string_view text) : rest_(text) {}

  // Null for a malformed pattern.
  std::optional<Pattern> Parse() {
    if (!Take('/')) return std::nullopt;
    if (!rest_.empty() && !ParseSegments(/*in_capture=*/false)) {
      return std::nullopt;
    }
    if (Take(':')) {
      pattern_.verb = rest_;
      if (pattern_.segments.empty() || !IsLiteral(rest_)) return std::nullopt;
      rest_ = {};
    }
    const auto rest =
        std::find(pattern_.segments.begin(), pattern_.segments.end(), "**");
    if (!rest_.empty() ||
        (rest != pattern_.segments.end() &&
         std::next(rest) != pattern_.segments.end()) ||
        pattern_.segments.size() > kMaxPatternSegments) {
      return std::nullopt;
    }
    return std::move(pattern_);
  }

 private:
  bool Take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  static bool IsLiteral(std::string_view text) {
    return !text.empty() &&
           text.find_first_of("/:{}=*%?#") == std::string_view::npos &&
           text != "." && text != ".." &&
           std::all_of(text.begin(), text.end(),
                       [](char c) { return c > 0x20 && c < 0x7f; });
  }

  std::string_view TakeUntil(std::string_view stop) {
    const std::string_view taken = rest_.substr(0, rest_.find_first_of(stop));
    rest_.remove_prefix(taken.size());
    return taken;
  }

  bool ParseSegments(bool in_capture) {
    do {
      if (!in_capture && Take('{')) {
        if (!ParseCapture()) return false;
        continue;
      }
      const std::string_view segment = TakeUntil("/:{}");
      if (segment != "*" && segment != "**" && !IsLiteral(segment)) {
        return false;
      }
      pattern_.segments.emplace_back(segment);
    } while (Take('/'));
    return true;
  }

  bool ParseCapture() {
    CaptureSpec capture;
    capture.name = TakeUntil("=}/{:");
    if (!IsName(capture.name)) return false;
    for (const CaptureSpec& other : pattern_.captures) {
      if (other.name == capture.name) return false;
    }
    capture.begin = pattern_.segments.size();
    if (!Take('=')) {
      pattern_.segments.emplace_back("*");
    } else if (!ParseSegments(/*in_capture=*/true)) {
      return false;
    }
    capture.end = pattern_.segments.size();
    if (pattern_.segments.back() == "**") capture.end = kToTheEnd;
    capture.one_segment = capture.end == capture.begin + 1;
    pattern_.captures.push_back(std::move(capture));
    return Take('}');
  }

  std::string_view rest_;
  Pattern pattern_;
};

bool IsMethod(std::string_view method) {
  return IsValidHeader(method, "");  // a token, like a header's name
}

using Methods = std::set<std::string_view>;

// One search: for one method, with one reading of the verb.
struct Search {
  std::span<const std::string> segments;
  std::string_view verb;
  std::string_view method;
  Methods* methods;  // if set, collects what the path has

  const Route* In(const Leaves& leaves) const {
    const auto leaf = leaves.find(verb);
    if (leaf == leaves.end()) return nullptr;
    if (methods != nullptr) {
      for (const auto& route : leaf->second) methods->insert(route.first);
    }
    const auto route = leaf->second.find(method);
    return route == leaf->second.end() ? nullptr : &route->second;
  }

  // Each node is reached on one way only, so this visits it at most once.
  const Route* From(const Node& node, std::size_t depth) const {
    if (depth == segments.size()) {
      if (const Route* route = In(node.here)) return route;
    } else {
      const std::string& segment = segments[depth];
      const auto literal = node.literals.find(segment);
      if (literal != node.literals.end()) {
        if (const Route* route = From(*literal->second, depth + 1)) {
          return route;
        }
      }
      if (node.any != nullptr && !segment.empty()) {
        if (const Route* route = From(*node.any, depth + 1)) return route;
      }
    }
    return In(node.rest);
  }
};

std::string CaptureValue(const CaptureSpec& capture,
                         std::span<const std::string> segments) {
  const std::size_t end = std::min(capture.end, segments.size());
  if (capture.one_segment) return segments[capture.begin];
  std::string value;
  for (std::size_t i = capture.begin; i < end; ++i) {
    if (i > capture.begin) value += '/';
    value += absl::StrReplaceAll(segments[i], {{"/", "%2F"}});
  }
  return value;
}

}  // namespace

struct Router::Impl {
  Node root;

  absl::Status Add(std::string_view method, std::string_view text,
                   Route route) {
    std::optional<Pattern> pattern = PatternParser(text).Parse();
    if (!pattern.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("malformed pattern \"", ToAbsl(text), "\""));
    }
    Node* node = &root;
    Leaves* leaves = &node->here;
    for (const std::string& segment : pattern->segments) {
      if (segment == "**") {
        leaves = &node->rest;
        break;
      }
      std::unique_ptr<Node>& next =
          segment == "*" ? node->any : node->literals[segment];
      if (next == nullptr) next = std::make_unique<Node>();
      node = next.get();
      leaves = &node->here;
    }
    route.pattern = text;
    route.captures = std::move(pattern->captures);
    const auto [place, added] = (*leaves)[pattern->verb].try_emplace(
        std::string(method), std::move(route));
    if (!added) {
      return absl::AlreadyExistsError(absl::StrCat(
          "pattern \"", ToAbsl(text), "\" matches the same paths as \"",
          place->second.pattern, "\""));
    }
    return absl::OkStatus();
  }

  // `segments` becomes what the route's captures index: the path's segments,
  // the last one without the verb that the route has.
  const Route* Find(std::string_view method, const RequestTarget& target,
                    std::vector<std::string>& segments,
                    Methods* methods = nullptr) const {
    segments = target.segments;
    if (target.verb_at != RequestTarget::kNoVerb) {
      const std::string& last = target.segments.back();
      segments.back().resize(target.verb_at);
      const Search search{segments,
                          std::string_view(last).substr(target.verb_at + 1),
                          method, methods};
      const Route* route = search.verb.empty() ? nullptr : search.From(root, 0);
      if (route != nullptr) return route;
      segments.back() = last;
    }
    return Search{segments, "", method, methods}.From(root, 0);
  }

  // What a server answers to "OPTIONS *".
  static void Collect(const Node& node, Methods& methods) {
    for (const Leaves* leaves : {&node.here, &node.rest}) {
      for (const auto& leaf : *leaves) {
        for (const auto& route : leaf.second) methods.insert(route.first);
      }
    }
    for (const auto& child : node.literals) Collect(*child.second, methods);
    if (node.any != nullptr) Collect(*node.any, methods);
  }
};

Router::Router() : impl_(std::make_unique<Impl>()) {}
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;

absl::Status Router::Add(std::string_view method, std::string_view pattern,
                         HttpHandler handler) {
  if (!IsMethod(method)) {
    return absl::InvalidArgumentError(
        absl::StrCat("malformed method of \"", ToAbsl(pattern), "\""));
  }
  return impl_->Add(method, pattern, {.handler = std::move(handler)});
}

absl::Status Router::AddWebSocket(std::string_view pattern,
                                  WebSocketHandler handler) {
  return impl_->Add(kWebSocketMethod, pattern,
                    {.web_socket = std::move(handler)});
}

RouteMatch Router::Find(std::string_view method, const RequestTarget& target,
                        bool web_socket) const {
  RouteMatch match;
  std::vector<std::string> segments;
  const Route* route = nullptr;
  if (target.path != "*") {
    if (web_socket && method == "GET") {
      route = impl_->Find(kWebSocketMethod, target, segments);
    }
    if (route == nullptr && method != kWebSocketMethod) {
      route = impl_->Find(method, target, segments);
    }
    if (route == nullptr && method == "HEAD") {
      route = impl_->Find("GET", target, segments);
    }
  }
  if (route != nullptr) {
    if (route->web_socket != nullptr) {
      match.web_socket = &route->web_socket;
    } else {
      match.handler = &route->handler;
    }
    match.pattern = route->pattern;
    for (const CaptureSpec& capture : route->captures) {
      match.captures.emplace_back(capture.name,
                                  CaptureValue(capture, segments));
    }
    return match;
  }
  Methods methods;
  if (target.path == "*") {
    Impl::Collect(impl_->root, methods);
  } else {
    impl_->Find("", target, segments, &methods);
  }
  if (methods.empty()) return match;
  if (methods.erase(kWebSocketMethod) > 0) {
    match.upgrade_required = method == "GET";
    methods.insert("GET");
  }
  if (methods.count("GET") > 0) methods.insert("HEAD");
  methods.insert("OPTIONS");
  match.allow = absl::StrJoin(
      methods, ", ", [](std::string* out, std::string_view method_name) {
        out->append(method_name);
      });
  return match;
}

}  // namespace grpccommon
