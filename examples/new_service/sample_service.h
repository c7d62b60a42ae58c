// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "grpccommon/status/convert.h"
#include "sample/v1/sample_service.grpc.pb.h"
#include "sample_store.h"

/// Translates: a request for the store, its answer for the caller.
class SampleService final : public sample::v1::SampleService::Service {
 private:
  grpc::Status AddSample(grpc::ServerContext* /*context*/,
                         const sample::v1::AddSampleRequest* request,
                         sample::v1::AddSampleResponse* response) override {
    const auto total = store_.Add(request->name(), request->value());
    if (total.ok()) response->set_total(*total);
    return grpccommon::ToGrpcStatus(total.status());
  }

  SampleStore store_;
};
