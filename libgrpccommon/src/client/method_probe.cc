// SPDX-License-Identifier: Apache-2.0
#include "client/method_probe.h"

#include <utility>
#include <vector>

#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/client_interceptor.h"

namespace grpccommon::internal {
namespace {

using grpc::experimental::InterceptionHookPoints;

// Answers in the server's place.
class ProbeInterceptor : public grpc::experimental::Interceptor {
 public:
  void Intercept(grpc::experimental::InterceptorBatchMethods* batch) override {
    if (batch->QueryInterceptionHookPoint(
            InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      batch->Hijack();
      return;
    }
    if (batch->QueryInterceptionHookPoint(
            InterceptionHookPoints::PRE_SEND_MESSAGE)) {
      batch->FailHijackedSendMessage();
    }
    if (batch->QueryInterceptionHookPoint(
            InterceptionHookPoints::PRE_RECV_MESSAGE)) {
      batch->FailHijackedRecvMessage();
    }
    if (batch->QueryInterceptionHookPoint(
            InterceptionHookPoints::PRE_RECV_STATUS)) {
      *batch->GetRecvStatus() =
          grpc::Status(grpc::StatusCode::CANCELLED, "nothing was to be sent");
    }
    batch->Proceed();
  }
};

class ProbeFactory
    : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit ProbeFactory(std::string& path) : path_(path) {}
  grpc::experimental::Interceptor* CreateClientInterceptor(
      grpc::experimental::ClientRpcInfo* info) override {
    path_ = info->method();
    return new ProbeInterceptor();
  }

 private:
  std::string& path_;
};

}  // namespace

std::string ProbePath(
    const std::function<
        void(const std::shared_ptr<grpc::ChannelInterface>& channel)>& call) {
  std::string path;
  std::vector<
      std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>>
      factories;
  factories.push_back(std::make_unique<ProbeFactory>(path));
  // Never connected to.
  call(grpc::experimental::CreateCustomChannelWithInterceptors(
      "ipv4:127.0.0.1:1", grpc::InsecureChannelCredentials(), {},
      std::move(factories)));
  return path;
}

}  // namespace grpccommon::internal
