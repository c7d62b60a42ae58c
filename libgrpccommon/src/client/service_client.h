// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "client/call_run.h"
#include "client/call_totals.h"
#include "client/client_chain.h"
#include "client/client_method.h"
#include "client/endpoint_set.h"
#include "client/in_flight.h"
#include "client/pluck_queues.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/breaker/breaker_set.h"
#include "grpccommon/breaker/bulkhead.h"
#include "grpccommon/client/client_core.h"
#include "grpccommon/client/client_options.h"

namespace google::protobuf {
class ServiceDescriptor;
}

namespace grpccommon::internal {

struct StreamInputs;

/// What the clients of one service share: endpoints, limits, breakers.
struct ServiceResources {
  // First, since they begin cache lines.
  InFlight in_flight;
  CallTotals totals;
  PluckQueues pluck_queues;
  std::string service;
  std::shared_ptr<const ClientOptions> options;
  std::shared_ptr<EndpointSet> endpoints;
  std::shared_ptr<RetryAllowance> retry_allowance;
  /// Null without breakers, or with one for each endpoint.
  std::shared_ptr<BreakerSet> breakers;
  /// Null: not limited.
  std::shared_ptr<Bulkhead> bulkhead;
  const Clock* clock = nullptr;
  Scheduler* scheduler = nullptr;
  Random random;
  Logger logger;
  /// New calls are refused.
  std::atomic<bool> closed{false};
};

/// The calls of one gRPC service to the instances of one name.
class ServiceClient : public ClientCore {
 public:
  /// Prepares the methods that the contract, if it is linked into the program,
  /// names; others when they are first called.
  /// Errors: kInvalidArgument, naming the method.
  static absl::StatusOr<std::shared_ptr<ServiceClient>> Create(
      const char* grpc_service, std::shared_ptr<ServiceResources> resources,
      ClientChain chain);
  ~ServiceClient() override;

  const ClientMethod* Find(const MethodKey& key) const override;
  const ClientMethod& Add(
      const MethodKey& key, CallKind kind,
      const std::function<void(const std::shared_ptr<grpc::ChannelInterface>&
                                   channel)>& call) override;

  absl::Status Call(const ClientMethod& method, const CallOptions& options,
                    const google::protobuf::MessageLite& request,
                    google::protobuf::MessageLite& response,
                    MoveMessage move) override;
  void CallAsync(const ClientMethod& method, CallOptions options,
                 std::unique_ptr<AsyncMessages> messages) override;
  std::unique_ptr<BlockingStream> Open(
      const ClientMethod& method, CallOptions options,
      const google::protobuf::MessageLite* request,
      google::protobuf::MessageLite* response) override;
  AsyncStream* Open(const ClientMethod& method, CallOptions options,
                    const google::protobuf::MessageLite* request,
                    google::protobuf::MessageLite* response,
                    std::unique_ptr<StreamReactions> reactions) override;

  ServiceResources& resources() { return *resources_; }

 private:
  using Table = std::vector<std::pair<MethodKey, const ClientMethod*>>;

  ServiceClient(std::shared_ptr<ServiceResources> resources, ClientChain chain);
  StreamInputs InputsOf(CallOptions options,
                        const google::protobuf::MessageLite* request,
                        google::protobuf::MessageLite* response);
  absl::Status Prepare(ClientMethod& method);
  ClientMethod& AddMethod(Method method) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<ServiceResources> resources_;
  const ClientChain chain_;
  Mutex mutex_;
  std::vector<std::unique_ptr<ClientMethod>> methods_ ABSL_GUARDED_BY(mutex_);
  // Read without a lock; older tables are kept for those who still read them,
  // a few small ones in all.
  std::atomic<const Table*> table_;
  std::vector<std::unique_ptr<const Table>> tables_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace grpccommon::internal
