// SPDX-License-Identifier: Apache-2.0
#include "client/grpc_access.h"

#include <string_view>
#include <typeinfo>

#include "client/message_traits.h"
#include "grpcpp/impl/call_op_set.h"
#include "grpcpp/impl/client_unary_call.h"

namespace grpccommon::internal {
namespace {

struct OnQueue {};

}  // namespace
}  // namespace grpccommon::internal

namespace grpc::internal {

// gRPC lets the instances of this template start calls and pluck; this one is
// ours.
template <>
class BlockingUnaryCallImpl<grpccommon::internal::OnQueue,
                            google::protobuf::MessageLite> {
 public:
  static grpc::Status Run(ChannelInterface& channel, const RpcMethod& method,
                          grpc::ClientContext& context,
                          const google::protobuf::MessageLite& request,
                          google::protobuf::MessageLite& response,
                          grpc::CompletionQueue& queue) {
    CallOpSet<CallOpSendInitialMetadata, CallOpSendMessage,
              CallOpRecvInitialMetadata,
              CallOpRecvMessage<google::protobuf::MessageLite>,
              CallOpClientSendClose, CallOpClientRecvStatus>
        ops;
    Call call = channel.CreateCall(method, &context, &queue);
    grpc::Status status = ops.SendMessagePtr(&request);
    if (!status.ok()) return status;
    ops.SendInitialMetadata(&context.send_initial_metadata_,
                            context.initial_metadata_flags());
    ops.ClientSendClose();
    ops.RecvInitialMetadata(&context);
    ops.RecvMessage(&response);
    ops.AllowNoMessage();
    ops.ClientRecvStatus(&context, &status);
    call.PerformOps(&ops);
    queue.Pluck(&ops);
    // As gRPC puts it, also for a response that does not parse.
    if (status.ok() && !ops.got_message) {
      return grpc::Status(grpc::StatusCode::UNIMPLEMENTED,
                          "No message returned for unary request");
    }
    return status;
  }
};

}  // namespace grpc::internal

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

grpc::Status PluckUnaryCall(grpc::ChannelInterface& channel,
                            const grpc::internal::RpcMethod& method,
                            grpc::ClientContext& context,
                            const google::protobuf::MessageLite& request,
                            google::protobuf::MessageLite& response,
                            grpc::CompletionQueue& queue) {
  return grpc::internal::BlockingUnaryCallImpl<
      OnQueue, google::protobuf::MessageLite>::Run(channel, method, context,
                                                   request, response, queue);
}

}  // namespace grpccommon::internal
