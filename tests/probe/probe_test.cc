// SPDX-License-Identifier: Apache-2.0
// The program as it is installed, against real servers: every exit code, over
// every kind of connection.

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "grpccommon/health/health_registry.h"
#include "grpccommon/server/server.h"
#include "grpccommon/testing/certificates.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "health/scripted_health_server.h"
#include "support/sanitized.h"

namespace grpccommon {
namespace {

using test::HealthAnswer;
using test::HealthScript;
using test::ScriptedHealthServer;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using namespace std::chrono_literals;

// A program that runs, with what it prints. Killed with the object.
class Process {
 public:
  struct End {
    int code = -1;  // minus the signal that killed it
    std::string out;
    std::string err;
  };

  Process(const std::string& program, std::vector<std::string> arguments,
          std::vector<std::string> environment = {}) {
    arguments.insert(arguments.begin(), program);
    for (std::string& variable : test::InheritedEnvironment()) {
      environment.push_back(std::move(variable));
    }
    int out[2];
    int err[2];
    EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
    EXPECT_EQ(pipe2(err, O_CLOEXEC), 0);
    const std::vector<char*> argv = Pointers(arguments);
    const std::vector<char*> envp = Pointers(environment);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(out[1], STDOUT_FILENO);
      dup2(err[1], STDERR_FILENO);
      execve(program.c_str(), argv.data(), envp.data());
      _exit(127);
    }
    close(out[1]);
    close(err[1]);
    out_ = out[0];
    err_ = err[0];
  }
  ~Process() {
    if (pid_ > 0) {
      Signal(SIGKILL);
      Wait();
    }
    close(out_);
    close(err_);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void Signal(int signal) const { kill(pid_, signal); }

  // The next line of standard output; what there is of it at the end, or after
  // ten seconds.
  std::string ReadLine() {
    while (end_.out.find('\n', read_) == std::string::npos &&
           Fill(out_, end_.out)) {
    }
    const std::size_t end = end_.out.find('\n', read_);
    std::string line = end_.out.substr(read_, end - read_);
    read_ = end == std::string::npos ? end_.out.size() : end + 1;
    return line;
  }

  End Wait() {
    while (Fill(out_, end_.out)) {
    }
    while (Fill(err_, end_.err)) {
    }
    int result = 0;
    waitpid(pid_, &result, 0);
    pid_ = 0;
    end_.code = WIFEXITED(result) ? WEXITSTATUS(result) : -WTERMSIG(result);
    return end_;
  }

 private:
  static std::vector<char*> Pointers(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (std::string& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
  }
  static bool Fill(int file, std::string& text) {
    pollfd wait = {.fd = file, .events = POLLIN};
    char bytes[4096];
    if (poll(&wait, 1, 10'000) != 1) return false;
    const ssize_t size = read(file, bytes, sizeof(bytes));
    if (size <= 0) return false;
    text.append(bytes, static_cast<std::size_t>(size));
    return true;
  }

  pid_t pid_ = -1;
  int out_ = -1;
  int err_ = -1;
  End end_;
  std::size_t read_ = 0;  // of end_.out
};

// Timeouts that a busy machine keeps; tests of timeouts have their own.
Process::End Probe(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(),
                   {"--connect-timeout=20s", "--rpc-timeout=20s"});
  return Process(PROBE, std::move(arguments)).Wait();
}

std::unique_ptr<Server> Serve(ServerOptions options) {
  options.name = "probed";
  if (options.grpc_address.empty()) options.grpc_address = "127.0.0.1:0";
  options.drain_delay = 0s;
  options.log_sink = std::make_shared<testing::RecordingLogSink>();
  auto server = Server::Create(std::move(options));
  EXPECT_TRUE(server.ok()) << server.status();
  const absl::Status started = (*server)->Start();
  EXPECT_TRUE(started.ok()) << started;
  return *std::move(server);
}

std::string AddressOf(const Server& server) {
  return "127.0.0.1:" + std::to_string(server.grpc_port());
}

// ------------------------------------------------------------- it answers
TEST(ProbeTest, SaysThatAServerServes) {
  const auto server = Serve({});
  const Process::End end = Probe({"--addr=" + AddressOf(*server)});
  EXPECT_EQ(end.code, 0) << end.err;
  EXPECT_EQ(end.out, "status: SERVING\n");
  EXPECT_EQ(end.err, "");
}

TEST(ProbeTest, SaysThatAServerDoesNotServe) {
  const auto server = Serve({});
  server->health().Hold({});
  const Process::End end = Probe({"--addr=" + AddressOf(*server)});
  EXPECT_EQ(end.code, 4);
  EXPECT_EQ(end.out, "");
  EXPECT_EQ(end.err, "grpccommon-probe: " + AddressOf(*server) +
                         ": not serving: NOT_SERVING\n");
}

TEST(ProbeTest, AsksForOneService) {
  const auto server = Serve({});
  server->health().SetServing("good", ServingStatus::kServing);
  server->health().SetServing("bad", ServingStatus::kNotServing);
  server->health().SetServing("odd", ServingStatus::kUnknown);
  const std::string address = "--addr=" + AddressOf(*server);
  EXPECT_EQ(Probe({address, "--service=good"}).code, 0);
  EXPECT_EQ(Probe({address, "--service=bad"}).code, 4);
  const Process::End odd = Probe({address, "--service=odd"});
  EXPECT_EQ(odd.code, 4);
  EXPECT_THAT(odd.err, HasSubstr("UNKNOWN"));
  const Process::End nobody = Probe({address, "--service=nobody"});
  EXPECT_EQ(nobody.code, 4);
  EXPECT_THAT(nobody.err, HasSubstr("does not know the service 'nobody'"));
}

TEST(ProbeTest, SaysThatAServerHasNoHealthService) {
  grpc::CallbackGenericService other;  // knows no method at all
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterCallbackGenericService(&other);
  const auto server = builder.BuildAndStart();
  const std::string address = "--addr=127.0.0.1:" + std::to_string(port);
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{address}, {address, "--wait=20s"}}) {
    const Process::End end = Probe(arguments);
    EXPECT_EQ(end.code, 5);
    EXPECT_THAT(end.err, HasSubstr("no health service"));
  }
}

TEST(ProbeTest, ConnectsToAUnixSocket) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/socket";
  const auto server = Serve({.grpc_address = "unix:" + path});
  EXPECT_EQ(Probe({"--addr=unix:" + path}).code, 0);
  EXPECT_EQ(Probe({"--addr=unix://" + path}).code, 0);
}

TEST(ProbeTest, GoesToTheServerWhateverProxyThereIs) {
  const auto server = Serve({});
  Process probe(PROBE, {"--addr=" + AddressOf(*server)},
                {"http_proxy=http://127.0.0.1:1", "grpc_proxy=127.0.0.1:1"});
  EXPECT_EQ(probe.Wait().code, 0);
}

TEST(ProbeTest, SaysWhoItIs) {
  ScriptedHealthServer server(
      {.messages = {HealthAnswer(1)}, .end = grpc::Status::OK});
  EXPECT_EQ(Probe({"--addr=" + server.address()}).code, 0);
  EXPECT_THAT(server.last_user_agent(), StartsWith("grpccommon-probe/"));
  EXPECT_EQ(
      Probe({"--addr=" + server.address(), "--user-agent=kube-probe/1.2"}).code,
      0);
  EXPECT_THAT(server.last_user_agent(), StartsWith("kube-probe/1.2"));
}

// ---------------------------------------------------------------------- TLS
class ProbeTlsTest : public ::testing::Test {
 protected:
  std::string File(const std::string& name, const std::string& content) {
    return folder_.Write(name, content);
  }
  TlsOptions ServerTls(testing::CertificateOptions names = {}) {
    const testing::Certificate certificate = authority_.Issue(names);
    return {.certificate_file = File("cert.pem", certificate.certificate_pem),
            .private_key_file = File("key.pem", certificate.private_key_pem)};
  }

  const testing::TemporaryFolder folder_;
  const testing::CertificateAuthority authority_;
  const testing::CertificateAuthority other_authority_;
  const std::string ca_ =
      "--tls-ca-cert=" + File("ca.pem", authority_.certificate_pem());
};

TEST_F(ProbeTlsTest, TrustsTheNamedAuthority) {
  const auto server = Serve({.tls = ServerTls()});
  const Process::End end =
      Probe({"--addr=" + AddressOf(*server), "--tls", ca_});
  EXPECT_EQ(end.code, 0) << end.err;
}

TEST_F(ProbeTlsTest, TrustsNobodyElse) {
  const auto server = Serve({.tls = ServerTls()});
  const std::string address = "--addr=" + AddressOf(*server);
  const std::string wrong =
      "--tls-ca-cert=" + File("wrong.pem", other_authority_.certificate_pem());
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{address, "--tls", wrong},
        {address, "--tls"}}) {
    const Process::End end = Probe(arguments);
    EXPECT_EQ(end.code, 2);
    EXPECT_THAT(end.err, AllOf(HasSubstr("no connection"),
                               HasSubstr("handshake failed")));
  }
}

TEST_F(ProbeTlsTest, WantsACertificateOfTheRightName) {
  const auto server = Serve({.tls = ServerTls({.common_name = "task.example",
                                               .dns_names = {"task.example"},
                                               .ip_addresses = {}})});
  const std::string address = "--addr=" + AddressOf(*server);
  EXPECT_EQ(
      Probe({address, "--tls", ca_, "--tls-server-name=task.example"}).code, 0);
  EXPECT_EQ(
      Probe({address, "--tls", ca_, "--tls-server-name=user.example"}).code, 2);
  const Process::End end = Probe({address, "--tls", ca_});
  EXPECT_EQ(end.code, 2);
  EXPECT_THAT(end.err, HasSubstr("Peer name 127.0.0.1 is not in peer "
                                 "certificate"));
}

TEST_F(ProbeTlsTest, BothSidesMustSpeakTls) {
  const auto secure = Serve({.tls = ServerTls()});
  const auto plain = Serve({});
  EXPECT_EQ(Probe({"--addr=" + AddressOf(*secure)}).code, 2);
  EXPECT_EQ(Probe({"--addr=" + AddressOf(*plain), "--tls", ca_}).code, 2);
}

TEST_F(ProbeTlsTest, ShowsAClientCertificate) {
  TlsOptions tls = ServerTls();
  tls.client_ca_file = folder_.path() + "/ca.pem";
  const auto server = Serve({.tls = tls});
  const std::string address = "--addr=" + AddressOf(*server);
  const auto files = [this](const std::string& name,
                            const testing::CertificateAuthority& authority) {
    const testing::Certificate certificate =
        authority.Issue({.common_name = "probe"});
    return std::vector<std::string>{
        "--tls-client-cert=" + File(name + ".pem", certificate.certificate_pem),
        "--tls-client-key=" + File(name + ".key", certificate.private_key_pem)};
  };
  const auto mine = files("client", authority_);
  EXPECT_EQ(Probe({address, "--tls", ca_, mine[0], mine[1]}).code, 0);
  EXPECT_EQ(Probe({address, "--tls", ca_}).code, 2);
  const auto foreign = files("foreign", other_authority_);
  EXPECT_EQ(Probe({address, "--tls", ca_, foreign[0], foreign[1]}).code, 2);
  // A key that belongs to another certificate.
  EXPECT_EQ(Probe({address, "--tls", ca_, mine[0], foreign[1]}).code, 2);
}

TEST_F(ProbeTlsTest, RefusesFilesThatItCannotUse) {
  const std::string text = File("text", "no certificate");
  const std::string big = File("big", std::string(2 << 20, 'x'));
  const auto refusal = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--addr=:1", "--tls"});
    const Process::End end = Probe(std::move(arguments));
    EXPECT_EQ(end.code, 1);
    EXPECT_EQ(end.out, "");
    EXPECT_THAT(end.err, StartsWith("grpccommon-probe: --tls-"));
    return end.err;
  };
  EXPECT_THAT(refusal({"--tls-ca-cert=" + folder_.path() + "/none"}),
              HasSubstr("/none"));
  EXPECT_THAT(refusal({"--tls-ca-cert=" + folder_.path()}),
              HasSubstr(folder_.path()));
  EXPECT_THAT(refusal({"--tls-ca-cert=" + big}), HasSubstr("/big"));
  EXPECT_THAT(refusal({"--tls-ca-cert=" + text}),
              HasSubstr("has no certificate in PEM"));
  const std::string ca_file = folder_.path() + "/ca.pem";
  EXPECT_THAT(
      refusal({"--tls-client-cert=" + ca_file, "--tls-client-key=" + text}),
      HasSubstr("--tls-client-key: " + text + " has no private key in PEM"));
}

// ------------------------------------------------------------ it goes wrong
TEST(ProbeTest, SaysThatNobodyIsThere) {
  const testing::TemporaryFolder folder;
  const Process::End end = Probe({"--addr=unix:" + folder.path() + "/none"});
  EXPECT_EQ(end.code, 2);
  EXPECT_THAT(end.err, AllOf(HasSubstr("no connection"),
                             HasSubstr("No such file or directory")));
}

TEST(ProbeTest, EndsAtTheConnectTimeout) {
  // Takes connections, and never says a word.
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener, 16), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size),
            0);
  Process probe(PROBE, {"--addr=:" + std::to_string(ntohs(address.sin_port)),
                        "--connect-timeout=100ms", "--rpc-timeout=1h"});
  const Process::End end = probe.Wait();
  EXPECT_EQ(end.code, 2);
  EXPECT_THAT(end.err, HasSubstr("no connection within 100ms"));
  close(listener);
}

TEST(ProbeTest, EndsAtTheRpcTimeout) {
  ScriptedHealthServer server({});
  Process probe(PROBE, {"--addr=" + server.address(), "--connect-timeout=20s",
                        "--rpc-timeout=100ms"});
  const Process::End end = probe.Wait();
  EXPECT_EQ(end.code, 3);
  EXPECT_THAT(end.err, HasSubstr("no answer within 100ms"));
}

#ifdef EXAMPLE_SERVER
TEST(ProbeTest, SeesThatAServerIsStopped) {
  const testing::TemporaryFolder folder;
  const std::string address = "unix:" + folder.path() + "/socket";
  Process server(
      EXAMPLE_SERVER, {folder.path()},
      {"GRPCCOMMON_GRPC_ADDRESS=" + address, "GRPCCOMMON_HTTP_ADDRESS="});
  ASSERT_EQ(Probe({"--addr=" + address, "--wait=20s"}).code, 0);
  server.Signal(SIGSTOP);
  Process probe(PROBE, {"--addr=" + address, "--connect-timeout=100ms",
                        "--rpc-timeout=100ms"});
  EXPECT_EQ(probe.Wait().code, 2);
  server.Signal(SIGCONT);
  EXPECT_EQ(Probe({"--addr=" + address, "--wait=20s"}).code, 0);
}
#endif

TEST(ProbeTest, SaysWhyTheCallFailed) {
  ScriptedHealthServer server(
      {.end = grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "not you")});
  const Process::End end = Probe({"--addr=" + server.address()});
  EXPECT_EQ(end.code, 3);
  EXPECT_THAT(end.err, HasSubstr("PERMISSION_DENIED: not you"));
}

TEST(ProbeTest, ServersCannotWriteToTheTerminal) {
  ScriptedHealthServer server(
      {.end = grpc::Status(grpc::StatusCode::INTERNAL,
                           "one\ntwo\x1b[2J\xc2\x9b"
                           "2J" +
                               std::string(2000, 'x'))});
  const Process::End end = Probe({"--addr=" + server.address()});
  EXPECT_EQ(end.code, 3);
  EXPECT_EQ(end.err.find('\n'), end.err.size() - 1);
  EXPECT_THAT(end.err, Not(HasSubstr("\x1b")));
  EXPECT_THAT(end.err, Not(HasSubstr("\xc2\x9b")));
  EXPECT_LT(end.err.size(), 600u);
}

TEST(ProbeTest, AnAnswerThatIsNoneIsNoAnswer) {
  ScriptedHealthServer server(
      {.messages = {"\xff\xff"}, .end = grpc::Status::OK});
  EXPECT_EQ(Probe({"--addr=" + server.address()}).code, 3);
}

TEST(ProbeTest, RefusesWrongUsageBeforeItDoesAnything) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{},
        {"--addr=nowhere"},
        {"--nonsense"},
        {"--addr=:1", "--wait=soon"},
        {"--addr=:1", "--tls-no-verify"}}) {
    const Process::End end = Process(PROBE, arguments).Wait();
    EXPECT_EQ(end.code, 1);
    EXPECT_EQ(end.out, "");
    EXPECT_THAT(end.err, StartsWith("grpccommon-probe: "));
    EXPECT_EQ(end.err.find('\n'), end.err.size() - 1) << end.err;
  }
}

// ------------------------------------------------------------------ outputs
TEST(ProbeTest, SaysAllInJson) {
  const auto server = Serve({});
  server->health().SetServing("bad", ServingStatus::kNotServing);
  const std::string address = "--addr=" + AddressOf(*server);
  const Process::End good = Probe({address, "--json"});
  EXPECT_EQ(good.err, "");
  const auto json = nlohmann::json::parse(good.out);
  EXPECT_EQ(json["address"], AddressOf(*server));
  EXPECT_EQ(json["service"], "");
  EXPECT_EQ(json["status"], "SERVING");
  EXPECT_EQ(json["error"], "");
  EXPECT_EQ(json["exit_code"], 0);
  EXPECT_GT(json["connect_ms"], 0.0);
  EXPECT_GT(json["rpc_ms"], 0.0);
  const Process::End bad = Probe({address, "--json", "--service=bad"});
  EXPECT_EQ(bad.code, 4);
  EXPECT_EQ(nlohmann::json::parse(bad.out)["status"], "NOT_SERVING");
  EXPECT_EQ(nlohmann::json::parse(bad.out)["exit_code"], 4);
  EXPECT_EQ(bad.err, "");
}

TEST(ProbeTest, CanBeQuiet) {
  const auto server = Serve({});
  const std::string address = "--addr=" + AddressOf(*server);
  for (const auto& [service, code] : {std::pair("", 0), std::pair("x", 4)}) {
    const Process::End end =
        Probe({address, "--quiet", std::string("--service=") + service});
    EXPECT_EQ(end.code, code);
    EXPECT_EQ(end.out + end.err, "");
  }
}

TEST(ProbeTest, HelpsAndTellsItsVersion) {
  const Process::End help = Process(PROBE, {"--help"}).Wait();
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.out, HasSubstr("exit codes:"));
  const Process::End version = Process(PROBE, {"--version"}).Wait();
  EXPECT_EQ(version.code, 0);
  EXPECT_EQ(version.out, "grpccommon-probe " PROBE_VERSION "\n");
}

// ----------------------------------------------------------- wait and watch
TEST(ProbeTest, WaitsForAServerThatIsYetToCome) {
  const testing::TemporaryFolder folder;
  const std::string address = "unix:" + folder.path() + "/socket";
  Process probe(PROBE, {"--addr=" + address, "--wait=60s"});
  const auto server = Serve({.grpc_address = address});
  const Process::End end = probe.Wait();
  EXPECT_EQ(end.code, 0) << end.err;
  EXPECT_EQ(end.out, "status: SERVING\n");
}

TEST(ProbeTest, WaitsForAServerThatIsYetToServe) {
  ScriptedHealthServer server(
      {.messages = {HealthAnswer(2)}, .end = grpc::Status::OK});
  Process probe(PROBE, {"--addr=" + server.address(), "--wait=60s"});
  while (server.calls() < 2) std::this_thread::yield();
  server.SetScript({.messages = {HealthAnswer(1)}, .end = grpc::Status::OK});
  EXPECT_EQ(probe.Wait().code, 0);
}

TEST(ProbeTest, WaitsNoLongerThanItWasTold) {
  ScriptedHealthServer refusing(
      {.messages = {HealthAnswer(2)}, .end = grpc::Status::OK});
  const Process::End refused =
      Probe({"--addr=" + refusing.address(), "--wait=200ms"});
  EXPECT_EQ(refused.code, 4);
  EXPECT_THAT(refused.err, HasSubstr("not within 200ms: not serving"));
  // What the last attempt had no time to hear does not hide what others heard.
  ScriptedHealthServer falling_silent(
      {.messages = {HealthAnswer(2)}, .end = grpc::Status::OK});
  Process waiting(PROBE, {"--addr=" + falling_silent.address(), "--wait=1s"});
  while (falling_silent.calls() < 1) std::this_thread::yield();
  falling_silent.SetScript({});
  const Process::End cut_short = waiting.Wait();
  EXPECT_EQ(cut_short.code, 4);
  EXPECT_THAT(cut_short.err, HasSubstr("not within 1s: not serving"));
  // Also where a single attempt might take longer.
  ScriptedHealthServer silent({});
  EXPECT_EQ(Probe({"--addr=" + silent.address(), "--wait=100ms"}).code, 3);
}

TEST(ProbeTest, WatchesUntilItIsStopped) {
  const auto server = Serve({});
  Process probe(PROBE, {"--addr=" + AddressOf(*server), "--watch"});
  EXPECT_EQ(probe.ReadLine(), "status: SERVING");
  server->health().Hold({});
  EXPECT_EQ(probe.ReadLine(), "status: NOT_SERVING");
  server->health().Release({});
  EXPECT_EQ(probe.ReadLine(), "status: SERVING");
  probe.Signal(SIGTERM);
  const Process::End end = probe.Wait();
  EXPECT_EQ(end.code, 0);
  EXPECT_EQ(end.out, "status: SERVING\nstatus: NOT_SERVING\nstatus: SERVING\n");
  EXPECT_EQ(end.err, "");
}

TEST(ProbeTest, AWatchEndsWithTheCodeOfTheLastState) {
  const auto server = Serve({});
  server->health().Hold({});
  for (const int signal : {SIGTERM, SIGINT}) {
    Process probe(PROBE, {"--addr=" + AddressOf(*server), "--watch", "--json"});
    EXPECT_EQ(nlohmann::json::parse(probe.ReadLine())["status"], "NOT_SERVING");
    probe.Signal(signal);
    const Process::End end = probe.Wait();
    EXPECT_EQ(end.code, 4);
    EXPECT_EQ(end.err, "");
  }
  const testing::TemporaryFolder folder;
  Process nobody(PROBE, {"--addr=unix:" + folder.path() + "/none", "--watch"});
  EXPECT_EQ(nobody.ReadLine(), "status: UNREACHABLE");
  nobody.Signal(SIGTERM);
  const Process::End end = nobody.Wait();
  EXPECT_EQ(end.code, 2);
  EXPECT_THAT(end.err, HasSubstr("No such file or directory"));
}

TEST(ProbeTest, AWatchOfAServerWithoutWatchesEndsByItself) {
  ScriptedHealthServer server(
      {.end = grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "what?")});
  const Process::End end = Probe({"--addr=" + server.address(), "--watch"});
  EXPECT_EQ(end.code, 5);
  EXPECT_THAT(end.err, HasSubstr("no health watches"));
}

}  // namespace
}  // namespace grpccommon
