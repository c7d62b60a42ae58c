// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/call/server_call.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "call/call_log.h"
#include "call/client_metadata.h"
#include "call/peer.h"
#include "call/sendable_metadata.h"
#include "call/server_call_driver.h"
#include "grpc/grpc.h"
#include "grpc/support/alloc.h"
#include "grpc/support/time.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/call/metadata_keys.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/refusal.h"
#include "grpcpp/server_context.h"

namespace grpccommon {
namespace {

// Only its address counts.
const char kTag = 0;

// gRPC's call has one place for a pointer of ours, the one for tracing plugins.
// Where such a plugin has taken it, or there is no gRPC call (in unit tests),
// calls are found by their context in this table instead.
class CallTable {
 public:
  void Insert(const grpc::ServerContextBase* context, ServerCall* call) {
    used_.store(true, std::memory_order_release);
    Shard& shard = ShardOf(context);
    const MutexLock lock(shard.mutex);
    shard.calls[context] = call;
  }
  void Erase(const grpc::ServerContextBase* context) {
    if (!used_.load(std::memory_order_acquire)) return;
    Shard& shard = ShardOf(context);
    const MutexLock lock(shard.mutex);
    shard.calls.erase(context);
  }
  ServerCall* Find(const grpc::ServerContextBase* context) {
    if (!used_.load(std::memory_order_acquire)) return nullptr;
    Shard& shard = ShardOf(context);
    const MutexLock lock(shard.mutex);
    const auto call = shard.calls.find(context);
    return call == shard.calls.end() ? nullptr : call->second;
  }

 private:
  struct Shard {
    Mutex mutex;
    std::unordered_map<const grpc::ServerContextBase*, ServerCall*> calls
        ABSL_GUARDED_BY(mutex);
  };
  Shard& ShardOf(const grpc::ServerContextBase* context) {
    return shards_[(reinterpret_cast<std::uintptr_t>(context) >> 8) %
                   shards_.size()];
  }
  std::atomic<bool> used_{false};
  std::array<Shard, 32> shards_;
};

[[gnu::hot]] CallTable& Table() {
  static CallTable* const table = new CallTable();
  return *table;
}

bool IsRequestIdCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') ||
         std::string_view("-_.:/+=@").find(c) != std::string_view::npos;
}

bool IsRequestId(std::string_view text) {
  if (text.empty() || text.size() > 128) return false;
  for (const char c : text) {
    if (!IsRequestIdCharacter(c)) return false;
  }
  return true;
}

// Owns nothing, so that calls do not count references in one place.
[[gnu::hot]] std::shared_ptr<const Principal> Anonymous() {
  static const auto* const anonymous = new Principal();
  return {std::shared_ptr<const Principal>(), anonymous};
}

[[gnu::hot]] bool MaySend(const ServerCall& call, std::string_view key,
                          std::string_view value) {
  if (internal::IsSendable(key, value)) return true;
  // Not the value: it may be a secret.
  call.log().Error("metadata cannot be sent", {{"key", key}});
  return false;
}

}  // namespace

[[gnu::hot]] ServerCall* ServerCall::Of(
    const grpc::ServerContextBase& context) {
  const auto* call =
      reinterpret_cast<const ServerCall*>(context.census_context());
  if (call != nullptr && call->tag_ == &kTag) {
    return const_cast<ServerCall*>(call);
  }
  return Table().Find(&context);
}

[[gnu::hot]] ServerCall::~ServerCall() {
  gpr_free(peer_.load(std::memory_order_acquire));
}

[[gnu::hot]] std::string_view ServerCall::peer() const {
  char* known = peer_.load(std::memory_order_acquire);
  if (known == nullptr) {
    grpc_call* const core_call = context_->c_call();
    if (core_call == nullptr) return {};
    char* const fresh = grpc_call_get_peer(core_call);
    internal::DecodePeer(fresh);
    if (peer_.compare_exchange_strong(known, fresh,
                                      std::memory_order_acq_rel)) {
      known = fresh;
    } else {
      gpr_free(fresh);
    }
  }
  return known;
}

std::string_view ServerCall::peer_address() const {
  std::string_view address = peer();
  const std::size_t scheme = address.find(':');
  if (scheme == std::string_view::npos) return address;
  const bool internet = address.starts_with("ipv");
  address.remove_prefix(scheme + 1);
  if (!internet) return address;
  address = address.substr(0, address.rfind(':'));
  if (address.starts_with('[') && address.ends_with(']')) {
    address = address.substr(1, address.size() - 2);
  }
  return address;
}

[[gnu::hot]] std::string_view ServerCall::metadata(std::string_view key) const {
  std::string_view found;
  internal::VisitClientMetadata(
      *context_, [&](std::string_view name, std::string_view value) {
        if (name != key) return true;
        found = value;
        return false;
      });
  return found;
}

void ServerCall::VisitMetadata(
    const std::function<void(std::string_view, std::string_view)>& visit)
    const {
  internal::VisitClientMetadata(
      *context_, [&](std::string_view key, std::string_view value) {
        visit(key, value);
        return true;
      });
}

[[gnu::hot]] void ServerCall::set_principal(
    std::shared_ptr<const Principal> principal) {
  if (principal == nullptr) principal = Anonymous();
  principal_ = std::move(principal);
}

[[gnu::hot]] Clock::Duration ServerCall::duration() const {
  const Clock::TimePoint end = ended_at_.load(std::memory_order_relaxed);
  return (end != Clock::TimePoint() ? end : clock_->Now()) - started_at_;
}

Clock::Duration ServerCall::remaining() const {
  return deadline_.has_value() ? *deadline_ - clock_->Now()
                               : Clock::Duration::max();
}

bool ServerCall::cancelled() const {
  return cancelled_.load(std::memory_order_acquire) || context_->IsCancelled();
}

[[gnu::hot]] void ServerCall::AddTrailingMetadata(std::string_view key,
                                                  std::string_view value) {
  if (MaySend(*this, key, value)) {
    context_->AddTrailingMetadata(std::string(key), std::string(value));
  }
}

void ServerCall::AddInitialMetadata(std::string_view key,
                                    std::string_view value) {
  if (MaySend(*this, key, value)) {
    context_->AddInitialMetadata(std::string(key), std::string(value));
  }
}

Logger ServerCall::log() const {
  return internal::LogWithIds(*logger_, request_id_, trace_);
}

std::shared_ptr<const grpc::AuthContext> ServerCall::auth_context() const {
  return context_->auth_context();
}

namespace internal {

[[gnu::hot]] void ServerCallDriver::Bind(ServerCall& call,
                                         grpc::ServerContextBase& context,
                                         void* owner) {
  call.context_ = &context;
  call.owner_ = owner;
  call.tag_ = &kTag;
  grpc_call* const core_call = context.c_call();
  if (core_call != nullptr && context.census_context() == nullptr) {
    grpc_census_call_set_context(core_call,
                                 reinterpret_cast<census_context*>(&call));
  } else {
    Table().Insert(&context, &call);
  }
}

[[gnu::hot]] void ServerCallDriver::Unbind(ServerCall& call) {
  if (call.context_ != nullptr) Table().Erase(call.context_);
}

[[gnu::hot]] void ServerCallDriver::Start(
    ServerCall& call, const Method& method, std::string_view path,
    const google::protobuf::Message* request, const Clock& clock,
    const Logger& logger) {
  call.method_ = &method;
  call.path_ = path;
  call.request_ = request;
  call.clock_ = &clock;
  call.logger_ = &logger;
  call.principal_ = Anonymous();
  call.started_at_ = clock.Now();
  call.started_wall_ = clock.WallNow();

  const std::string_view sent_id = call.metadata(metadata::kRequestId);
  if (IsRequestId(sent_id)) {
    call.request_id_ = sent_id;
  } else {
    WriteUuidV7(call.started_wall_, call.request_id_buffer_);
    call.request_id_ = {call.request_id_buffer_, kUuidLength};
  }

  const gpr_timespec deadline = call.context_->raw_deadline();
  const gpr_timespec now = gpr_now(deadline.clock_type);
  // Beyond this, infinity included, a deadline is none; nanoseconds of 64 bits
  // could not even express what a client may ask for.
  constexpr std::int64_t kFarSeconds = 1'000'000'000;
  if (deadline.tv_sec < now.tv_sec + kFarSeconds) {
    // One in the far past has just passed.
    const std::int64_t seconds =
        std::max(deadline.tv_sec, now.tv_sec - kFarSeconds) - now.tv_sec;
    call.deadline_ = call.started_at_ + std::chrono::seconds(seconds) +
                     std::chrono::nanoseconds(deadline.tv_nsec - now.tv_nsec);
  }
  if (method.policy.timeout.has_value()) {
    const Clock::TimePoint bound = call.started_at_ + *method.policy.timeout;
    if (!call.deadline_.has_value() || bound < *call.deadline_) {
      call.deadline_ = bound;
    }
  }
}

[[gnu::hot]] grpc::Status ServerCallDriver::StatusOfRefusal(
    const ServerCall& call, const absl::Status& status) {
  return call.refusal_ != nullptr && call.refusal_->status() == status
             ? call.refusal_->After(call.retry_delay_)
             : ToGrpcStatus(status);
}

}  // namespace internal
}  // namespace grpccommon
