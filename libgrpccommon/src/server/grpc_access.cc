// SPDX-License-Identifier: Apache-2.0
#include "server/grpc_access.h"

#include <cstddef>

#include "grpcpp/impl/call_op_set.h"
#include "grpcpp/support/byte_buffer.h"

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

// What every streaming read of the synchronous and the callback API is made of.
// Its layout is the same for every message type, which it only points to.
using ReadOps = grpc::internal::CallOpSet<
    grpc::internal::CallOpRecvMessage<grpc::ByteBuffer>>;

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

void DropMessage(grpc::experimental::InterceptorBatchMethods& methods) {
  methods.ModifySendMessage(nullptr);
  methods.GetSerializedSendMessage()->Clear();
}

}  // namespace grpccommon::internal
