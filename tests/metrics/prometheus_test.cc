// SPDX-License-Identifier: Apache-2.0
// What we expose, read by Prometheus' own tools: promtool checks the text, and
// a real server scrapes it and answers queries. Skipped where they are not
// installed.

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "grpccommon/base/mutex.h"
#include "grpccommon/metrics/metrics_interceptor.h"
#include "grpccommon/metrics/metrics_registry.h"
#include "grpccommon/testing/fake_call.h"
#include "grpccommon/testing/fake_clock.h"

namespace grpccommon {
namespace {

using ::testing::HasSubstr;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using SteadyTime = std::chrono::steady_clock::time_point;

constexpr const char* kPromtool = "/usr/bin/promtool";
constexpr const char* kPrometheus = "/usr/bin/prometheus";

// A loopback TCP socket that closes itself.
class Socket {
 public:
  explicit Socket(int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))
      : fd_(fd) {}
  ~Socket() { close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  int fd() const { return fd_; }

  // Binds to `port`, 0 for a free one, which it returns.
  int Bind() const {
    sockaddr_in address = Loopback(0);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address),
              0);
    socklen_t size = sizeof address;
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
  }
  bool Connect(int port) const {
    sockaddr_in address = Loopback(port);
    return connect(fd_, reinterpret_cast<sockaddr*>(&address),
                   sizeof address) == 0;
  }
  void SendAll(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t sent = send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  // Reads until the peer closes or `end` has been read.
  std::string Receive(std::string_view end = {}) const {
    std::string text;
    char buffer[4096];
    while (end.empty() || text.find(end) == std::string::npos) {
      const ssize_t got = recv(fd_, buffer, sizeof buffer, 0);
      if (got <= 0) break;
      text.append(buffer, static_cast<std::size_t>(got));
    }
    return text;
  }

 private:
  static sockaddr_in Loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  const int fd_;
};

// Answers every HTTP request with the registry's text.
class MetricsListener {
 public:
  explicit MetricsListener(const MetricsRegistry& registry)
      : registry_(registry), port_(listener_.Bind()) {
    EXPECT_EQ(listen(listener_.fd(), 16), 0);
    thread_ = std::jthread([this] { Serve(); });
  }
  ~MetricsListener() { shutdown(listener_.fd(), SHUT_RDWR); }

  int port() const { return port_; }

  // Waits until it has answered `count` requests; false after `deadline`.
  bool WaitForScrapes(int count, SteadyTime deadline) {
    const MutexLock lock(mutex_);
    while (scrapes_ < count) {
      if (!scraped_.WaitUntil(mutex_, deadline)) return scrapes_ >= count;
    }
    return true;
  }
  int scrapes() {
    const MutexLock lock(mutex_);
    return scrapes_;
  }

 private:
  void Serve() {
    while (true) {
      const int fd = accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      Socket client(fd);
      client.Receive("\r\n\r\n");
      const std::string body = registry_.Expose();
      client.SendAll("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: " +
                     std::string(kMetricsContentType) + "\r\nContent-Length: " +
                     std::to_string(body.size()) + "\r\n\r\n" + body);
      const MutexLock lock(mutex_);
      ++scrapes_;
      scraped_.NotifyAll();
    }
  }

  const MetricsRegistry& registry_;
  Socket listener_;
  const int port_;
  Mutex mutex_;
  CondVar scraped_;
  int scrapes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::jthread thread_;
};

// A program that is killed when this goes.
class Process {
 public:
  Process(std::vector<std::string> arguments, const std::string& log_path) {
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log_path.c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    EXPECT_EQ(
        posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ),
        0);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Process() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

 private:
  pid_t pid_ = -1;
};

class PrometheusTest : public ::testing::Test {
 protected:
  PrometheusTest() {
    char pattern[] = "/tmp/grpccommon-prometheus-XXXXXX";
    folder_ = mkdtemp(pattern);

    // A server's metrics after three calls, and one of every kind besides.
    interceptor_ = *MetricsInterceptor::Create(registry_);
    const Method method = {
        .path = "/test.v1.Echo/Say", .service = "test.v1.Echo", .name = "Say"};
    EXPECT_TRUE(interceptor_->Register(method).ok());
    for (int i = 0; i < 3; ++i) {
      testing::FakeCall call({.method = method, .clock = &clock_});
      EXPECT_TRUE(interceptor_->OnStart(*call).ok());
      clock_.Advance(20ms);
      if (i == 2) call.SetRefusedBy(interceptor_.get());
      grpc::Status status =
          i == 2 ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "")
                 : grpc::Status::OK;
      interceptor_->OnFinish(*call, status);
    }
    (*registry_.AddGauge("test_temperature_celsius",
                         "Temperature, \"outside\".", {.labels = {"place"}}))
        ->With({"odd \"place\"\\ \n \xFF \u20AC"})
        .Set(-1.25);
    depth_ =
        *registry_.AddCallbackGauge("test_depth", "Depth.", [] { return 7.0; });
  }
  ~PrometheusTest() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
  testing::FakeClock clock_;
  MetricsRegistry registry_;
  std::unique_ptr<MetricsInterceptor> interceptor_;
  MetricRegistration depth_;
};

TEST_F(PrometheusTest, PromtoolFindsNothingToCriticise) {
  if (access(kPromtool, X_OK) != 0) GTEST_SKIP() << "no " << kPromtool;
  const std::string exposition = folder_ + "/metrics";
  std::ofstream(exposition) << registry_.Expose();
  const std::string output = folder_ + "/output";
  const int result = std::system((std::string(kPromtool) + " check metrics <" +
                                  exposition + " >" + output + " 2>&1")
                                     .c_str());
  std::ostringstream text;
  text << std::ifstream(output).rdbuf();
  EXPECT_EQ(WEXITSTATUS(result), 0) << text.str();
  EXPECT_EQ(text.str(), "");
}

TEST_F(PrometheusTest, ARealPrometheusScrapesAndAnswersQueries) {
  if (access(kPrometheus, X_OK) != 0) GTEST_SKIP() << "no " << kPrometheus;
  MetricsListener listener(registry_);
  std::ofstream(folder_ + "/prometheus.yml")
      << "global: {scrape_interval: 250ms, scrape_timeout: 250ms}\n"
         "scrape_configs:\n"
         "- job_name: test\n"
         "  static_configs:\n"
         "  - targets: ['127.0.0.1:"
      << listener.port() << "']\n";
  int port = 0;
  {
    Socket free_port;
    port = free_port.Bind();
  }
  const std::string log = folder_ + "/log";
  const Process prometheus(
      {kPrometheus, "--config.file=" + folder_ + "/prometheus.yml",
       "--storage.tsdb.path=" + folder_ + "/data",
       "--web.listen-address=127.0.0.1:" + std::to_string(port)},
      log);

  const SteadyTime deadline = std::chrono::steady_clock::now() + 60s;
  const auto logged = [&] {
    std::ostringstream text;
    text << std::ifstream(log).rdbuf();
    return text.str();
  };
  // The answer to a query, once it holds `expected`. Every scrape may change
  // it, so it is asked again after each.
  const auto query = [&](const std::string& expression,
                         const std::string& expected) {
    std::string answer;
    do {
      Socket client;
      if (client.Connect(port)) {
        client.SendAll("GET /api/v1/query?query=" + expression +
                       " HTTP/1.0\r\nHost: localhost\r\n\r\n");
        answer = client.Receive();
      }
    } while (answer.find(expected) == std::string::npos &&
             listener.WaitForScrapes(listener.scrapes() + 1, deadline));
    return answer;
  };

  ASSERT_TRUE(listener.WaitForScrapes(1, deadline)) << logged();
  EXPECT_THAT(query("up", ",\"1\"]"), HasSubstr(",\"1\"]")) << logged();
  const struct {
    const char* expression;
    const char* value;
  } queries[] = {
      {"grpc_server_started_total{grpc_type=\"unary\",grpc_service=\"test.v1."
       "Echo\",grpc_method=\"Say\"}",
       "3"},
      {"grpc_server_handled_total{grpc_code=\"OK\"}", "2"},
      {"grpc_server_handled_total{grpc_code=\"Unavailable\"}", "1"},
      {"count(grpc_server_handled_total==0)", "15"},
      {"grpc_server_handling_seconds_count", "3"},
      {"grpc_server_handling_seconds_bucket{le=\"0.025\"}", "3"},
      {"grpc_server_handling_seconds_bucket{le=\"0.01\"}", "0"},
      {"grpccommon_server_refused_total{stage=\"observe\",reason=\"metrics\"}",
       "1"},
      {"grpccommon_server_in_flight", "0"},
      {"grpccommon_build_info", "1"},
      {"test_temperature_celsius", "-1.25"},
      {"test_depth", "7"},
      {"process_threads>bool 1", "1"},
  };
  for (const auto& [expression, value] : queries) {
    // What a URL cannot hold as it is.
    std::string encoded;
    for (const char c : std::string_view(expression)) {
      switch (c) {
        case ' ':
          encoded += "%20";
          break;
        case '"':
          encoded += "%22";
          break;
        case '{':
          encoded += "%7B";
          break;
        case '}':
          encoded += "%7D";
          break;
        case '=':
          encoded += "%3D";
          break;
        case '>':
          encoded += "%3E";
          break;
        default:
          encoded += c;
      }
    }
    const std::string expected = ",\"" + std::string(value) + "\"]";
    EXPECT_THAT(query(encoded, expected), HasSubstr(expected))
        << expression << '\n'
        << logged();
  }
}

}  // namespace
}  // namespace grpccommon
