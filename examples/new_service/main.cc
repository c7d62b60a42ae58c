// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/server/config.h"
#include "grpccommon/server/server.h"
#include "sample_service.h"

int main() {
  auto options =
      grpccommon::LoadServerOptions({.name = "sample",
                                     .grpc_address = "0.0.0.0:50070",
                                     .http_address = "0.0.0.0:8070"});
  if (!options.ok()) return grpccommon::ExitWith(options.status());
  SampleService service;
  auto server = grpccommon::Server::Create(*options);
  if (!server.ok()) return grpccommon::ExitWith(server.status());
  (*server)->Add<sample::v1::SampleService>(service);
  return (*server)->Run();  // serves until SIGTERM or SIGINT, then drains
}
