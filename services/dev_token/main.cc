// SPDX-License-Identifier: Apache-2.0
// Prints a development token, which services started by `./dev up` accept.
//
//   dev_token <folder> [--subject <name>] [--role <role>]… [--scope <scope>]…
//                      [--ttl <seconds>]
//
// The folder keeps the signing key (dev_key.json, readable by its owner only,
// made at first use) and what verifies it (dev_jwks.json). Without a subject
// nothing is printed: the files are there afterwards.

#include <algorithm>
#include <charconv>
#include <chrono>
#include <iostream>
#include <string>
#include <string_view>
#include <system_error>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/auth/jwt_signer.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/file.h"
#include "grpccommon/server/server.h"

namespace {

constexpr std::string_view kIssuer = "grpccommon-dev";
constexpr std::string_view kAudience = "grpccommon-dev";

/// The folder's key; made at first use, by one of those who try at once.
absl::StatusOr<grpccommon::JwtSigner> LoadSigner(const std::string& folder) {
  const std::string key_file = folder + "/dev_key.json";
  absl::StatusOr<std::string> key = grpccommon::ReadFile(key_file);
  if (absl::IsNotFound(key.status())) {
    const auto fresh = grpccommon::JwtSigner::Generate(
        grpccommon::JwtAlgorithm::kEs256, "dev");
    if (!fresh.ok()) return fresh.status();
    const absl::Status created =
        grpccommon::CreateFile(key_file, fresh->PrivateJwk(), 0600);
    if (!created.ok() && !absl::IsAlreadyExists(created)) return created;
    key = grpccommon::ReadFile(key_file);
  }
  if (!key.ok()) return key.status();
  absl::StatusOr<grpccommon::JwtSigner> signer =
      grpccommon::JwtSigner::FromJwk(*key);
  if (!signer.ok()) return signer;

  const absl::StatusOr<std::string> jwks = signer->PublicJwks();
  if (!jwks.ok()) return jwks.status();
  const absl::Status published =
      grpccommon::CreateFile(folder + "/dev_jwks.json", *jwks, 0644);
  if (!published.ok() && !absl::IsAlreadyExists(published)) return published;
  return signer;
}

// "user,admin" or "user admin" would be one role, which nobody asks for.
bool IsOneWord(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](unsigned char c) {
    return c <= ' ' || c == ',' || c == ';' || c == 0x7f;
  });
}

struct Arguments {
  std::string folder;
  std::chrono::seconds ttl = std::chrono::hours(12);
  grpccommon::JwtClaims claims;
};

absl::StatusOr<Arguments> Parse(int argc, char** argv) {
  if (argc < 2) return absl::InvalidArgumentError("the folder is missing");
  Arguments arguments{.folder = argv[1]};
  for (int i = 2; i < argc; i += 2) {
    const std::string_view name = argv[i];
    if (name != "--subject" && name != "--role" && name != "--scope" &&
        name != "--ttl") {
      return absl::InvalidArgumentError("unknown: " + std::string(name));
    }
    if (i + 1 == argc || std::string_view(argv[i + 1]).starts_with("--")) {
      return absl::InvalidArgumentError(std::string(name) + " needs a value");
    }
    const std::string_view value = argv[i + 1];
    if (value.empty()) {
      return absl::InvalidArgumentError(std::string(name) +
                                        " must not be empty");
    }
    if ((name == "--role" || name == "--scope") && !IsOneWord(value)) {
      return absl::InvalidArgumentError(std::string(name) +
                                        " takes one; repeat it for more");
    }
    if (name == "--subject") {
      if (!arguments.claims.subject.empty()) {
        return absl::InvalidArgumentError("--subject is there twice");
      }
      arguments.claims.subject = value;
    } else if (name == "--role") {
      arguments.claims.roles.emplace_back(value);
    } else if (name == "--scope") {
      arguments.claims.scopes.emplace_back(value);
    } else {
      int seconds = 0;
      const auto [end, error] =
          std::from_chars(value.data(), value.data() + value.size(), seconds);
      if (error != std::errc() || end != value.data() + value.size() ||
          seconds < 1) {
        return absl::InvalidArgumentError("--ttl is not a number of seconds");
      }
      arguments.ttl = std::chrono::seconds(seconds);
    }
  }
  if (arguments.claims.subject.empty() && argc > 2) {
    return absl::InvalidArgumentError("--subject is missing");
  }
  return arguments;
}

}  // namespace

int main(int argc, char** argv) {
  absl::StatusOr<Arguments> arguments = Parse(argc, argv);
  if (!arguments.ok()) return grpccommon::ExitWith(arguments.status());
  const auto signer = LoadSigner(arguments->folder);
  if (!signer.ok()) return grpccommon::ExitWith(signer.status());
  if (arguments->claims.subject.empty()) return 0;

  grpccommon::JwtClaims& claims = arguments->claims;
  claims.issuer = kIssuer;
  claims.audiences = {std::string(kAudience)};
  claims.issued_at = grpccommon::SteadyClock().WallNow();
  claims.expires_at = *claims.issued_at + arguments->ttl;
  const absl::StatusOr<std::string> token = signer->Sign(claims);
  if (!token.ok()) return grpccommon::ExitWith(token.status());
  std::cout << *token << '\n';
}
