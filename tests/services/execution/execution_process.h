// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "http/raw_client.h"
#include "platform/execution/v1/execution_service.grpc.pb.h"
#include "services/common/temp_folder.h"

namespace platform::execution::testing {

/// The built program as a child of this process, with all that it needs in a
/// folder of its own; killed at the end.
class ExecutionProcess {
 public:
  ExecutionProcess() {
    // Programs run as other users, and must reach their own folders.
    chmod((folder_ / "").c_str(), 0711);
  }
  ~ExecutionProcess() { Kill(SIGKILL); }
  ExecutionProcess(const ExecutionProcess&) = delete;
  ExecutionProcess& operator=(const ExecutionProcess&) = delete;

  /// For all starts after this.
  void Set(const std::string& name, const std::string& value) {
    settings_["GRPCCOMMON_" + name] = value;
  }

  /// Starts it without waiting for anything.
  void Launch() {
    (void)Token("--subject nobody");  // makes the keys
    unlink(LogFile().c_str());
    std::vector<std::string> environment;
    for (const auto& [name, value] : settings_) {
      environment.push_back(name + "=" + value);
    }
    std::vector<char*> variables;
    for (std::string& variable : environment) {
      variables.push_back(variable.data());
    }
    variables.push_back(nullptr);
    char* const arguments[] = {const_cast<char*>(EXECUTION_SERVICE), nullptr};
    const std::string log = LogFile();
    child_ = fork();
    if (child_ == 0) {
      const int file = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      dup2(file, STDERR_FILENO);
      execve(EXECUTION_SERVICE, arguments, variables.data());
      _exit(127);
    }
  }

  /// Starts it and waits until it serves. False: see the log.
  bool Start() {
    Launch();
    while (Log().find("\"grpc_port\":") == std::string::npos) {
      int result = 0;
      if (waitpid(child_, &result, WNOHANG) == child_) {
        child_ = 0;
        return false;
      }
      std::this_thread::yield();
    }
    channel_ =
        grpc::CreateChannel("127.0.0.1:" + std::to_string(Number("grpc_port")),
                            grpc::InsecureChannelCredentials());
    stub_ = v1::ExecutionService::NewStub(channel_);
    return channel_->WaitForConnected(std::chrono::system_clock::now() +
                                      std::chrono::seconds(30));
  }

  /// Returns the exit code, or minus the signal.
  int Kill(int signal) {
    if (child_ <= 0) return 0;
    kill(child_, signal);
    return WaitForExit();
  }
  int WaitForExit() {
    int result = 0;
    waitpid(child_, &result, 0);
    child_ = 0;
    return WIFEXITED(result) ? WEXITSTATUS(result) : -WTERMSIG(result);
  }
  void Signal(int signal) { kill(child_, signal); }

  v1::ExecutionService::Stub& stub() { return *stub_; }
  /// What its HTTP port has there.
  std::string Get(const std::string& path) const {
    grpccommon::testing::RawClient client(Number("http_port"));
    client.Send("GET " + path + " HTTP/1.1\r\nhost: x\r\n\r\n");
    return client.ReadResponse().body;
  }
  std::string StateFolder() const { return folder_ / "state"; }
  std::string Log() const {
    std::ostringstream log;
    log << std::ifstream(LogFile()).rdbuf();
    return log.str();
  }

  /// Of the development tool, whose keys the service trusts: "--subject ada
  /// --role admin".
  std::string Token(const std::string& arguments) const {
    const std::string command =
        std::string(DEV_TOKEN) + " " + (folder_ / "") + " " + arguments;
    FILE* const pipe = popen(command.c_str(), "r");
    std::string token;
    for (int c = fgetc(pipe); c != EOF && c != '\n'; c = fgetc(pipe)) {
      token.push_back(static_cast<char>(c));
    }
    pclose(pipe);
    return token;
  }
  static std::unique_ptr<grpc::ClientContext> With(const std::string& token) {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() +
                          std::chrono::seconds(120));
    if (!token.empty()) {
      context->AddMetadata("authorization", "Bearer " + token);
    }
    return context;
  }

 private:
  std::string LogFile() const { return folder_ / "log"; }
  int Number(const std::string& field) const {
    const std::string log = Log();
    return std::stoi(
        log.substr(log.find("\"" + field + "\":") + field.size() + 3));
  }

  common::TempFolder folder_;
  std::map<std::string, std::string> settings_ = {
      {"PATH", "/usr/bin:/bin"},
      {"GRPCCOMMON_GRPC_ADDRESS", "127.0.0.1:0"},
      {"GRPCCOMMON_HTTP_ADDRESS", "127.0.0.1:0"},
      {"GRPCCOMMON_AUTH__JWKS_FILE", folder_ / "dev_jwks.json"},
      {"GRPCCOMMON_AUTH__ISSUER", "grpccommon-dev"},
      {"GRPCCOMMON_AUTH__AUDIENCES", "grpccommon-dev"},
      {"GRPCCOMMON_DRAIN_DELAY", "0s"},
      {"GRPCCOMMON_RATE_LIMIT", "false"},
      {"GRPCCOMMON_CLIENTS__REGISTRY", "memory:"},
      {"GRPCCOMMON_APP_STATE_FOLDER", StateFolder()}};
  pid_t child_ = 0;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::ExecutionService::Stub> stub_;
};

}  // namespace platform::execution::testing
