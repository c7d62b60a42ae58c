// SPDX-License-Identifier: Apache-2.0
#include "call/client_metadata.h"

namespace grpccommon::internal {
namespace {

// The explicit instantiation of a template may name private members
// ([temp.spec]/6); the friend that it defines hands them out.
template <typename Tag, typename Tag::Member member>
struct Expose {
  friend typename Tag::Member MemberOf(Tag) { return member; }
};

struct MetadataTag {
  using Member = grpc::internal::MetadataMap grpc::ServerContextBase::*;
  friend Member MemberOf(MetadataTag);
};
template struct Expose<MetadataTag, &grpc::ServerContextBase::client_metadata_>;

}  // namespace

[[gnu::hot]] const grpc_metadata_array& ClientMetadataOf(
    grpc::ServerContextBase& context) {
  return *(context.*MemberOf(MetadataTag())).arr();
}

}  // namespace grpccommon::internal
