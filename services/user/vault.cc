// SPDX-License-Identifier: Apache-2.0
#include "services/user/vault.h"

#include <sodium.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/base64.h"
#include "grpccommon/base/file.h"
#include "grpccommon/base/hex.h"

namespace platform::user {
namespace {

using grpccommon::Base64UrlDecode;
using grpccommon::Base64UrlEncode;

// What keys are derived for; never changed.
constexpr char kKdfContext[crypto_kdf_CONTEXTBYTES + 1] = "userserv";
enum KeyNumber { kSealing = 1, kPseudonyms = 2 };

// That they are the same is the point.
// NOLINTNEXTLINE(misc-redundant-expression)
static_assert(crypto_kdf_KEYBYTES == crypto_secretbox_KEYBYTES &&
              crypto_kdf_KEYBYTES == crypto_generichash_KEYBYTES);

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* Bytes(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

absl::StatusOr<std::string> MakeKeyFile(const std::string& path) {
  std::string key(crypto_kdf_KEYBYTES, '\0');
  crypto_kdf_keygen(Bytes(key));
  const std::string text = Base64UrlEncode(key) + "\n";
  const absl::Status created = grpccommon::CreateFile(path, text, 0600);
  // Another instance may have been faster: its key is the one.
  if (!created.ok() && !absl::IsAlreadyExists(created)) return created;
  return grpccommon::ReadFile(path, 1024);
}

}  // namespace

absl::StatusOr<Vault> Vault::Open(const std::string& path) {
  if (sodium_init() < 0) return absl::InternalError("libsodium does not start");
  absl::StatusOr<std::string> text = grpccommon::ReadFile(path, 1024);
  if (absl::IsNotFound(text.status())) text = MakeKeyFile(path);
  if (!text.ok()) return text.status();
  struct stat info;
  if (stat(path.c_str(), &info) == 0 && (info.st_mode & S_IROTH) != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat(path, ": everybody may read this key; chmod 600 it"));
  }
  absl::StripAsciiWhitespace(&*text);
  std::optional<std::string> key = Base64UrlDecode(*text);
  if (!key.has_value() || key->size() != crypto_kdf_KEYBYTES) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is no key of 32 bytes in base64url"));
  }
  Vault vault;
  crypto_kdf_derive_from_key(vault.sealing_key_.data(),
                             vault.sealing_key_.size(), kSealing, kKdfContext,
                             Bytes(*key));
  crypto_kdf_derive_from_key(vault.pseudonym_key_.data(),
                             vault.pseudonym_key_.size(), kPseudonyms,
                             kKdfContext, Bytes(*key));
  sodium_memzero(key->data(), key->size());
  sodium_memzero(text->data(), text->size());
  return vault;
}

std::string Vault::Seal(std::string_view secret) const {
  std::string nonce(crypto_secretbox_NONCEBYTES, '\0');
  randombytes_buf(nonce.data(), nonce.size());
  std::string box(crypto_secretbox_MACBYTES + secret.size(), '\0');
  crypto_secretbox_easy(Bytes(box), Bytes(secret), secret.size(), Bytes(nonce),
                        sealing_key_.data());
  return Base64UrlEncode(nonce + box);
}

absl::StatusOr<std::string> Vault::Unseal(std::string_view sealed) const {
  constexpr std::size_t kOverhead =
      crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES;
  const std::optional<std::string> bytes = Base64UrlDecode(sealed);
  if (bytes.has_value() && bytes->size() >= kOverhead) {
    const std::string_view box =
        std::string_view(*bytes).substr(crypto_secretbox_NONCEBYTES);
    std::string secret(bytes->size() - kOverhead, '\0');
    if (crypto_secretbox_open_easy(Bytes(secret), Bytes(box), box.size(),
                                   Bytes(*bytes), sealing_key_.data()) == 0) {
      return secret;
    }
  }
  return absl::FailedPreconditionError("it was sealed under another key");
}

std::string Vault::Pseudonym(std::string_view text) const {
  std::array<std::uint8_t, crypto_generichash_BYTES> hash;
  crypto_generichash(hash.data(), hash.size(), Bytes(text), text.size(),
                     pseudonym_key_.data(), pseudonym_key_.size());
  return grpccommon::ToHex(hash);
}

}  // namespace platform::user
