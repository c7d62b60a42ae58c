// SPDX-License-Identifier: Apache-2.0
#include "services/user/jwks_handler.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"

namespace platform::user {

using grpccommon::HttpRequest;
using grpccommon::HttpResponse;
using grpccommon::ResponseWriter;

grpccommon::HttpHandler CreateJwksHandler(const KeyRing& keys,
                                          std::chrono::seconds max_age) {
  return [&keys, cache = absl::StrCat("public, max-age=", max_age.count())](
             const HttpRequest& /*request*/,
             const std::shared_ptr<ResponseWriter>& writer) {
    HttpResponse response = grpccommon::JsonResponse(*keys.jwks());
    response.headers.Set("cache-control", cache);
    writer->Send(std::move(response));
  };
}

}  // namespace platform::user
