// SPDX-License-Identifier: Apache-2.0
// Key files and what a key server answers.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "grpccommon/auth/jwk.h"
#include "grpccommon/auth/jwt_signer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto set = grpccommon::JwkSet::Parse(text);
  if (set.ok()) {
    if (set->empty()) std::abort();
    for (const grpccommon::Jwk& key : set->keys()) {
      if (key.Verify(grpccommon::JwtAlgorithm::kEs256, text,
                     std::string_view("\0", 1))) {
        std::abort();
      }
    }
  }
  static_cast<void>(grpccommon::JwtSigner::FromJwk(text));
  return 0;
}
