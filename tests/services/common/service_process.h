// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "support/sanitized.h"

namespace platform::common {

/// What the development tool prints for these arguments ("--subject ada --role
/// admin"): a token of the keys in `folder`, which it makes if need be.
inline std::string DevToken(const std::string& folder,
                            const std::string& arguments) {
  const std::string command =
      std::string(DEV_TOKEN) + " " + folder + " " + arguments;
  FILE* const pipe = popen(command.c_str(), "r");
  std::string token;
  for (int c = fgetc(pipe); c != EOF && c != '\n'; c = fgetc(pipe)) {
    token.push_back(static_cast<char>(c));
  }
  EXPECT_EQ(pclose(pipe), 0);
  return token;
}

/// For a call of at most two minutes; without a token if that is empty.
inline std::unique_ptr<grpc::ClientContext> CallWith(const std::string& token) {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() +
                        std::chrono::minutes(2));
  if (!token.empty()) {
    context->AddMetadata("authorization", "Bearer " + token);
  }
  return context;
}

/// The built program of a service as a child of this process, on a socket in a
/// folder that also has its log and the keys of the development tool; killed at
/// the end. The folder outlives it.
class ServiceProcess {
 public:
  ServiceProcess(const char* program, std::string folder,
                 const std::string& name = "service")
      : program_(program),
        folder_(std::move(folder)),
        socket_(folder_ + "/" + name + ".socket"),
        log_(folder_ + "/" + name + ".log") {
    Set("GRPC_ADDRESS", address());
    Set("HTTP_ADDRESS", "127.0.0.1:0");
    Set("AUTH__JWKS_FILE", folder_ + "/dev_jwks.json");
    Set("AUTH__ISSUER", "grpccommon-dev");
    Set("AUTH__AUDIENCES", "grpccommon-dev");
    Set("DRAIN_DELAY", "0s");
    Set("RATE_LIMIT", "false");
  }
  ~ServiceProcess() {
    Kill(SIGKILL);
    EXPECT_EQ(grpccommon::test::SanitizerReport(Log()), "");
  }
  ServiceProcess(const ServiceProcess&) = delete;
  ServiceProcess& operator=(const ServiceProcess&) = delete;

  /// For all starts after this: GRPCCOMMON_<name>.
  void Set(const std::string& name, const std::string& value) {
    settings_["GRPCCOMMON_" + name] = value;
  }
  /// As a disk that is full, for all starts after this: no file of the process
  /// may be larger, in bytes.
  void LimitFiles(std::optional<rlim_t> largest) { largest_file_ = largest; }

  /// Starts it without waiting for anything.
  void Launch() {
    (void)DevToken(folder_, "--subject nobody");  // makes the keys
    std::vector<std::string> texts = grpccommon::test::InheritedEnvironment();
    for (const auto& [name, value] : settings_) {
      texts.push_back(name + "=" + value);
    }
    std::vector<char*> variables;
    for (std::string& text : texts) variables.push_back(text.data());
    variables.push_back(nullptr);
    char* const arguments[] = {const_cast<char*>(program_), nullptr};
    launched_at_ = Log().size();
    child_ = fork();
    if (child_ == 0) {
      dup2(open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600),
           STDERR_FILENO);
      if (largest_file_.has_value()) {
        signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{*largest_file_, *largest_file_};
        setrlimit(RLIMIT_FSIZE, &limit);
      }
      execve(program_, arguments, variables.data());
      _exit(127);
    }
  }
  /// Starts it, and returns a channel when it serves; expects that it does.
  std::shared_ptr<grpc::Channel> Start() {
    Launch();
    grpc::ChannelArguments arguments;
    // Not the connection to the process before.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 20);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 20);
    auto channel = grpc::CreateCustomChannel(
        address(), grpc::InsecureChannelCredentials(), arguments);
    EXPECT_TRUE(channel->WaitForConnected(std::chrono::system_clock::now() +
                                          std::chrono::seconds(30)))
        << Log();
    return channel;
  }
  /// Returns the exit code, or minus the signal; 0 if it does not run.
  int Kill(int signal) {
    if (child_ <= 0) return 0;
    Signal(signal);
    return WaitForExit();
  }
  void Signal(int signal) const { kill(child_, signal); }
  int WaitForExit() {
    int result = 0;
    EXPECT_EQ(waitpid(child_, &result, 0), child_);
    child_ = 0;
    return WIFEXITED(result) ? WEXITSTATUS(result) : -WTERMSIG(result);
  }

  std::string address() const { return "unix:" + socket_; }
  /// Of a process that serves, from its log.
  int HttpPort() const {
    for (;;) {
      const std::string log = Log();
      const std::size_t place = log.find("\"http_port\":", launched_at_);
      if (place != std::string::npos) return std::stoi(log.substr(place + 12));
      std::this_thread::yield();
    }
  }
  /// What it has logged since its first start.
  std::string Log() const {
    std::ostringstream log;
    log << std::ifstream(log_).rdbuf();
    return log.str();
  }

 private:
  const char* const program_;
  const std::string folder_;
  const std::string socket_;
  const std::string log_;
  std::map<std::string, std::string> settings_;
  std::optional<rlim_t> largest_file_;
  std::size_t launched_at_ = 0;  // in the log
  pid_t child_ = 0;
};

}  // namespace platform::common
