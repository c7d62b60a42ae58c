// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/call/selector.h"
#include "grpccommon/call/server_interceptor.h"
#include "server/call_state.h"
#include "server/guarded_service.h"

namespace grpccommon::internal {

/// The interceptors of a server, and the guards that it puts in front of its
/// services. Set up by one thread; must outlive the gRPC server.
class CallPath {
 public:
  /// `clock` is borrowed and must outlive this.
  CallPath(const Clock& clock, Logger logger, SendHooks send_hooks = kSendHooks)
      : environment_(clock, std::move(logger), send_hooks) {}

  /// A reply of more is refused, and so recorded. No limit unless set.
  void set_max_send_message_bytes(std::size_t bytes) {
    environment_.max_send_message_bytes = bytes;
  }

  void Use(std::shared_ptr<ServerInterceptor> interceptor, Selector selector);

  /// Reads the methods of a service and their contracts, and refuses what no
  /// guard can be put in front of.
  /// Errors: kInvalidArgument, naming the service, the method, and the way out.
  absl::Status Add(const grpc::Service& service);
  absl::Status AddGeneric(grpc::CallbackGenericService& service);

  /// Registers every method with every interceptor, then makes the guards. No
  /// Use or Add afterwards.
  absl::Status Compile();

  /// After Compile; to be registered with the gRPC server.
  const std::vector<std::unique_ptr<grpc::Service>>& services() const {
    return guards_;
  }
  grpc::CallbackGenericService* generic_service() const {
    return generic_guard_.get();
  }
  std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>
  CreateInterceptorFactory() {
    return std::make_unique<CallStateFactory>(environment_);
  }

  /// From here on, calls may come by the server's in-process channel.
  void ExpectInProcess() { environment_.in_process = true; }

  std::vector<const Method*> methods() const;
  /// Whether some interceptor runs at `stage`.
  bool has_stage(Stage stage) const;
  /// Full names of the services that were added.
  std::vector<std::string> service_names() const;
  std::int64_t running_calls() const { return environment_.running.Count(); }

 private:
  struct Used {
    std::shared_ptr<ServerInterceptor> interceptor;
    Selector selector;
  };
  struct Added {
    const grpc::Service* service;
    std::vector<GuardedMethod*> methods;
  };

  absl::Status CompileChain(GuardedMethod& method);

  CallEnvironment environment_;
  std::vector<Used> used_;
  std::deque<GuardedMethod> methods_;  // gRPC and calls keep pointers into it
  std::vector<Added> added_;
  grpc::CallbackGenericService* generic_ = nullptr;
  GuardedMethod* generic_method_ = nullptr;
  std::vector<std::unique_ptr<grpc::Service>> guards_;
  std::unique_ptr<grpc::CallbackGenericService> generic_guard_;
};

}  // namespace grpccommon::internal
