// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "grpcpp/server_context.h"
#include "platform/execution/v1/execution_service.grpc.pb.h"
#include "services/execution/executions.h"

namespace platform::execution {

/// `platform.execution.v1.ExecutionService`: its proto has the contract.
class ExecutionService final : public v1::ExecutionService::CallbackService {
 public:
  /// `executions` is borrowed and must outlive the service's calls.
  explicit ExecutionService(Executions& executions) : executions_(executions) {}

  grpc::ServerUnaryReactor* Execute(grpc::CallbackServerContext* context,
                                    const v1::ExecuteRequest* request,
                                    v1::ExecuteResponse* response) override;
  grpc::ServerWriteReactor<v1::ExecutionUpdate>* ExecuteStream(
      grpc::CallbackServerContext* context,
      const v1::ExecuteRequest* request) override;
  grpc::ServerWriteReactor<v1::BatchExecutionUpdate>* ExecuteBatchStream(
      grpc::CallbackServerContext* context,
      const v1::ExecuteBatchRequest* request) override;
  grpc::ServerUnaryReactor* GetExecution(
      grpc::CallbackServerContext* context,
      const v1::GetExecutionRequest* request,
      v1::GetExecutionResponse* response) override;
  grpc::ServerUnaryReactor* CancelExecution(
      grpc::CallbackServerContext* context,
      const v1::CancelExecutionRequest* request,
      v1::CancelExecutionResponse* response) override;
  grpc::ServerUnaryReactor* ListLanguages(
      grpc::CallbackServerContext* context,
      const v1::ListLanguagesRequest* request,
      v1::ListLanguagesResponse* response) override;

 private:
  Executions& executions_;
};

}  // namespace platform::execution
