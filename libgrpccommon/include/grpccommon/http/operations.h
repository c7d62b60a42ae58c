// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "grpccommon/base/export.h"
#include "grpccommon/http/router.h"

namespace grpccommon {

/// What `/healthz/ready` tells.
struct Readiness {
  bool ready = true;
  /// A JSON array with an object for each check.
  std::string checks = "[]";
};

/// Where the answers come from. The functions run on an I/O thread for each
/// request, so they must not block; a route whose function is missing is not
/// added, but for `/healthz/live`, which then says that the process answers.
struct OperationsCallbacks {
  /// Prometheus text format 0.0.4.
  std::function<std::string()> metrics;
  std::function<bool()> live;
  std::function<Readiness()> ready;
  /// A JSON object.
  std::function<std::string()> version;
};

/// Adds what operators and orchestrators ask a process for, all by GET:
/// `/metrics`; `/healthz/live`, 200 or 503; `/healthz/ready`, 200 or 503 with
/// `{"status":"ready"|"not_ready","checks":[…]}`; `/version`. None may be
/// cached, and none authenticates: keep the port off the public network, or
/// route these paths away in front.
/// Errors: those of `Router::Add`.
GRPCCOMMON_EXPORT absl::Status AddOperationsRoutes(
    Router& router, OperationsCallbacks callbacks);

}  // namespace grpccommon
