// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/auth/jwt_signer.h"
#include "grpccommon/auth/key_source.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/mutex.h"
#include "services/user/key_schedule.h"
#include "services/user/user_store.h"
#include "services/user/vault.h"

namespace platform::user {

/// The keys that tokens are signed with, one after the other: each is published
/// before it signs, and stays published until its last token has expired, so
/// that a rotation fails no call. Instances on one database have the same ones.
///
/// Thread-safe.
class KeyRing {
 public:
  using Done = std::function<void(const absl::Status&)>;

  /// Waits for the keys, and makes the first one. All that are published are
  /// put into `published`. What is borrowed must outlive the ring. Errors:
  /// kInvalidArgument, naming the option; kFailedPrecondition if the keys were
  /// sealed under another key than the vault's; those of Database.
  static absl::StatusOr<std::unique_ptr<KeyRing>> Create(
      UserStoreQueue& store, const Vault& vault,
      std::shared_ptr<grpccommon::SettableKeySource> published,
      const KeyScheduleOptions& schedule = {},
      const grpccommon::Clock& clock = grpccommon::SteadyClock());
  /// Waits for the end of every Refresh.
  ~KeyRing();

  KeyRing(const KeyRing&) = delete;
  KeyRing& operator=(const KeyRing&) = delete;

  /// Looks what other instances did, and does what is due. To be called much
  /// more often than keys are published ahead. `done` gets the outcome, on a
  /// thread of the store's; after an error the keys are as before.
  void Refresh(Done done);

  /// Signs with the key whose time it is.
  absl::StatusOr<std::string> Sign(const grpccommon::JwtClaims& claims) const;

  /// What verifies them.
  const std::shared_ptr<grpccommon::SettableKeySource>& published() const {
    return published_;
  }
  /// The same as a JWK set (RFC 7517).
  std::shared_ptr<const std::string> jwks() const;

 private:
  struct SigningKey {
    grpccommon::JwtSigner signer;
    grpccommon::Clock::WallTime signs_from;
  };

  KeyRing(UserStoreQueue& store, const Vault& vault,
          std::shared_ptr<grpccommon::SettableKeySource> published,
          const KeyScheduleOptions& schedule, const grpccommon::Clock& clock);

  /// In a transaction: does what is due, and returns the keys after it.
  absl::StatusOr<std::vector<StoredKey>> Rotate(UserStore& store);
  absl::Status Adopt(const std::vector<StoredKey>& stored);
  void End(const Done& done, const absl::Status& status);

  UserStoreQueue& store_;
  const Vault& vault_;
  const std::shared_ptr<grpccommon::SettableKeySource> published_;
  const KeyScheduleOptions schedule_;
  const grpccommon::Clock& clock_;

  mutable grpccommon::Mutex mutex_;
  grpccommon::CondVar refreshed_;
  int refreshing_ ABSL_GUARDED_BY(mutex_) = 0;
  // In the order in which they sign.
  std::vector<SigningKey> keys_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const std::string> jwks_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace platform::user
