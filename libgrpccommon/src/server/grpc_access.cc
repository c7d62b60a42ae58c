// SPDX-License-Identifier: Apache-2.0
#include "server/grpc_access.h"

#include <cxxabi.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <string_view>
#include <typeinfo>

#include "absl/strings/str_cat.h"
#include "google/protobuf/message.h"
#include "grpccommon/base/string_view.h"
#include "grpcpp/impl/call_op_set.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/callback_common.h"
#include "grpcpp/support/message_allocator.h"

namespace grpccommon::internal {
namespace {

// The explicit instantiation of a template may name private members
// ([temp.spec]/6); the friend that it defines hands them out.
template <typename Tag, typename Tag::Member member>
struct Expose {
  friend typename Tag::Member MemberOf(Tag) { return member; }
};

struct MethodsTag {
  using Member = ServiceMethods grpc::Service::*;
  friend Member MemberOf(MethodsTag);
};
template struct Expose<MethodsTag, &grpc::Service::methods_>;

struct MessageTag {
  using Member = std::string grpc::Status::*;
  friend Member MemberOf(MessageTag);
};
template struct Expose<MessageTag, &grpc::Status::error_message_>;

struct DetailsTag {
  using Member = std::string grpc::Status::*;
  friend Member MemberOf(DetailsTag);
};
template struct Expose<DetailsTag, &grpc::Status::binary_error_details_>;

struct InitialMetadataTag {
  using Member = MetadataMap grpc::ServerContextBase::*;
  friend Member MemberOf(InitialMetadataTag);
};
template struct Expose<InitialMetadataTag,
                       &grpc::ServerContextBase::initial_metadata_>;

struct TrailingMetadataTag {
  using Member = MetadataMap grpc::ServerContextBase::*;
  friend Member MemberOf(TrailingMetadataTag);
};
template struct Expose<TrailingMetadataTag,
                       &grpc::ServerContextBase::trailing_metadata_>;

// What every streaming read of the synchronous and the callback API is made of.
// Its layout is the same for every message type, which it only points to.
template <typename Message>
using ReadOpsOf =
    grpc::internal::CallOpSet<grpc::internal::CallOpRecvMessage<Message>>;
using ReadOps = ReadOpsOf<grpc::ByteBuffer>;
static_assert(sizeof(ReadOps) == sizeof(ReadOpsOf<google::protobuf::Message>));
static_assert(alignof(ReadOps) ==
              alignof(ReadOpsOf<google::protobuf::Message>));

struct ReadInterceptionTag {
  using Member = grpc::internal::InterceptorBatchMethodsImpl ReadOps::*;
  friend Member MemberOf(ReadInterceptionTag);
};
template struct Expose<ReadInterceptionTag, &ReadOps::interceptor_methods_>;

struct ReadStatusTag {
  using Member = bool ReadOps::*;
  friend Member MemberOf(ReadStatusTag);
};
template struct Expose<ReadStatusTag, &ReadOps::saved_status_>;

std::ptrdiff_t InterceptionOffset() {
  static const std::ptrdiff_t offset = [] {
    const ReadOps sample;
    return reinterpret_cast<const char*>(
               &(sample.*MemberOf(ReadInterceptionTag()))) -
           reinterpret_cast<const char*>(&sample);
  }();
  return offset;
}

#if GRPCCOMMON_GRPC_CALL_HOOK
struct UnrefTag {
  using Member = void (grpc::experimental::ServerRpcInfo::*)();
  friend Member MemberOf(UnrefTag);
};
template struct Expose<UnrefTag, &grpc::experimental::ServerRpcInfo::Unref>;

using grpc::internal::CallOpSendInitialMetadata;
using grpc::internal::CallOpSendMessage;
using grpc::internal::CallOpServerSendStatus;
using grpc::internal::CallOpSet;
using grpc::internal::CallOpSetInterface;
using grpc::internal::InterceptorBatchMethodsImpl;

// A pointer to a protected member, named through a derived class, may be
// applied to any object of the base.
template <typename Op>
struct Describe : Op {
  static void To(InterceptorBatchMethodsImpl& methods, Op& op) {
    (op.*&Describe::SetInterceptionHookPoint)(&methods);
  }
};

template <typename... Ops>
using SendSet = CallOpSet<CallOpSendInitialMetadata, Ops...>;

template <typename... Ops>
void DescribeAs(CallOpSetInterface& ops, InterceptorBatchMethodsImpl& methods) {
  (Describe<Ops>::To(methods, static_cast<SendSet<Ops...>&>(ops)), ...);
}

OpsKind Classify(const std::type_info& type) {
  if (type == typeid(SendSet<CallOpSendMessage, CallOpServerSendStatus>)) {
    return OpsKind::kMessageAndStatus;
  }
  if (type == typeid(SendSet<CallOpSendMessage>)) return OpsKind::kMessage;
  if (type == typeid(SendSet<CallOpServerSendStatus>)) return OpsKind::kStatus;
  const std::string_view name = type.name();
  if (name == "N4grpc17ServerContextBase12CompletionOpE") {
    return OpsKind::kCompletion;
  }
  if (name.starts_with("N4grpc8internal9CallOpSetINS0_17CallOpRecvMessageI")) {
    return OpsKind::kRead;
  }
  return OpsKind::kOther;
}
#endif

}  // namespace

const ServiceMethods& MethodsOf(const grpc::Service& service) {
  return service.*MemberOf(MethodsTag());
}

void FailRead(grpc::experimental::InterceptorBatchMethods& methods) {
  auto& interception =
      static_cast<grpc::internal::InterceptorBatchMethodsImpl&>(methods);
  auto* const ops = reinterpret_cast<ReadOps*>(
      reinterpret_cast<char*>(&interception) - InterceptionOffset());
  // What the synchronous API returns, and what the callback API passes on once
  // interception is over.
  ops->got_message = false;
  ops->*MemberOf(ReadStatusTag()) = false;
}

#if GRPCCOMMON_GRPC_CALL_HOOK
[[gnu::hot]] OpsKind KindOf(const CallOpSetInterface& ops) {
  // Types of two libraries are compared by the text of their names. What that
  // told is kept, by address, in the bits that an address does not use; there
  // are few types, so a place that is taken stays so.
  constexpr std::uintptr_t kKindBits = 7;
  static_assert(alignof(std::type_info) > kKindBits);
  static std::array<std::atomic<std::uintptr_t>, 12> known{};
  const std::type_info& type = typeid(ops);
  const auto address = reinterpret_cast<std::uintptr_t>(&type);
  for (std::atomic<std::uintptr_t>& place : known) {
    std::uintptr_t entry = place.load(std::memory_order_relaxed);
    if ((entry & ~kKindBits) == address) {
      return static_cast<OpsKind>(entry & kKindBits);
    }
    if (entry == 0) {
      const OpsKind kind = Classify(type);
      place.compare_exchange_strong(entry,
                                    address | static_cast<std::uintptr_t>(kind),
                                    std::memory_order_relaxed);
      return kind;
    }
  }
  return Classify(type);
}

[[gnu::hot]] void DescribeSends(OpsKind kind, CallOpSetInterface& ops,
                                InterceptorBatchMethodsImpl& methods) {
  switch (kind) {
    case OpsKind::kMessageAndStatus:
      return DescribeAs<CallOpSendMessage, CallOpServerSendStatus>(ops,
                                                                   methods);
    case OpsKind::kMessage:
      return DescribeAs<CallOpSendMessage>(ops, methods);
    case OpsKind::kStatus:
      return DescribeAs<CallOpServerSendStatus>(ops, methods);
    case OpsKind::kOther:
    case OpsKind::kRead:
    case OpsKind::kCompletion:
      break;
  }
}

void RunBy(CallOpSetInterface& ops, RunFunction run) {
  // gRPC's callback handlers have tags of this kind for messages.
  static_cast<grpc::internal::CallbackWithSuccessTag*>(
      static_cast<grpc_completion_queue_functor*>(ops.core_cq_tag()))
      ->functor_run = run;
}

[[gnu::hot]] void Complete(grpc_completion_queue_functor* functor, int ok) {
  static_cast<grpc::internal::CallbackWithSuccessTag*>(functor)->force_run(ok !=
                                                                           0);
}

[[gnu::hot]] void UnrefInfo(grpc::experimental::ServerRpcInfo& info) {
  (info.*MemberOf(UnrefTag()))();
}
#endif

bool IsInstance(const grpc::internal::MethodHandler& handler,
                std::string_view name) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> demangled(
      abi::__cxa_demangle(typeid(handler).name(), nullptr, nullptr, &status),
      &std::free);
  return status == 0 &&
         std::string_view(demangled.get())
             .starts_with(absl::StrCat("grpc::internal::", ToAbsl(name), "<"));
}

[[gnu::hot]] void ReleaseMessages(void* handler_data) {
  // Stands in for a holder of other messages, to which it has pointers.
  using Holder = grpc::MessageHolder<grpc::ByteBuffer, grpc::ByteBuffer>;
  using google::protobuf::Message;
  static_assert(sizeof(Holder) ==
                sizeof(grpc::MessageHolder<Message, Message>));
  static_cast<Holder*>(handler_data)->Release();
}

[[gnu::hot]] const std::string& MessageOf(const grpc::Status& status) {
  return status.*MemberOf(MessageTag());
}

[[gnu::hot]] const std::string& DetailsOf(const grpc::Status& status) {
  return status.*MemberOf(DetailsTag());
}

[[gnu::hot]] const MetadataMap& InitialMetadataOf(
    const grpc::ServerContextBase& context) {
  return context.*MemberOf(InitialMetadataTag());
}

[[gnu::hot]] const MetadataMap& TrailingMetadataOf(
    const grpc::ServerContextBase& context) {
  return context.*MemberOf(TrailingMetadataTag());
}

void DropMessage(grpc::experimental::InterceptorBatchMethods& methods) {
  methods.ModifySendMessage(nullptr);
  methods.GetSerializedSendMessage()->Clear();
}

}  // namespace grpccommon::internal
