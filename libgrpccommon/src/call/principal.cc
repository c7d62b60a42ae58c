// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/call/principal.h"

#include <algorithm>

namespace grpccommon {

bool Principal::HasRole(std::string_view role) const {
  return std::find(roles.begin(), roles.end(), role) != roles.end();
}

bool Principal::HasScope(std::string_view scope) const {
  return std::find(scopes.begin(), scopes.end(), scope) != scopes.end();
}

}  // namespace grpccommon
