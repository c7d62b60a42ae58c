// SPDX-License-Identifier: Apache-2.0
#include "support/postgres_process.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/free_port.h"

namespace grpccommon::test {
namespace {

using Connection = std::unique_ptr<PGconn, decltype(&PQfinish)>;

// The user it runs as if we are root.
const passwd* Servant() {
  return geteuid() == 0 ? getpwnam("postgres") : nullptr;
}

int Spawn(const std::vector<std::string>& arguments, const std::string& log) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  const passwd* const servant = Servant();
  const int child = fork();
  if (child == 0) {
    const int file = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
    if (servant != nullptr &&
        (setgid(servant->pw_gid) != 0 || setuid(servant->pw_uid) != 0)) {
      _exit(126);
    }
    prctl(PR_SET_PDEATHSIG, SIGQUIT);  // after setuid, which undoes it
    execv(argv.front(), argv.data());
    _exit(127);
  }
  return child;
}

[[noreturn]] void Die(const std::string& what, const std::string& log) {
  std::cerr << what << ":\n" << std::ifstream(log).rdbuf();
  std::abort();
}

}  // namespace

bool PostgresProcess::Available() {
  return std::string(POSTGRES_PROGRAM).starts_with('/') &&
         (geteuid() != 0 || Servant() != nullptr);
}

PostgresProcess& PostgresProcess::Shared() {
  static PostgresProcess process;
  return process;
}

PostgresProcess::PostgresProcess() {
  const std::string log = folder_.path() + "/log";
  if (const passwd* const servant = Servant(); servant != nullptr) {
    if (chown(folder_.path().c_str(), servant->pw_uid, servant->pw_gid) != 0) {
      std::perror("chown");
      std::abort();
    }
  }
  // A locale that knows more than ASCII, so that statements which lean on it
  // are found out.
  const int initdb = Spawn(
      {(std::filesystem::path(POSTGRES_PROGRAM).parent_path() / "initdb")
           .string(),
       "--pgdata=" + folder_.path() + "/data", "--username=postgres",
       "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"},
      log);
  int result = -1;
  if (waitpid(initdb, &result, 0) != initdb || result != 0) {
    Die("initdb failed", log);
  }
  for (int i = 0; i < 5; ++i) {
    port_ = FreePort();
    if (Launch()) return;
  }
  Die("PostgreSQL does not start", log);
}

PostgresProcess::~PostgresProcess() { Kill(); }

void PostgresProcess::Start() {
  if (!Launch())
    Die("PostgreSQL does not start again", folder_.path() + "/log");
}

void PostgresProcess::Kill() {
  if (child_ <= 0) return;
  kill(child_, SIGQUIT);
  waitpid(child_, nullptr, 0);
  child_ = 0;
}

bool PostgresProcess::Launch() {
  child_ = Spawn({POSTGRES_PROGRAM, "-D", folder_.path() + "/data", "-p",
                  std::to_string(port_), "-k", folder_.path(), "-c",
                  "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c",
                  "max_connections=50", "-c", "shared_buffers=16MB"},
                 folder_.path() + "/log");
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (std::chrono::steady_clock::now() < deadline) {
    if (waitpid(child_, nullptr, WNOHANG) == child_) {
      child_ = 0;
      return false;
    }
    if (PQping(Url("postgres").c_str()) == PQPING_OK) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  Kill();
  return false;
}

std::string PostgresProcess::Url(const std::string& database) const {
  return "postgresql://postgres@127.0.0.1:" + std::to_string(port_) + "/" +
         database;
}

std::string PostgresProcess::NewDatabase() {
  const std::string name = "test_" + std::to_string(++databases_);
  Execute("CREATE DATABASE " + name);
  return Url(name);
}

void PostgresProcess::Execute(const std::string& statement,
                              const std::string& database) {
  const Connection connection(PQconnectdb(Url(database).c_str()), &PQfinish);
  PGresult* const result = PQexec(connection.get(), statement.c_str());
  const ExecStatusType status = PQresultStatus(result);
  PQclear(result);
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
    std::cerr << statement << ": " << PQerrorMessage(connection.get());
    std::abort();
  }
}

}  // namespace grpccommon::test
