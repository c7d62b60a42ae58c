// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/grpcpp.h>
#include <sys/stat.h>

#include <memory>
#include <string>

#include "http/raw_client.h"
#include "platform/execution/v1/execution_service.grpc.pb.h"
#include "services/common/service_process.h"
#include "services/common/temp_folder.h"

namespace platform::execution::testing {

/// What a process needs before there is one, and has until it is gone.
struct ExecutionFolder {
  // Programs run as other users, and must reach their own folders.
  ExecutionFolder() { chmod((folder / "").c_str(), 0711); }

  const common::TempFolder folder;
};

/// The built program as a child of this process, with all that it needs in a
/// folder of its own; killed at the end.
class ExecutionProcess : private ExecutionFolder,
                         public common::ServiceProcess {
 public:
  ExecutionProcess() : ServiceProcess(EXECUTION_SERVICE, folder / "") {
    Set("CLIENTS__REGISTRY", "memory:");
    Set("APP_STATE_FOLDER", StateFolder());
  }

  /// Starts it and waits until it serves; expects that it does.
  void Start() {
    stub_ = v1::ExecutionService::NewStub(ServiceProcess::Start());
  }
  v1::ExecutionService::Stub& stub() { return *stub_; }
  /// What its HTTP port has there.
  std::string Get(const std::string& path) const {
    grpccommon::testing::RawClient client(HttpPort());
    client.Send("GET " + path + " HTTP/1.1\r\nhost: x\r\n\r\n");
    return client.ReadResponse().body;
  }
  std::string StateFolder() const { return folder / "state"; }
  /// As DevToken: "--subject ada --role admin".
  std::string Token(const std::string& arguments) const {
    return common::DevToken(folder / "", arguments);
  }

 private:
  std::unique_ptr<v1::ExecutionService::Stub> stub_;
};

}  // namespace platform::execution::testing
