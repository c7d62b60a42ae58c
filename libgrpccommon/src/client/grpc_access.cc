// SPDX-License-Identifier: Apache-2.0
#include "client/grpc_access.h"

#include <string_view>
#include <typeinfo>

#include "grpcpp/impl/call_op_set.h"

namespace grpccommon::internal {
namespace {

using grpc::internal::CallOpSetInterface;
using grpc::internal::InterceptorBatchMethodsImpl;

// The explicit instantiation of a template may name private members
// ([temp.spec]/6); the friend that it defines hands them out.
template <typename Tag, typename Tag::Member member>
struct Expose {
  friend typename Tag::Member MemberOf(Tag) { return member; }
};

struct OpsTag {
  using Member = CallOpSetInterface* InterceptorBatchMethodsImpl::*;
  friend Member MemberOf(OpsTag);
};
template struct Expose<OpsTag, &InterceptorBatchMethodsImpl::ops_>;

}  // namespace

bool IsGenericUnary(grpc::experimental::InterceptorBatchMethods& batch) {
  const CallOpSetInterface* const ops =
      static_cast<InterceptorBatchMethodsImpl&>(batch).*MemberOf(OpsTag());
  return ops != nullptr &&
         std::string_view(typeid(*ops).name()).find("ByteBuffer") !=
             std::string_view::npos;
}

}  // namespace grpccommon::internal
