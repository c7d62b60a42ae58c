// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/http/operations.h"

#include <memory>
#include <utility>

namespace grpccommon {
namespace {

using Answer = std::function<HttpResponse()>;

absl::Status AddRoute(Router& router, std::string_view path, Answer answer) {
  return router.Add("GET", path,
                    [answer = std::move(answer)](
                        const HttpRequest& /*request*/,
                        const std::shared_ptr<ResponseWriter>& response) {
                      HttpResponse current = answer();
                      current.headers.Set("cache-control", "no-store");
                      response->Send(std::move(current));
                    });
}

}  // namespace

absl::Status AddOperationsRoutes(Router& router,
                                 OperationsCallbacks callbacks) {
  absl::Status added =
      AddRoute(router, "/healthz/live", [live = std::move(callbacks.live)] {
        const bool alive = live == nullptr || live();
        return JsonResponse(
            alive ? R"({"status":"live"})" : R"({"status":"not_live"})",
            alive ? 200 : 503);
      });
  if (callbacks.ready != nullptr) {
    added.Update(AddRoute(
        router, "/healthz/ready", [ready = std::move(callbacks.ready)] {
          const Readiness now = ready();
          std::string json = R"({"status":")";
          json += now.ready ? "ready" : "not_ready";
          json += R"(","checks":)";
          json += now.checks;
          json += "}";
          return JsonResponse(std::move(json), now.ready ? 200 : 503);
        }));
  }
  if (callbacks.metrics != nullptr) {
    added.Update(
        AddRoute(router, "/metrics", [metrics = std::move(callbacks.metrics)] {
          HttpResponse response = {.body = metrics()};
          response.headers.Set("content-type",
                               "text/plain; version=0.0.4; charset=utf-8");
          return response;
        }));
  }
  if (callbacks.version != nullptr) {
    added.Update(
        AddRoute(router, "/version", [version = std::move(callbacks.version)] {
          return JsonResponse(version());
        }));
  }
  return added;
}

}  // namespace grpccommon
