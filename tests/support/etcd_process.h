// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "grpccommon/testing/certificates.h"

namespace grpccommon::test {

/// How an etcd is reached by TLS.
struct EtcdTls {
  testing::Certificate server;
  /// What issued the server's certificate and, if they are asked for, the
  /// clients'.
  std::string ca_pem;
  /// One of a client. None: clients need none.
  std::optional<testing::Certificate> client;
};

/// A real etcd of one member on loopback, with a data folder of its own, that a
/// test can stop, kill and start again on the same port. Ends with the object.
class EtcdProcess {
 public:
  /// Whether etcd is installed; else the test has to be skipped.
  static bool Available();

  /// Starts it and waits until it answers.
  explicit EtcdProcess(std::optional<EtcdTls> tls = std::nullopt);
  ~EtcdProcess();
  EtcdProcess(const EtcdProcess&) = delete;
  EtcdProcess& operator=(const EtcdProcess&) = delete;

  void Start();
  /// SIGKILL: as a machine that fails.
  void Kill();
  /// What it knew is gone.
  void Wipe();

  int port() const { return client_port_; }
  std::string address() const {
    return "127.0.0.1:" + std::to_string(client_port_);
  }

 private:
  bool Launch();

  const std::optional<EtcdTls> tls_;
  testing::TemporaryFolder folder_;
  int client_port_ = 0;
  int peer_port_ = 0;
  int child_ = 0;
};

}  // namespace grpccommon::test
