// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "grpccommon/testing/certificates.h"

namespace grpccommon::test {

/// A real PostgreSQL on loopback, with a data folder of its own, that a test
/// can end roughly and start again on the same port. Ends with the object.
///
/// It starts in a second or two: a test program has one (`Shared`), and each of
/// its tests a database of its own. Root runs it as the user `postgres`, since
/// it refuses to be root's.
class PostgresProcess {
 public:
  /// Whether it is installed; else the test has to be skipped.
  static bool Available();
  /// That of the whole program, started at the first use.
  static PostgresProcess& Shared();

  /// Starts it and waits until it answers.
  PostgresProcess();
  ~PostgresProcess();
  PostgresProcess(const PostgresProcess&) = delete;
  PostgresProcess& operator=(const PostgresProcess&) = delete;

  void Start();
  /// Ends it at once, every connection with it, and keeps what was committed.
  void Kill();

  /// Makes an empty database and returns its URL.
  std::string NewDatabase();
  /// Runs a statement outside any transaction, by default in the database
  /// that no test uses.
  void Execute(const std::string& statement,
               const std::string& database = "postgres");

  int port() const { return port_; }

 private:
  bool Launch();
  std::string Url(const std::string& database) const;

  testing::TemporaryFolder folder_;
  int port_ = 0;
  int child_ = 0;
  int databases_ = 0;
};

}  // namespace grpccommon::test
