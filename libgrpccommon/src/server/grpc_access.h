// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/grpc_compat.h"
#include "grpc/grpc.h"
#include "grpcpp/impl/call_op_set.h"
#include "grpcpp/impl/rpc_service_method.h"
#include "grpcpp/impl/service_type.h"
#include "grpcpp/support/interceptor.h"

/// What the call path needs of gRPC C++ beyond its documented interface, in one
/// place. docs/decisions/0010-grpc-internals.md tells in which releases it was
/// read; each function has a test that fails if a release changes what it
/// relies on.
namespace grpccommon::internal {

using ServiceMethods =
    std::vector<std::unique_ptr<grpc::internal::RpcServiceMethod>>;

/// The methods of a service with their handlers and API styles, which
/// grpc::Service keeps to itself. A null entry is a method marked generic.
const ServiceMethods& MethodsOf(const grpc::Service& service);

/// Makes the read that `methods` is about fail, as if the peer had closed its
/// side: a synchronous Read returns false, OnReadDone gets false.
///
/// Requires a POST_RECV_MESSAGE hook of a streaming read, that is one without
/// POST_RECV_INITIAL_METADATA.
void FailRead(grpc::experimental::InterceptorBatchMethods& methods);

#if GRPCCOMMON_GRPC_CALL_HOOK
/// What the handlers of gRPC's generated code start on a call.
enum class OpsKind : std::uintptr_t {
  kOther,
  kMessageAndStatus,
  kMessage,
  kStatus,
  /// A message of a stream, to be read.
  kRead,
  /// The batch that watches for a call's end.
  kCompletion,
};
OpsKind KindOf(const grpc::internal::CallOpSetInterface& ops);

/// Describes to `methods` what `ops` is about to send, as gRPC does for its
/// interceptors; `methods` may then change it, but not Proceed. Requires `kind`
/// to be that of `ops` and one of those that send.
void DescribeSends(OpsKind kind, grpc::internal::CallOpSetInterface& ops,
                   grpc::internal::InterceptorBatchMethodsImpl& methods);

/// Has gRPC run `run` in place of what it runs when `ops`, of a callback
/// handler, are done, and which `Complete` runs. Requires them not started.
using RunFunction = void (*)(grpc_completion_queue_functor* functor, int ok);
void RunBy(grpc::internal::CallOpSetInterface& ops, RunFunction run);
void Complete(grpc_completion_queue_functor* functor, int ok);

/// Gives back the reference that a kCompletion batch takes of `info`, and
/// itself gives back only if it is intercepted.
void UnrefInfo(grpc::experimental::ServerRpcInfo& info);
#endif

/// Whether `handler` is an instance of the template `name` of gRPC's, with
/// which its generated code makes handlers, whatever the types of its messages.
bool IsInstance(const grpc::internal::MethodHandler& handler,
                std::string_view name);

/// Gives back the messages that the Deserialize of a CallbackUnaryHandler left
/// in `handler_data`, which it does itself once it has run.
void ReleaseMessages(void* handler_data);

/// Its texts, of which its own functions return copies.
const std::string& MessageOf(const grpc::Status& status);
const std::string& DetailsOf(const grpc::Status& status);

using MetadataMap = std::multimap<std::string, std::string>;

/// What a call of the context is to send before its first message, and with its
/// status.
const MetadataMap& InitialMetadataOf(const grpc::ServerContextBase& context);
const MetadataMap& TrailingMetadataOf(const grpc::ServerContextBase& context);

/// Drops the message of the batch that `methods` is about, serialised or not.
/// Requires a PRE_SEND_MESSAGE hook.
void DropMessage(grpc::experimental::InterceptorBatchMethods& methods);

}  // namespace grpccommon::internal
