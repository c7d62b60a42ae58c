// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "grpccommon/call/method.h"

namespace grpccommon {

/// Chooses the methods that an interceptor or an override applies to. Evaluated
/// once per method, at registration.
class Selector {
 public:
  /// Every method.
  Selector() = default;

  /// "pkg.Service"
  static Selector Service(std::string name) {
    return Selector([name = std::move(name)](const Method& method) {
      return method.service == name;
    });
  }
  /// "/pkg.Service/Method"
  static Selector Path(std::string path) {
    return Selector([path = std::move(path)](const Method& method) {
      return method.path == path;
    });
  }
  static Selector If(std::function<bool(const Method&)> predicate) {
    return Selector(std::move(predicate));
  }

  bool operator()(const Method& method) const {
    return predicate_ == nullptr || predicate_(method);
  }

  friend Selector operator!(Selector selector) {
    return If([inner = std::move(selector)](const Method& method) {
      return !inner(method);
    });
  }
  friend Selector operator||(Selector a, Selector b) {
    return If([a = std::move(a), b = std::move(b)](const Method& method) {
      return a(method) || b(method);
    });
  }
  friend Selector operator&&(Selector a, Selector b) {
    return If([a = std::move(a), b = std::move(b)](const Method& method) {
      return a(method) && b(method);
    });
  }

 private:
  explicit Selector(std::function<bool(const Method&)> predicate)
      : predicate_(std::move(predicate)) {}
  std::function<bool(const Method&)> predicate_;
};

}  // namespace grpccommon
