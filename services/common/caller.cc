// SPDX-License-Identifier: Apache-2.0
#include "services/common/caller.h"

namespace platform::common {

std::string CallerId(const grpccommon::Principal& principal) {
  // An authenticator of an application's own may name none.
  if (principal.issuer.empty() || principal.issuer == kUserIssuer) {
    return principal.subject;
  }
  return principal.issuer + '|' + principal.subject;
}

}  // namespace platform::common
