// SPDX-License-Identifier: Apache-2.0
#include "server/call_path.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "grpccommon/base/string_view.h"
#include "server/grpc_access.h"
#include "server/handler_fence.h"

namespace grpccommon::internal {
namespace {

using grpc::internal::RpcMethod;
using grpc::internal::RpcServiceMethod;

// What a generic service's calls are registered as; their real path is in
// ServerCall::path().
constexpr std::string_view kGenericName = "generic";

CallKind KindOf(RpcMethod::RpcType type) {
  switch (type) {
    case RpcMethod::CLIENT_STREAMING:
      return CallKind::kClientStream;
    case RpcMethod::SERVER_STREAMING:
      return CallKind::kServerStream;
    case RpcMethod::BIDI_STREAMING:
      return CallKind::kBidiStream;
    default:
      return CallKind::kUnary;
  }
}

absl::StatusOr<GuardedMethod> Describe(const RpcServiceMethod* registered) {
  if (registered == nullptr) {
    return absl::InvalidArgumentError(
        "a method marked generic cannot be guarded; implement it in the "
        "callback or the synchronous style, or as a callback generic service");
  }
  const std::string_view path = registered->name();
  if (registered->handler() == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        ToAbsl(path),
        " is served through a completion queue (AsyncService), where no call "
        "can be refused before its handler; derive from CallbackService or "
        "Service instead"));
  }
  const std::size_t slash = path.rfind('/');
  if (!path.starts_with('/') || slash == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("not a gRPC method name: ", ToAbsl(path)));
  }
  GuardedMethod guarded;
  Method& method = guarded.method;
  method.path = path;
  method.service = path.substr(1, slash - 1);
  method.name = path.substr(slash + 1);
  method.kind = KindOf(registered->method_type());
  method.descriptor =
      google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(
          absl::StrCat(method.service, ".", method.name));
  const RpcServiceMethod::ApiType style = registered->api_type();
  guarded.raw = style == RpcServiceMethod::ApiType::RAW_CALL_BACK;
  guarded.callback =
      guarded.raw || style == RpcServiceMethod::ApiType::CALL_BACK;
  if (method.descriptor == nullptr && !guarded.raw) {
    return absl::InvalidArgumentError(absl::StrCat(
        ToAbsl(path),
        " is not of a protobuf contract that is linked into the program, so "
        "nothing is known of its messages"));
  }
  if (method.descriptor != nullptr) {
    absl::StatusOr<MethodPolicy> policy = CompilePolicy(*method.descriptor);
    if (!policy.ok()) return policy.status();
    method.policy = *std::move(policy);
  }
  return guarded;
}

}  // namespace

void CallPath::Use(std::shared_ptr<ServerInterceptor> interceptor,
                   Selector selector) {
  used_.push_back({std::move(interceptor), std::move(selector)});
}

absl::Status CallPath::Add(const grpc::Service& service) {
  std::vector<GuardedMethod> described;
  for (const auto& registered : MethodsOf(service)) {
    absl::StatusOr<GuardedMethod> method = Describe(registered.get());
    if (!method.ok()) return method.status();
    for (const GuardedMethod& other : methods_) {
      if (other.method.path == method->method.path) {
        return absl::AlreadyExistsError(
            absl::StrCat(other.method.path, " is already served"));
      }
    }
    described.push_back(*std::move(method));
  }
  if (described.empty()) {
    return absl::InvalidArgumentError("the service has no methods");
  }
  Added added{&service, {}};
  for (GuardedMethod& method : described) {
    method.method.index = methods_.size();
    methods_.push_back(std::move(method));
    added.methods.push_back(&methods_.back());
  }
  added_.push_back(std::move(added));
  return absl::OkStatus();
}

absl::Status CallPath::AddGeneric(grpc::CallbackGenericService& service) {
  if (generic_ != nullptr) {
    return absl::AlreadyExistsError("a server has one generic service at most");
  }
  generic_ = &service;
  GuardedMethod& guarded = methods_.emplace_back();
  guarded.method.path =
      absl::StrCat("/", ToAbsl(kGenericName), "/", ToAbsl(kGenericName));
  guarded.method.service = kGenericName;
  guarded.method.name = kGenericName;
  guarded.method.kind = CallKind::kBidiStream;
  guarded.method.index = methods_.size() - 1;
  guarded.callback = true;
  guarded.raw = true;
  generic_method_ = &guarded;
  return absl::OkStatus();
}

absl::Status CallPath::CompileChain(GuardedMethod& guarded) {
  for (const Used& used : used_) {
    if (!used.selector(guarded.method)) continue;
    ServerInterceptor& interceptor = *used.interceptor;
    const absl::StatusOr<Hooks> hooks = interceptor.Register(guarded.method);
    if (!hooks.ok()) {
      return absl::Status(
          hooks.status().code(),
          absl::StrCat(ToAbsl(interceptor.name()), " on ", guarded.method.path,
                       ": ", hooks.status().message()));
    }
    if (!hooks->any()) continue;
    ChainStep step;
    step.interceptor = &interceptor;
    step.async = dynamic_cast<AsyncServerInterceptor*>(&interceptor);
    step.hooks = *hooks;
    step.hooks.received &= guarded.method.client_streams();
    if (step.async != nullptr && &guarded == generic_method_) {
      return absl::InvalidArgumentError(absl::StrCat(
          ToAbsl(interceptor.name()),
          " decides asynchronously, which a generic service cannot wait for; "
          "exclude it with a selector"));
    }
    guarded.waits |= step.async != nullptr;
    guarded.observes_received |= step.hooks.received;
    guarded.observes_sent |= step.hooks.sent;
    guarded.steps.push_back(step);
  }
  return absl::OkStatus();
}

absl::Status CallPath::Compile() {
  std::stable_sort(used_.begin(), used_.end(),
                   [](const Used& a, const Used& b) {
                     return a.interceptor->stage() < b.interceptor->stage();
                   });
  for (GuardedMethod& method : methods_) {
    if (absl::Status status = CompileChain(method); !status.ok()) return status;
  }
  for (const Added& added : added_) {
    const ServiceMethods& behind = MethodsOf(*added.service);
    for (std::size_t i = 0; i < behind.size(); ++i) {
      const GuardedMethod& guarded = *added.methods[i];
      if (!FenceHandler(*behind[i]) && guarded.callback) {
        return absl::InvalidArgumentError(absl::StrCat(
            guarded.method.path,
            " has a callback handler that is not of gRPC's generated code, ",
            "whose messages nobody but it could give back"));
      }
    }
    guards_.push_back(std::make_unique<GuardedService>(
        *added.service, std::vector<const GuardedMethod*>(
                            added.methods.begin(), added.methods.end())));
  }
  if (generic_ != nullptr) {
    generic_guard_ =
        std::make_unique<GuardedGenericService>(*generic_, *generic_method_);
  }
  return absl::OkStatus();
}

std::vector<const Method*> CallPath::methods() const {
  std::vector<const Method*> all;
  for (const GuardedMethod& guarded : methods_) all.push_back(&guarded.method);
  return all;
}

bool CallPath::has_stage(Stage stage) const {
  return std::any_of(used_.begin(), used_.end(), [stage](const Used& used) {
    return used.interceptor->stage() == stage;
  });
}

std::vector<std::string> CallPath::service_names() const {
  std::vector<std::string> names;
  for (const Added& added : added_) {
    names.push_back(added.methods.front()->method.service);
  }
  return names;
}

}  // namespace grpccommon::internal
