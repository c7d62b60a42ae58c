// SPDX-License-Identifier: Apache-2.0
// A stranger's token, and what a token says once its signature is right.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/fuzz.h"
#include "grpccommon/auth/jwt.h"
#include "grpccommon/auth/jwt_signer.h"
#include "grpccommon/auth/key_source.h"
#include "grpccommon/base/base64.h"
#include "grpccommon/status/details.h"

namespace grpccommon {
namespace {

const Clock::WallTime kNow{std::chrono::seconds(1767225600)};

using grpccommon::fuzz::Require;

struct Fixture {
  JwtSigner signer = *JwtSigner::Generate(JwtAlgorithm::kHs256, "k");
  std::unique_ptr<KeySource> keys = CreateStaticKeySource(JwkSet(
      {signer.verification_key(),
       JwtSigner::Generate(JwtAlgorithm::kEs256, "e")->verification_key()}));
  std::unique_ptr<JwtVerifier> verifier = *JwtVerifier::Create(
      {.any_audience = true, .roles_claim = "realm_access.roles"}, *keys);
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  static const auto* const fixture = new Fixture();
  const std::string_view text(reinterpret_cast<const char*>(data), size);

  // Nothing that a stranger writes is accepted.
  const auto foreign = fixture->verifier->Verify(text, kNow);
  Require(!foreign.ok() && !ReasonOf(foreign.status()).empty());
  (void)UnverifiedIssuer(text);
  // Nor with a signature made up, of any length or of the right one.
  std::string signature(
      text.substr(text.size() - std::min<std::size_t>(text.size(), 64)));
  for (int i = 0; i < 2; ++i) {
    const auto forged = fixture->verifier->Verify(
        Base64UrlEncode(R"({"alg":"ES256","kid":"e"})") + "." +
            Base64UrlEncode(text) + "." + Base64UrlEncode(signature),
        kNow);
    Require(!forged.ok());
    signature.resize(64, '\1');
  }

  // As claims under a good signature, and, after a NUL, with a header.
  const std::size_t split = text.find('\0');
  const auto signed_token =
      split == std::string_view::npos
          ? fixture->signer.SignPayload(text)
          : fixture->signer.SignPayload(text.substr(0, split),
                                        text.substr(split + 1));
  const auto verified = fixture->verifier->Verify(*signed_token, kNow);
  if (verified.ok()) {
    Require(!verified->principal->anonymous());
    // Who chose the keys is who is then believed.
    Require(*UnverifiedIssuer(*signed_token) == verified->principal->issuer);
    Require(verified->valid_from <= kNow && kNow < verified->valid_until);
  } else {
    Require(!ReasonOf(verified.status()).empty());
  }
  return 0;
}

}  // namespace grpccommon
