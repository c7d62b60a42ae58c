// SPDX-License-Identifier: Apache-2.0
#include "services/user/key_ring.h"

#include <future>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/uuid.h"

namespace platform::user {

using grpccommon::Clock;
using grpccommon::JwkSet;
using grpccommon::JwtSigner;
using grpccommon::MutexLock;
using grpccommon::SettableKeySource;
using nlohmann::json;

absl::StatusOr<std::unique_ptr<KeyRing>> KeyRing::Create(
    UserStoreQueue& store, const Vault& vault,
    std::shared_ptr<SettableKeySource> published,
    const KeyScheduleOptions& schedule, const Clock& clock) {
  const absl::Status valid = CheckKeySchedule(schedule);
  if (!valid.ok()) return valid;
  auto ring = absl::WrapUnique(
      new KeyRing(store, vault, std::move(published), schedule, clock));
  std::promise<absl::Status> refreshed;
  ring->Refresh([&refreshed](const absl::Status& status) {
    refreshed.set_value(status);
  });
  const absl::Status status = refreshed.get_future().get();
  if (!status.ok()) return status;
  return ring;
}

KeyRing::KeyRing(UserStoreQueue& store, const Vault& vault,
                 std::shared_ptr<SettableKeySource> published,
                 const KeyScheduleOptions& schedule, const Clock& clock)
    : store_(store),
      vault_(vault),
      published_(std::move(published)),
      schedule_(schedule),
      clock_(clock) {}

KeyRing::~KeyRing() {
  const MutexLock lock(mutex_);
  while (refreshing_ > 0) refreshed_.Wait(mutex_);
}

void KeyRing::Refresh(Done done) {
  {
    const MutexLock lock(mutex_);
    ++refreshing_;
  }
  const absl::Status read = store_.Read([this, done](UserStore& store) {
    const auto stored = store.signing_keys().List();
    if (!stored.ok()) return End(done, stored.status());
    if (PlanKeys(*stored, clock_.WallNow(), schedule_).empty()) {
      return End(done, Adopt(*stored));
    }
    const auto rotated =
        std::make_shared<absl::StatusOr<std::vector<StoredKey>>>();
    const absl::Status written = store_.Write(
        {.run =
             [this, rotated](UserStore& writer) {
               *rotated = Rotate(writer);
               return rotated->status();
             },
         .done =
             [this, rotated, done](const absl::Status& committed) {
               End(done, committed.ok() ? Adopt(**rotated) : committed);
             }});
    if (!written.ok()) End(done, written);
  });
  if (!read.ok()) End(done, read);
}

void KeyRing::End(const Done& done, const absl::Status& status) {
  done(status);
  const MutexLock lock(mutex_);
  // Under the lock: the ring may be gone right after it.
  if (--refreshing_ == 0) refreshed_.NotifyAll();
}

absl::StatusOr<std::vector<StoredKey>> KeyRing::Rotate(UserStore& store) {
  // Anew: another instance may have been faster.
  auto stored = store.signing_keys().List();
  if (!stored.ok()) return stored;
  const KeyPlan plan = PlanKeys(*stored, clock_.WallNow(), schedule_);
  for (const std::string& id : plan.expired) {
    const absl::Status removed = store.signing_keys().Remove(id);
    if (!removed.ok()) return removed;
  }
  if (plan.next_signs_from.has_value()) {
    const std::string id = grpccommon::UuidV7(clock_);
    const absl::StatusOr<JwtSigner> signer =
        JwtSigner::Generate(grpccommon::JwtAlgorithm::kEs256, id);
    if (!signer.ok()) return signer.status();
    const absl::Status added =
        store.signing_keys().Add({.id = id,
                                  .sealed = vault_.Seal(signer->PrivateJwk()),
                                  .signs_from = *plan.next_signs_from});
    if (!added.ok()) return added;
  }
  return store.signing_keys().List();
}

absl::Status KeyRing::Adopt(const std::vector<StoredKey>& stored) {
  std::vector<SigningKey> keys;
  std::vector<grpccommon::Jwk> verifying;
  json set = {{"keys", json::array()}};
  for (const StoredKey& key : stored) {
    const absl::StatusOr<std::string> jwk = vault_.Unseal(key.sealed);
    if (!jwk.ok()) {
      return absl::FailedPreconditionError(
          absl::StrCat("signing key ", key.id, ": ", jwk.status().message()));
    }
    const absl::StatusOr<JwtSigner> signer = JwtSigner::FromJwk(*jwk);
    if (!signer.ok()) return signer.status();
    if (signer->id() != key.id) {
      return absl::FailedPreconditionError(
          absl::StrCat("signing key ", key.id, ": is another one"));
    }
    const absl::StatusOr<std::string> jwks = signer->PublicJwks();
    if (!jwks.ok()) return jwks.status();
    set["keys"].push_back(json::parse(*jwks)["keys"][0]);
    verifying.push_back(signer->verification_key());
    keys.push_back({.signer = *signer, .signs_from = key.signs_from});
  }
  const MutexLock lock(mutex_);
  const auto text = std::make_shared<const std::string>(set.dump());
  // What was verified under the same keys stays so.
  if (jwks_ != nullptr && *jwks_ == *text) return absl::OkStatus();
  published_->Set(JwkSet(std::move(verifying)));
  keys_ = std::move(keys);
  jwks_ = text;
  return absl::OkStatus();
}

absl::StatusOr<std::string> KeyRing::Sign(
    const grpccommon::JwtClaims& claims) const {
  const Clock::WallTime now = clock_.WallNow();
  const auto signer = [&] {
    const MutexLock lock(mutex_);
    // The first one, should the clock have been put back.
    std::size_t latest = 0;
    while (latest + 1 < keys_.size() && keys_[latest + 1].signs_from <= now) {
      ++latest;
    }
    return keys_[latest].signer;
  }();
  return signer.Sign(claims);
}

std::shared_ptr<const std::string> KeyRing::jwks() const {
  const MutexLock lock(mutex_);
  return jwks_;
}

}  // namespace platform::user
