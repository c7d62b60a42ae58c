// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/authorize_interceptor.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "auth/audit.h"
#include "auth/glob.h"
#include "auth/watched_file.h"
#include "base/snapshot.h"
#include "grpccommon/auth/access_policy.h"
#include "grpccommon/auth/authenticate_interceptor.h"
#include "grpccommon/auth/reasons.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/status/details.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;

// What calls read: one policy, applied to every registered method.
struct Table {
  AccessPolicy policy;
  // By Method::index; null for what was not registered.
  std::vector<std::shared_ptr<const MethodAccess>> methods;
};

struct RegisteredMethod {
  std::size_t index;
  std::string path;
  AccessRule access;
};

}  // namespace

struct AuthorizeInterceptor::Impl {
  explicit Impl(AuthorizeOptions o)
      : table(std::make_shared<const Table>()), options(std::move(o)) {}

  AccessRule Resolve(std::string_view path, const AccessRule& contract) const {
    if (contract.kind != AccessRule::Kind::kDefault) return contract;
    for (const std::string& pattern : options.public_methods) {
      if (internal::GlobMatch(pattern, path)) {
        return {.kind = AccessRule::Kind::kPublic};
      }
    }
    return options.default_access;
  }

  void Apply(AccessPolicy policy) {
    const MutexLock lock(mutex);
    auto fresh = std::make_shared<Table>(Table{std::move(policy), {}});
    for (const RegisteredMethod& method : registered) {
      Place(*fresh, method);
    }
    table.Set(std::move(fresh));
  }

  void Add(RegisteredMethod method) {
    const MutexLock lock(mutex);
    auto fresh = std::make_shared<Table>(*table.Get());
    Place(*fresh, method);
    table.Set(std::move(fresh));
    registered.push_back(std::move(method));
  }

  static void Place(Table& table, const RegisteredMethod& method) {
    if (table.methods.size() <= method.index) {
      table.methods.resize(method.index + 1);
    }
    table.methods[method.index] = std::make_shared<const MethodAccess>(
        table.policy.Compile(method.path, method.access));
  }

  absl::Status Refuse(AccessDecision decision, const MethodAccess& access,
                      ServerCall& call) const {
    switch (decision) {
      case AccessDecision::kCredentialMissing:
        if (const auto* rejected = call.values().Get<RejectedCredential>()) {
          return rejected->status;
        }
        return Unauthenticated(auth_reason::kCredentialMissing,
                               absl::StrCat("this method needs a credential: ",
                                            options.credential_hint));
      case AccessDecision::kRoleMissing:
        return PermissionDenied(
            auth_reason::kRoleMissing,
            absl::StrCat("this method ", access.requirement()));
      case AccessDecision::kDenied:
      case AccessDecision::kAllowed:
        break;
    }
    return PermissionDenied(auth_reason::kAccessDenied,
                            "the access policy denies this call");
  }

  // First, since it begins a cache line.
  internal::Snapshot<Table> table;
  const AuthorizeOptions options;
  Mutex mutex;
  std::vector<RegisteredMethod> registered ABSL_GUARDED_BY(mutex);
  // Last, so that it stops before what it changes goes.
  std::optional<internal::WatchedFile<AccessPolicy>> file;
};

AuthorizeInterceptor::AuthorizeInterceptor(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}
AuthorizeInterceptor::~AuthorizeInterceptor() = default;

absl::StatusOr<std::unique_ptr<AuthorizeInterceptor>>
AuthorizeInterceptor::Create(AuthorizeOptions options, Scheduler& scheduler) {
  if (options.default_access.kind == AccessRule::Kind::kDefault) {
    return absl::InvalidArgumentError(
        "default_access must say who may call, not kDefault");
  }
  const absl::Status valid =
      CheckRange("check_interval", options.check_interval, 10ms, 1h);
  if (!valid.ok()) return valid;
  auto impl = std::make_unique<Impl>(std::move(options));
  const std::string& path = impl->options.policy_file;
  if (!path.empty()) {
    impl->file.emplace(
        path, "access policy",
        [](const std::string& content) { return AccessPolicy::Parse(content); },
        [target = impl.get()](AccessPolicy fresh) {
          target->Apply(std::move(fresh));
        },
        impl->options.audit);
    if (absl::Status read =
            impl->file->Start(scheduler, impl->options.check_interval);
        !read.ok()) {
      return read;
    }
  }
  return absl::WrapUnique(new AuthorizeInterceptor(std::move(impl)));
}

absl::StatusOr<Hooks> AuthorizeInterceptor::Register(const Method& method) {
  AccessRule access = impl_->Resolve(method.path, method.policy.access);
  // Public here and, for a generic service, under whatever name it is called;
  // and there is no file that may change it.
  const bool open =
      access.kind == AccessRule::Kind::kPublic &&
      impl_->options.default_access.kind == AccessRule::Kind::kPublic &&
      !impl_->file.has_value();
  impl_->Add({method.index, method.path, std::move(access)});
  return Hooks{.start = !open, .finish = false};
}

[[gnu::hot]] absl::Status AuthorizeInterceptor::OnStart(ServerCall& call) {
  const Method& method = call.method();
  const std::shared_ptr<const Table> table = impl_->table.Get();
  const MethodAccess* access = nullptr;
  std::optional<MethodAccess> own;
  const bool own_path =
      call.path().data() == method.path.data() || call.path() == method.path;
  if (method.index < table->methods.size() && own_path) {
    access = table->methods[method.index].get();
  }
  if (access == nullptr) {
    // A generic service: rules go by what the client called.
    own.emplace(table->policy.Compile(
        call.path(), impl_->Resolve(call.path(), method.policy.access)));
    access = &*own;
  }
  const AccessDecision decision = access->Decide(call.principal());
  if (decision == AccessDecision::kAllowed) return absl::OkStatus();
  absl::Status refusal = impl_->Refuse(decision, *access, call);
  internal::AuditRefusal(impl_->options.audit, call, refusal);
  return refusal;
}

absl::Status AuthorizeInterceptor::policy_status() const {
  return impl_->file.has_value() ? impl_->file->status() : absl::OkStatus();
}

}  // namespace grpccommon
