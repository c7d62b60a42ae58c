// SPDX-License-Identifier: Apache-2.0
#include "services/user/backend.h"

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/http/router.h"
#include "grpccommon/validate/validator.h"
#include "services/user/jwks_handler.h"

namespace platform::user {

using grpccommon::CheckRange;
using grpccommon::Clock;
using namespace std::chrono_literals;

// How far apart the clocks of the instances and of those who verify may be:
// the most that the library lets a verifier allow for.
constexpr Clock::Duration kLargestLeeway = 10min;

absl::StatusOr<std::unique_ptr<Backend>> Backend::Create(BackendOptions options,
                                                         const Clock& clock) {
  options.keys.publish_after = options.tokens.lifetime + kLargestLeeway;
  options.store.login_failures.forget_after = options.lockout.forget_after;
  absl::Status valid =
      CheckRange("workers.threads", options.workers.threads, 1, 64);
  valid.Update(CheckRange("sessions.lifetime", options.store.sessions.lifetime,
                          1s, 3650 * 24h));
  if (!valid.ok()) return valid;
  const auto lockout = Lockout::Create(options.lockout);
  if (!lockout.ok()) return lockout.status();

  auto backend = absl::WrapUnique(new Backend(std::move(options)));
  const BackendOptions& given = backend->options_;
  auto vault = Vault::Open(given.key_file);
  if (!vault.ok()) return vault.status();
  backend->vault_ = *vault;
  auto hasher = PasswordHasher::Create(given.passwords);
  if (!hasher.ok()) return hasher.status();
  backend->hasher_ = *std::move(hasher);
  auto store = OpenUserStoreQueue(given.store, {}, clock);
  if (!store.ok()) return store.status();
  backend->store_ = *std::move(store);
  backend->workers_ = std::make_unique<WorkerPool>(given.workers);
  auto keys = KeyRing::Create(*backend->store_, *backend->vault_,
                              given.published_keys, given.keys, clock);
  if (!keys.ok()) return keys.status();
  backend->keys_ = *std::move(keys);
  auto tokens = AccessTokens::Create(*backend->keys_, given.tokens, clock);
  if (!tokens.ok()) return tokens.status();
  backend->tokens_ = *std::move(tokens);
  backend->accounts_ = std::make_unique<Accounts>(
      *backend->store_, *backend->workers_, *backend->hasher_,
      *backend->tokens_, *backend->vault_, *lockout, clock);
  auto service = UserService::Create(*backend->store_, *backend->accounts_,
                                     *backend->tokens_);
  if (!service.ok()) return service.status();
  backend->service_ = *std::move(service);
  return backend;
}

absl::Status Backend::AddTo(grpccommon::Server& server) {
  server.Add<v1::UserService>(*service_);
  // Fetched again well before a new key signs.
  const auto max_age = std::min<std::chrono::seconds>(
      5min, std::chrono::floor<std::chrono::seconds>(
                options_.keys.publish_ahead / 4));
  return server.http_routes().Add("GET", "/.well-known/jwks.json",
                                  CreateJwksHandler(*keys_, max_age));
}

absl::StatusOr<bool> Backend::MakeFirstAdmin(const FirstAdmin& admin) {
  v1::RegisterRequest request;
  request.set_username(admin.username);
  request.set_email(admin.email);
  request.set_password(admin.password);
  const auto rules =
      grpccommon::Validator::Create(*v1::RegisterRequest::descriptor());
  if (!rules.ok()) return rules.status();
  const absl::Status valid = (*rules)->Validate(request);
  if (!valid.ok()) return valid;
  return accounts_->RegisterFirst({.username = admin.username,
                                   .email = admin.email,
                                   .display_name = {},
                                   .password_hash = {},
                                   .roles = {Role::kUser, Role::kAdmin}},
                                  admin.password);
}

void Backend::StartKeyChecks(grpccommon::Scheduler& scheduler) {
  key_checks_ = std::make_unique<grpccommon::PeriodicTask>(
      scheduler,
      // Often enough to know each key well before any instance signs with it.
      std::min<Clock::Duration>(1min, options_.keys.publish_ahead / 4), [this] {
        // The store has told the operator of errors.
        keys_->Refresh([](const absl::Status&) {});
      });
}

void Backend::StopKeyChecks() { key_checks_.reset(); }

}  // namespace platform::user
