// SPDX-License-Identifier: Apache-2.0
#include "support/etcd_process.h"

#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/free_port.h"

namespace grpccommon::test {

bool EtcdProcess::Available() {
  return std::string(ETCD_PROGRAM).starts_with('/');
}

EtcdProcess::EtcdProcess(std::optional<EtcdTls> tls) : tls_(std::move(tls)) {
  for (int i = 0; i < 5; ++i) {
    client_port_ = FreePort();
    peer_port_ = FreePort();
    if (Launch()) return;
    Wipe();
  }
  std::cerr << "etcd does not start:\n"
            << std::ifstream(folder_.path() + "/log").rdbuf();
  std::abort();
}

EtcdProcess::~EtcdProcess() { Kill(); }

void EtcdProcess::Start() {
  if (!Launch()) {
    std::cerr << "etcd does not start again:\n"
              << std::ifstream(folder_.path() + "/log").rdbuf();
    std::abort();
  }
}

void EtcdProcess::Kill() {
  if (child_ <= 0) return;
  kill(child_, SIGKILL);
  waitpid(child_, nullptr, 0);
  child_ = 0;
}

void EtcdProcess::Wipe() {
  Kill();
  std::filesystem::remove_all(folder_.path() + "/data");
}

bool EtcdProcess::Launch() {
  const std::string client =
      (tls_.has_value() ? "https://" : "http://") + address();
  const std::string peer = "http://127.0.0.1:" + std::to_string(peer_port_);
  std::vector<std::string> arguments = {
      ETCD_PROGRAM,
      "--name=one",
      "--data-dir=" + folder_.path() + "/data",
      "--listen-client-urls=" + client,
      "--advertise-client-urls=" + client,
      "--listen-peer-urls=" + peer,
      "--initial-advertise-peer-urls=" + peer,
      "--initial-cluster=one=" + peer,
      "--log-level=error"};
  std::shared_ptr<grpc::ChannelCredentials> credentials =
      grpc::InsecureChannelCredentials();
  if (tls_.has_value()) {
    arguments.push_back(
        "--cert-file=" +
        folder_.Write("server.pem", tls_->server.certificate_pem));
    arguments.push_back("--key-file=" +
                        folder_.Write("key.pem", tls_->server.private_key_pem));
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = tls_->ca_pem;
    if (tls_->client.has_value()) {
      arguments.emplace_back("--client-cert-auth");
      arguments.push_back("--trusted-ca-file=" +
                          folder_.Write("ca.pem", tls_->ca_pem));
      options.pem_cert_chain = tls_->client->certificate_pem;
      options.pem_private_key = tls_->client->private_key_pem;
    }
    credentials = grpc::SslCredentials(options);
  }
  std::vector<char*> argv;
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  const std::string log = folder_.path() + "/log";
  child_ = fork();
  if (child_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int file = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
    execv(ETCD_PROGRAM, argv.data());
    _exit(127);
  }
  const auto channel = grpc::CreateChannel(address(), credentials);
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (std::chrono::steady_clock::now() < deadline) {
    if (waitpid(child_, nullptr, WNOHANG) == child_) {
      child_ = 0;
      return false;
    }
    if (channel->WaitForConnected(std::chrono::system_clock::now() +
                                  std::chrono::milliseconds(200))) {
      return true;
    }
  }
  Kill();
  return false;
}

}  // namespace grpccommon::test
