// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

/// Why a caller was refused: the stable reasons (`google.rpc.ErrorInfo`, domain
/// "grpccommon") of everything in this module, and the `reason` of its audit
/// lines.
namespace grpccommon::auth_reason {

/// UNAUTHENTICATED: the token cannot be read, or lacks what it must say.
inline constexpr std::string_view kTokenMalformed = "TOKEN_MALFORMED";
/// UNAUTHENTICATED: `alg` is none, unknown, or not the one of its key.
inline constexpr std::string_view kTokenAlgorithm = "TOKEN_ALGORITHM";
/// UNAUTHENTICATED: a `crit` header names extensions; none is supported.
inline constexpr std::string_view kTokenCritical = "TOKEN_CRITICAL";
/// UNAUTHENTICATED: `typ` is not the configured one.
inline constexpr std::string_view kTokenType = "TOKEN_TYPE";
/// UNAUTHENTICATED: no key has the token's `kid`.
inline constexpr std::string_view kTokenKeyUnknown = "TOKEN_KEY_UNKNOWN";
/// UNAUTHENTICATED: the signature does not match.
inline constexpr std::string_view kTokenSignature = "TOKEN_SIGNATURE";
/// UNAUTHENTICATED: `exp` has passed.
inline constexpr std::string_view kTokenExpired = "TOKEN_EXPIRED";
/// UNAUTHENTICATED: `nbf` or `iat` lies in the future.
inline constexpr std::string_view kTokenNotYetValid = "TOKEN_NOT_YET_VALID";
/// UNAUTHENTICATED: `iss` is not the configured one.
inline constexpr std::string_view kTokenIssuer = "TOKEN_ISSUER";
/// UNAUTHENTICATED: `aud` does not name this service.
inline constexpr std::string_view kTokenAudience = "TOKEN_AUDIENCE";
/// UNAVAILABLE: no verification key was loaded yet.
inline constexpr std::string_view kKeysUnavailable = "KEYS_UNAVAILABLE";

/// UNAUTHENTICATED: nobody was given this key, or it was withdrawn.
inline constexpr std::string_view kApiKeyUnknown = "API_KEY_UNKNOWN";
/// UNAUTHENTICATED: the key's time is over.
inline constexpr std::string_view kApiKeyExpired = "API_KEY_EXPIRED";

/// UNAUTHENTICATED: the client certificate names nobody on the allow-list.
inline constexpr std::string_view kCertificateNotAllowed =
    "CERTIFICATE_NOT_ALLOWED";

/// UNAUTHENTICATED: the method needs a credential and the call has none.
inline constexpr std::string_view kCredentialMissing = "CREDENTIAL_MISSING";
/// PERMISSION_DENIED: known, but without a role or scope that would do.
inline constexpr std::string_view kRoleMissing = "ROLE_MISSING";
/// PERMISSION_DENIED: the policy denies this caller or the method to everyone.
inline constexpr std::string_view kAccessDenied = "ACCESS_DENIED";

/// UNAVAILABLE, of outgoing calls: there is no token to show.
inline constexpr std::string_view kTokenUnavailable = "TOKEN_UNAVAILABLE";
/// FAILED_PRECONDITION, of outgoing calls: a credential would be sent on a
/// connection that is not encrypted.
inline constexpr std::string_view kInsecureConnection = "INSECURE_CONNECTION";

}  // namespace grpccommon::auth_reason
