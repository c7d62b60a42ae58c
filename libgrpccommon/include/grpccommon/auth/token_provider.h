// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/random.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/log/logger.h"

namespace grpccommon {

/// Where the token, or API key, comes from that outgoing calls show.
///
/// Thread-safe; `Token` never blocks and takes no lock that two threads share.
/// Tokens never get into a log or an error.
class GRPCCOMMON_EXPORT TokenProvider {
 public:
  virtual ~TokenProvider() = default;

  /// The one in force; never empty, printable ASCII without blanks.
  /// Errors: kUnavailable, reason TOKEN_UNAVAILABLE, saying why there is none.
  virtual absl::StatusOr<std::shared_ptr<const std::string>> Token() const = 0;
};

/// A token that never changes. Errors: kInvalidArgument if it is empty, longer
/// than 16 KiB or cannot be sent.
GRPCCOMMON_EXPORT absl::StatusOr<std::shared_ptr<TokenProvider>>
CreateStaticToken(std::string token);

struct TokenFileOptions {
  /// How often the file is looked at, in [10 ms, 1 h].
  Clock::Duration check_interval = std::chrono::seconds(5);
};

/// A file that holds a token and maybe white space around it, as Kubernetes
/// projects them; read again when it changes. A broken file is logged and keeps
/// the old token in force. `scheduler` is borrowed and must outlive the
/// provider. Errors: those of reading the file and of the token, naming it.
GRPCCOMMON_EXPORT absl::StatusOr<std::shared_ptr<TokenProvider>>
CreateTokenFile(const std::string& path, Scheduler& scheduler,
                const TokenFileOptions& options = {},
                const Logger& logger = {});

struct ClientCredentialsOptions {
  /// The issuer's token endpoint; begins with "https://".
  std::string token_url;
  std::string client_id;
  /// One of the two. The file is read at each fetch, white space around it
  /// taken away, so that a secret can be changed.
  std::string client_secret;
  std::string client_secret_file;
  /// Separated by blanks; may be empty.
  std::string scope;
  /// Sent as `audience` if not empty, for issuers that want one.
  std::string audience;
  /// Sends the secret in the form in place of HTTP Basic, for issuers that know
  /// no better.
  bool secret_in_form = false;

  /// Permits "http://…", where anybody on the way can read secret and token.
  bool allow_http = false;
  /// PEM with the authorities to trust; empty for those of the system.
  std::string ca_file;
  /// For a whole fetch, in [100 ms, 1 min].
  Clock::Duration timeout = std::chrono::seconds(5);
  /// How long `Create` waits for the first token, in [0, 1 min]. The program
  /// starts without one all the same, and its calls fail until there is one.
  Clock::Duration first_wait = std::chrono::seconds(5);
  /// Where the answer has no `expires_in`, in [10 s, 24 h].
  Clock::Duration default_lifetime = std::chrono::minutes(5);
  /// A token is not used in its last moments, for it may expire on its way, in
  /// [0, 5 min]; at most a tenth of its lifetime.
  Clock::Duration expiry_margin = std::chrono::seconds(10);
  /// After failures: equal jitter between half of and the full backoff, which
  /// doubles from `min_backoff` to `max_backoff`, in [100 ms, 1 h].
  Clock::Duration min_backoff = std::chrono::seconds(1);
  Clock::Duration max_backoff = std::chrono::minutes(1);
};

/// Tokens of an OAuth 2.0 issuer for this program itself (RFC 6749, section
/// 4.4), fetched at once and again after 60 to 80 % of their lifetime, but at
/// least a second, so that an issuer may be away for the rest of it, by a
/// thread of its own. The last token stays in force while the issuer is away
/// and it is valid. `scheduler` and `clock` are borrowed and must outlive the
/// provider. Errors: kInvalidArgument, naming the option; what ReadFile gives
/// for the secret's file.
GRPCCOMMON_EXPORT absl::StatusOr<std::shared_ptr<TokenProvider>>
CreateClientCredentials(const ClientCredentialsOptions& options,
                        Scheduler& scheduler, const Logger& logger = {},
                        const Clock& clock = SteadyClock(),
                        Random random = UniformRandom);

}  // namespace grpccommon
