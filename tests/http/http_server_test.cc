// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/http/http_server.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "http/raw_client.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using testing::RawClient;
using testing::RawResponse;

constexpr std::string_view kGetHello =
    "GET /hello HTTP/1.1\r\nhost: test\r\n\r\n";

// Keeps lines for a test to look at.
class Lines : public LogSink {
 public:
  void Write(std::string_view line) override {
    const std::lock_guard lock(mutex_);
    text_ += line;
  }
  void Flush() override {}
  std::string text() {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  std::mutex mutex_;
  std::string text_;
};

class HttpServerTest : public ::testing::Test {
 protected:
  using Writer = std::shared_ptr<ResponseWriter>;

  HttpServerTest() {
    Get("/hello", [](HttpRequest, Writer writer) {
      writer->Send(TextResponse("hello"));
    });
    Add("POST", "/echo", [](HttpRequest request, Writer writer) {
      writer->Send(TextResponse(std::move(request.body)));
    });
    // Hands its writer to the test.
    Get("/hold", [this](HttpRequest, Writer writer) {
      held_.set_value(std::move(writer));
    });
  }

  void Get(std::string_view pattern, HttpHandler handler) {
    Add("GET", pattern, std::move(handler));
  }
  void Add(std::string_view method, std::string_view pattern,
           HttpHandler handler) {
    ASSERT_TRUE(router_.Add(method, pattern, std::move(handler)).ok());
  }

  // A server that listens and accepts nothing yet.
  void Create(HttpServerOptions options = {}) {
    options.address = "127.0.0.1:0";
    options.logger = Logger(lines_, "test");
    auto server = HttpServer::Create(options, std::move(router_));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  void Start(const HttpServerOptions& options = {}) {
    ASSERT_NO_FATAL_FAILURE(Create(options));
    server_->Start();
  }

  int port() const { return server_->port(); }

  // Sends one thing on a connection of its own, and reads the answer.
  RawResponse Ask(std::string_view bytes) {
    RawClient client(port());
    client.Send(bytes);
    return client.ReadResponse(bytes.starts_with("HEAD"));
  }

  // Opens /hold and returns its writer.
  Writer Hold(
      RawClient& client,
      std::string_view request = "GET /hold HTTP/1.1\r\nhost: test\r\n\r\n") {
    held_ = std::promise<Writer>();
    std::future<Writer> writer = held_.get_future();
    client.Send(request);
    return writer.get();
  }

  static absl::Status WriteAndWait(ResponseWriter& writer, std::string chunk) {
    std::promise<absl::Status> written;
    writer.Write(std::move(chunk), [&written](absl::Status status) {
      written.set_value(std::move(status));
    });
    return written.get_future().get();
  }

  std::shared_ptr<Lines> lines_ = std::make_shared<Lines>();
  Router router_;
  std::promise<Writer> held_;
  std::unique_ptr<HttpServer> server_;
};

// Addresses.

TEST_F(HttpServerTest, NamesTheAddressOfAPortInUse) {
  Start();
  const std::string address = "127.0.0.1:" + std::to_string(port());
  const auto second = HttpServer::Create({.address = address}, Router());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(address));
}

class BadAddress : public ::testing::TestWithParam<const char*> {};

TEST_P(BadAddress, IsRefusedByName) {
  const auto server = HttpServer::Create({.address = GetParam()}, Router());
  EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(server.status().message()), HasSubstr(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(HttpServerTest, BadAddress,
                         ::testing::Values("localhost", ":80", "::1:80",
                                           "127.0.0.1:", "127.0.0.1:x",
                                           "127.0.0.1:65536", "127.0.0.1:-1",
                                           "127.0.0.1:80x", "[::1:80", "[]:80",
                                           "no.such.host.invalid:80",
                                           "192.0.2.77:0"));

TEST_F(HttpServerTest, ListensOnNamesAndOnBothFamilies) {
  for (const char* address : {"localhost:0", "[::]:0", "0.0.0.0:0"}) {
    auto server = HttpServer::Create({.address = address}, Router());
    ASSERT_TRUE(server.ok()) << server.status();
    (*server)->Start();
    RawClient client((*server)->port());
    client.Send(kGetHello);
    EXPECT_EQ(client.ReadResponse().status, 404) << address;
  }
}

TEST_F(HttpServerTest, NamesTheOptionThatIsOutOfRange) {
  const auto refused = [](HttpServerOptions options) {
    options.address = "127.0.0.1:0";
    const auto server = HttpServer::Create(options, Router());
    EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(server.status().message());
  };
  EXPECT_THAT(refused({.threads = 0}), HasSubstr("threads"));
  EXPECT_THAT(refused({.max_header_bytes = 255}),
              HasSubstr("max_header_bytes"));
  EXPECT_THAT(refused({.max_body_bytes = std::size_t{2} << 30}),
              HasSubstr("max_body_bytes"));
  EXPECT_THAT(refused({.header_timeout = 0s}), HasSubstr("header_timeout"));
  EXPECT_THAT(refused({.body_timeout = 0s}), HasSubstr("body_timeout"));
  EXPECT_THAT(refused({.idle_timeout = -1s}), HasSubstr("idle_timeout"));
  EXPECT_THAT(refused({.write_timeout = 48h}), HasSubstr("write_timeout"));
  EXPECT_THAT(refused({.max_connections = 0}), HasSubstr("max_connections"));
  EXPECT_THAT(refused({.max_requests_per_connection = 0}),
              HasSubstr("max_requests_per_connection"));
}

// Requests and answers.

TEST_F(HttpServerTest, KeepsTheConnectionForTheNextRequest) {
  Start();
  RawClient client(port());
  for (int i = 0; i < 3; ++i) {
    client.Send(kGetHello);
    const RawResponse response = client.ReadResponse();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "hello");
    EXPECT_EQ(response.headers.count("connection"), 0u);
    EXPECT_THAT(response.headers.at("date"),
                MatchesRegex("[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} "
                             "[0-9]{4} [0-9:]{8} GMT"));
  }
  EXPECT_EQ(server_->stats().requests, 3);
  EXPECT_EQ(server_->stats().connections, 1);
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInOrder) {
  Start({.threads = 2});
  RawClient client(port());
  std::string requests;
  for (int i = 0; i < 500; ++i) {
    const std::string body = std::to_string(i);
    requests += "POST /echo HTTP/1.1\r\nhost: t\r\ncontent-length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  std::thread sender([&] { client.Send(requests); });
  for (int i = 0; i < 500; ++i) {
    EXPECT_EQ(client.ReadResponse().body, std::to_string(i));
  }
  sender.join();
}

TEST_F(HttpServerTest, AnswersAllThatCameBeforeAHalfClose) {
  Start();
  RawClient client(port());
  client.Send(std::string(kGetHello) + std::string(kGetHello));
  client.HalfClose();
  EXPECT_EQ(client.ReadResponse().body, "hello");
  EXPECT_EQ(client.ReadResponse().body, "hello");
  EXPECT_TRUE(client.WaitForEnd());
}

TEST_F(HttpServerTest, ReadsARequestThatComesByteByByte) {
  Start();
  RawClient client(port());
  for (const char c : std::string_view(
           "\r\nPOST /echo HTTP/1.1\r\nhost: t\r\n"
           "transfer-encoding: chunked\r\n\r\n"
           "3;a=\"b;\tc\"\r\nabc\r\n02\r\nde\r\n0\r\nx-late: 1\r\n\r\n")) {
    client.Send({&c, 1});
  }
  EXPECT_EQ(client.ReadResponse().body, "abcde");
  client.Send(kGetHello);
  EXPECT_EQ(client.ReadResponse().body, "hello");
}

TEST_F(HttpServerTest, HandsTheHandlerAllOfTheRequest) {
  std::promise<HttpRequest> seen;
  Add("PUT", "/v1/{name}", [&](HttpRequest request, Writer writer) {
    writer->Send({});
    seen.set_value(std::move(request));
  });
  Start();
  Ask("PUT http://host/v1/a%20b?q=%41&q=2 HTTP/1.1\r\nhost: host\r\n"
      "X-Thing:  one \r\nx-thing: two\r\ncontent-length: 2\r\n\r\nok");
  const HttpRequest request = seen.get_future().get();
  EXPECT_EQ(request.method, "PUT");
  EXPECT_EQ(request.target.path, "/v1/a%20b");
  EXPECT_EQ(request.Capture("name"), "a b");
  EXPECT_EQ(request.Query("q"), "A");
  EXPECT_EQ(request.headers.Get("x-thing"), "one");
  EXPECT_EQ(request.headers.fields().size(), 4u);
  EXPECT_EQ(request.body, "ok");
  EXPECT_THAT(request.peer, MatchesRegex("127\\.0\\.0\\.1:[0-9]+"));
}

TEST_F(HttpServerTest, NeverTakesATrailerForAHeader) {
  std::promise<HttpRequest> seen;
  Add("POST", "/see", [&](HttpRequest request, Writer writer) {
    writer->Send({});
    seen.set_value(std::move(request));
  });
  Start();
  Ask("POST /see HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n"
      "0\r\nx-forwarded-user: admin\r\n\r\n");
  EXPECT_EQ(seen.get_future().get().headers.Get("x-forwarded-user"),
            std::nullopt);
}

TEST_F(HttpServerTest, AnswersHeadWithTheLengthAndNoBody) {
  Start();
  RawClient client(port());
  client.Send("HEAD /hello HTTP/1.1\r\nhost: t\r\n\r\n");
  const RawResponse head = client.ReadResponse(/*head_only=*/true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("content-length"), "5");
  client.Send(kGetHello);  // would fail if a body had come
  EXPECT_EQ(client.ReadResponse().body, "hello");
}

TEST_F(HttpServerTest, SpeaksHttp10) {
  Start();
  RawClient client(port());
  client.Send("GET /hello HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
  RawResponse response = client.ReadResponse();
  EXPECT_EQ(response.headers["connection"], "keep-alive");
  client.Send("GET /hello HTTP/1.0\r\n\r\n");
  response = client.ReadResponse();
  EXPECT_EQ(response.body, "hello");
  EXPECT_EQ(response.headers["connection"], "close");
  EXPECT_TRUE(client.WaitForEnd());
}

TEST_F(HttpServerTest, ClosesWhenTheClientAsks) {
  Start();
  RawClient client(port());
  client.Send("GET /hello HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n");
  EXPECT_EQ(client.ReadResponse().headers["connection"], "close");
  EXPECT_TRUE(client.WaitForEnd());
  EXPECT_FALSE(client.was_reset());
}

TEST_F(HttpServerTest, SaysContinueToClientsThatWaitForIt) {
  Start();
  RawClient client(port());
  client.Send(
      "POST /echo HTTP/1.1\r\nhost: t\r\ncontent-length: 4\r\n"
      "expect: 100-Continue\r\n\r\n");
  EXPECT_EQ(client.ReadHead().status, 100);
  client.Send("body");
  EXPECT_EQ(client.ReadResponse().body, "body");
  EXPECT_EQ(Ask("POST /echo HTTP/1.1\r\nhost: t\r\ncontent-length: 4\r\n"
                "expect: tea\r\n\r\nbody")
                .status,
            417);
}

TEST_F(HttpServerTest, SaysNoContinueToHttp10) {
  Start();
  RawClient client(port());
  client.Send(
      "POST /echo HTTP/1.0\r\ncontent-length: 4\r\n"
      "expect: 100-continue\r\n\r\n");
  // Behind which the one thread has seen that header.
  EXPECT_EQ(Ask(kGetHello).status, 200);
  client.Send("body");
  EXPECT_EQ(client.ReadHead().status, 200);
}

TEST_F(HttpServerTest, AnswersUnknownPathsAndMethodsAsJson) {
  Start();
  RawResponse response = Ask("GET /no HTTP/1.1\r\nhost: t\r\n\r\n");
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.headers["content-type"], "application/json");
  EXPECT_EQ(response.body,
            R"({"code":5,"message":"no such path","details":[]})");
  response = Ask("PUT /hello HTTP/1.1\r\nhost: t\r\ncontent-length: 0\r\n\r\n");
  EXPECT_EQ(response.status, 405);
  EXPECT_EQ(response.headers["allow"], "GET, HEAD, OPTIONS");
  response = Ask("OPTIONS /echo HTTP/1.1\r\nhost: t\r\n\r\n");
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(response.headers["allow"], "OPTIONS, POST");
  EXPECT_EQ(response.headers.count("content-length"), 0u);
  EXPECT_EQ(Ask("OPTIONS * HTTP/1.1\r\nhost: t\r\n\r\n").status, 204);
  response = Ask("OPTIONS /no HTTP/1.1\r\nhost: t\r\n\r\n");
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.headers.count("allow"), 0u);
}

TEST_F(HttpServerTest, AnswersABadTargetAndGoesOn) {
  Start();
  RawClient client(port());
  for (const char* target : {"/%zz", "/../etc/passwd", "/a%00", "/hello?a=%"}) {
    client.Send("GET " + std::string(target) + " HTTP/1.1\r\nhost: t\r\n\r\n");
    EXPECT_EQ(client.ReadResponse().status, 400) << target;
  }
  client.Send(kGetHello);
  EXPECT_EQ(client.ReadResponse().status, 200);
}

TEST_F(HttpServerTest, AnswersAreWholeHoweverLarge) {
  const std::string large(8 << 20, 'x');
  Get("/large",
      [&](HttpRequest, Writer writer) { writer->Send(TextResponse(large)); });
  Start();
  EXPECT_EQ(Ask("GET /large HTTP/1.1\r\nhost: t\r\n\r\n").body, large);
}

TEST_F(HttpServerTest, ClosesAfterTheLastRequestOfAConnection) {
  Start({.max_requests_per_connection = 2});
  RawClient client(port());
  client.Send(kGetHello);
  EXPECT_EQ(client.ReadResponse().headers.count("connection"), 0u);
  client.Send(kGetHello);
  EXPECT_EQ(client.ReadResponse().headers["connection"], "close");
  EXPECT_TRUE(client.WaitForEnd());
}

// Refusals.

struct Attack {
  std::string request;
  int status;
};

class HttpAttack : public HttpServerTest,
                   public ::testing::WithParamInterface<Attack> {};

TEST_P(HttpAttack, IsRefusedAndTheConnectionClosed) {
  Start({.max_header_bytes = 1024, .max_body_bytes = 100});
  RawClient client(port());
  client.Send(GetParam().request);
  // What follows must not be taken for a request.
  client.Send(kGetHello);
  RawResponse response = client.ReadResponse();
  EXPECT_EQ(response.status, GetParam().status);
  EXPECT_EQ(response.headers["connection"], "close");
  EXPECT_THAT(response.body, HasSubstr(R"("details":[])"));
  EXPECT_EQ(client.ReadResponse().status, 0);
  EXPECT_FALSE(client.was_reset());
}

std::string Post(std::string_view headers, std::string_view body) {
  return "POST /echo HTTP/1.1\r\nhost: t\r\n" + std::string(headers) +
         "\r\n\r\n" + std::string(body);
}

std::string ManyHeaders(int count) {
  std::string request = "GET /hello HTTP/1.1\r\nhost: t\r\n";
  for (int i = 0; i < count; ++i) request += "a:\r\n";
  return request + "\r\n";
}

INSTANTIATE_TEST_SUITE_P(
    Smuggling, HttpAttack,
    ::testing::Values(
        Attack{Post("content-length: 4\r\ntransfer-encoding: chunked",
                    "0\r\n\r\n"),
               400},
        Attack{Post("transfer-encoding: chunked\r\ncontent-length: 4",
                    "0\r\n\r\n"),
               400},
        Attack{Post("content-length: 4\r\ncontent-length: 4", "abcd"), 400},
        Attack{Post("content-length: 4\r\ncontent-length: 5", "abcd"), 400},
        Attack{Post("content-length: 4, 5", "abcd"), 400},
        Attack{Post("content-length: 4, 4", "abcd"), 400},
        Attack{Post("content-length: -1", ""), 400},
        Attack{Post("content-length: +4", "abcd"), 400},
        Attack{Post("content-length: 0x4", "abcd"), 400},
        Attack{Post("content-length: 99999999999999999999", ""), 400},
        Attack{Post("transfer-encoding: identity", ""), 400},
        Attack{Post("transfer-encoding: gzip, chunked", "0\r\n\r\n"), 400},
        Attack{Post("transfer-encoding: chunked, identity", ""), 400},
        Attack{Post("transfer-encoding: xchunked", ""), 400},
        Attack{Post("transfer-encoding: chunked\r\n"
                    "transfer-encoding: chunked",
                    "0\r\n\r\n"),
               400},
        Attack{Post("transfer-encoding: chunked\r\n"
                    "transfer-encoding: identity",
                    "0\r\n\r\n"),
               400},
        Attack{Post("transfer-encoding : chunked", "0\r\n\r\n"), 400},
        Attack{"POST /echo HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n"
               "0\r\n\r\n",
               400},
        Attack{Post("transfer-encoding: chunked",
                    "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"),
               400},
        Attack{Post("transfer-encoding: chunked",
                    "5;a=\"\\\n\"\r\nhello\r\n0\r\n\r\n"),
               400},
        Attack{Post("transfer-encoding: chunked",
                    "5\r\nhello\r\n0;a=\"\n\"\r\n\r\n"),
               400},
        Attack{Post("transfer-encoding: chunked",
                    "5;a=\"\0\"\r\nhello\r\n0\r\n\r\n"s),
               400},
        Attack{Post("transfer-encoding: chunked",
                    "5;a=\"\x7f\"\r\nhello\r\n0\r\n\r\n"),
               400}));

INSTANTIATE_TEST_SUITE_P(
    Malformed, HttpAttack,
    ::testing::Values(
        Attack{"GET /hello HTTP/1.1\r\n\r\n", 400},  // no host
        Attack{"GET /hello HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400},
        Attack{"nonsense\r\n\r\n", 400},
        Attack{"GET  /hello HTTP/1.1\r\nhost: t\r\n\r\n", 400},
        Attack{"GET /hello\r\n\r\n", 400},
        Attack{"GET /hel\x01lo HTTP/1.1\r\nhost: t\r\n\r\n", 400},
        Attack{"GET /hello HTTP/1.1\r\nhost: t\r\na: b\0c\r\n\r\n"s, 400},
        Attack{"GET /hello HTTP/1.1\r\nhost: t\r\na b: c\r\n\r\n", 400},
        Attack{"GET /hello HTTP/1.1\r\nhost: t\r\n: c\r\n\r\n", 400},
        Attack{"GET /hello HTTP/2.0\r\nhost: t\r\n\r\n", 505},
        Attack{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        Attack{Post("transfer-encoding: chunked", "x\r\n"), 400},
        Attack{Post("transfer-encoding: chunked", "-1\r\n\r\n"), 400},
        Attack{Post("transfer-encoding: chunked", "1\r\nabc\r\n"), 400},
        Attack{Post("transfer-encoding: chunked", "fffffffffffffffff\r\n\r\n"),
               400},
        Attack{std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\r\n", 12),
               400}));  // a TLS client

INSTANTIATE_TEST_SUITE_P(
    Oversized, HttpAttack,
    ::testing::Values(
        Attack{"GET /hello HTTP/1.1\r\nhost: t\r\na: " +
                   std::string(2000, 'a') + "\r\n\r\n",
               431},
        Attack{
            "GET /" + std::string(2000, 'a') + " HTTP/1.1\r\nhost: t\r\n\r\n",
            431},
        Attack{"GET /" + std::string(600, 'a') + " HTTP/1.1\r\nhost: t\r\na: " +
                   std::string(600, 'a') + "\r\n\r\n",
               431},
        Attack{ManyHeaders(150), 431},
        Attack{Post("content-length: 101", ""), 413},
        Attack{Post("content-length: 99999999999", ""), 413},
        Attack{Post("transfer-encoding: chunked", "65\r\n"), 413},
        Attack{Post("transfer-encoding: chunked",
                    "40\r\n" + std::string(64, 'a') + "\r\n40\r\n"),
               413},
        Attack{
            Post("transfer-encoding: chunked", "1;" + std::string(70000, 'a')),
            431},
        Attack{Post("transfer-encoding: chunked",
                    "0\r\na: " + std::string(70000, 'a')),
               431}));

TEST_F(HttpServerTest, BoundsTheExtensionsOfAllChunksTogether) {
  Start({.max_header_bytes = 1024});
  std::string body;
  for (int i = 0; i < 20; ++i) {
    body += "1;" + std::string(100, 'a') + "\r\nx\r\n";
  }
  EXPECT_EQ(Ask(Post("transfer-encoding: chunked", body + "0\r\n\r\n")).status,
            431);
}

TEST_F(HttpServerTest, TakesABodyOfExactlyTheLimit) {
  Start({.max_body_bytes = 100});
  const std::string body(100, 'a');
  EXPECT_EQ(Ask(Post("content-length: 100", body)).body, body);
  EXPECT_EQ(
      Ask(Post("transfer-encoding: chunked", "64\r\n" + body + "\r\n0\r\n\r\n"))
          .body,
      body);
}

TEST_F(HttpServerTest, AnswersAHeaderThatDoesNotEndInTimeWith408) {
  Start({.header_timeout = 50ms});
  RawClient client(port());
  client.Send("GET /hello HTTP/1.1\r\nhost: t\r\n");
  EXPECT_EQ(client.ReadResponse().status, 408);
  EXPECT_TRUE(client.WaitForEnd());
}

TEST_F(HttpServerTest, ADripOfBytesDoesNotMoveTheHeaderTimeout) {
  Start({.header_timeout = 100ms});
  RawClient client(port());
  std::atomic<bool> answered = false;
  std::thread drip([&] {
    client.Send("GET /hello HTTP/1.1\r\nhost: t\r\n");
    while (!answered && client.Send("a: b\r\n")) {
      std::this_thread::sleep_for(1ms);  // the attack itself
    }
  });
  EXPECT_EQ(client.ReadResponse().status, 408);
  answered = true;
  drip.join();
}

TEST_F(HttpServerTest, AnswersABodyThatDoesNotEndInTimeWith408) {
  Start({.body_timeout = 50ms});
  RawClient client(port());
  client.Send(Post("content-length: 10", "abc"));
  EXPECT_EQ(client.ReadResponse().status, 408);
  EXPECT_TRUE(client.WaitForEnd());
}

TEST_F(HttpServerTest, ClosesAConnectionThatStaysIdle) {
  Start({.idle_timeout = 50ms});
  RawClient fresh(port());
  EXPECT_TRUE(fresh.WaitForEnd());
  RawClient used(port());
  used.Send(kGetHello);
  EXPECT_EQ(used.ReadResponse().status, 200);
  EXPECT_TRUE(used.WaitForEnd());
}

TEST_F(HttpServerTest, AnIdleTimeoutDoesNotHitAHandlerThatTakesLonger) {
  Start({.header_timeout = 20ms, .body_timeout = 20ms, .idle_timeout = 20ms});
  RawClient client(port());
  const Writer writer = Hold(client);
  RawClient idle(port());
  EXPECT_TRUE(idle.WaitForEnd());  // at least the idle time-out has passed
  writer->Send(TextResponse("late"));
  EXPECT_EQ(client.ReadResponse().body, "late");
}

TEST_F(HttpServerTest, DropsAClientThatTakesNothing) {
  Start({.write_timeout = 50ms});
  RawClient client(port(), /*receive_buffer=*/4096);
  const Writer writer = Hold(client);
  std::promise<void> gone;
  writer->OnDisconnect([&] { gone.set_value(); });
  writer->Start({});
  EXPECT_EQ(WriteAndWait(*writer, std::string(64 << 20, 'x')).code(),
            absl::StatusCode::kDeadlineExceeded);
  gone.get_future().get();
}

TEST_F(HttpServerTest, AnswersConnectionsOverTheLimitWith503) {
  Start({.max_connections = 1});
  auto first = std::make_unique<RawClient>(port());
  first->Send(kGetHello);
  EXPECT_EQ(first->ReadResponse().status, 200);
  RawClient second(port());
  second.Send(kGetHello);
  const RawResponse refused = second.ReadResponse();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.headers.at("connection"), "close");
  EXPECT_TRUE(second.WaitForEnd());
  EXPECT_EQ(server_->stats().refused_connections, 1);

  // The first one still works, and its place is free once it has gone.
  first->Send("GET /hello HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n");
  EXPECT_EQ(first->ReadResponse().status, 200);
  EXPECT_TRUE(first->WaitForEnd());
  first.reset();
  while (server_->stats().connections > 0) std::this_thread::yield();
  EXPECT_EQ(Ask(kGetHello).status, 200);
}

TEST_F(HttpServerTest, SurvivesAFloodOfConnectionsOverTheLimit) {
  Start({.max_connections = 1});
  std::vector<std::unique_ptr<RawClient>> flood;
  for (int i = 0; i < 200; ++i) {
    flood.push_back(std::make_unique<RawClient>(port()));
  }
  while (server_->stats().refused_connections < 199) std::this_thread::yield();
  flood.clear();
  while (server_->stats().connections > 0) std::this_thread::yield();
  EXPECT_EQ(Ask(kGetHello).status, 200);
}

TEST_F(HttpServerTest, AcceptsAgainWhenFileDescriptorsAreFree) {
  Create();
  RawClient client(port());
  client.Send(kGetHello);
  rlimit before = {};
  getrlimit(RLIMIT_NOFILE, &before);
  const int next_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  close(next_fd);
  // Before the server's threads run: what they open for a moment, or a
  // sanitizer does in them, would move the limit.
  const rlimit tight = {static_cast<rlim_t>(next_fd), before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &tight);
  server_->Start();
  while (lines_->text().find("accept failed") == std::string::npos) {
    std::this_thread::yield();
  }
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(client.ReadResponse().status, 200);
}

// Answers of handlers.

TEST_F(HttpServerTest, RefusesToSendAHeaderThatWouldForgeAnother) {
  Get("/forge", [](HttpRequest, Writer writer) {
    writer->Send({.headers = {{"x-a", "b\r\nset-cookie: evil=1"}}});
  });
  Get("/forge_name", [](HttpRequest, Writer writer) {
    writer->Send({.headers = {{"x-a: b\r\nset-cookie", "evil=1"}}});
  });
  Get("/forge_stream", [](HttpRequest, Writer writer) {
    writer->Start({.headers = {{"x-a", "b\nset-cookie: evil=1"}}});
    writer->Write("evil", nullptr);
    writer->End();
  });
  Get("/status",
      [](HttpRequest, Writer writer) { writer->Send({.status = 99}); });
  Start();
  for (const char* path :
       {"/forge", "/forge_name", "/forge_stream", "/status"}) {
    RawClient client(port());
    client.Send("GET " + std::string(path) + " HTTP/1.1\r\nhost: t\r\n\r\n");
    const RawResponse response = client.ReadResponse();
    EXPECT_EQ(response.status, 500) << path;
    EXPECT_EQ(response.headers.count("set-cookie"), 0u) << path;
    EXPECT_THAT(response.body, Not(HasSubstr("evil"))) << path;
    client.Send(kGetHello);  // the framing is whole
    EXPECT_EQ(client.ReadResponse().body, "hello") << path;
  }
  EXPECT_THAT(lines_->text(), HasSubstr("may not be sent"));
}

TEST_F(HttpServerTest, TheFramingIsTheServersOwn) {
  Get("/own", [](HttpRequest, Writer writer) {
    writer->Send({.headers = {{"Content-Length", "99"},
                              {"transfer-encoding", "chunked"},
                              {"connection", "close"},
                              {"x-kept", "1"}},
                  .body = "abc"});
  });
  Start();
  RawClient client(port());
  client.Send("GET /own HTTP/1.1\r\nhost: t\r\n\r\n");
  RawResponse response = client.ReadResponse();
  EXPECT_EQ(response.body, "abc");
  EXPECT_EQ(response.headers["content-length"], "3");
  EXPECT_EQ(response.headers.count("transfer-encoding"), 0u);
  EXPECT_EQ(response.headers.count("connection"), 0u);
  EXPECT_EQ(response.headers["x-kept"], "1");
}

TEST_F(HttpServerTest, AnExceptionBecomesA500ThatDoesNotTellItsText) {
  Get("/throw/{what}", [](HttpRequest request, Writer writer) {
    if (request.Capture("what") == "int") throw 7;
    if (request.Capture("what") == "after") writer->Send(TextResponse("sent"));
    throw std::runtime_error("secret inside");
  });
  Start();
  RawClient client(port());
  for (const char* what : {"exception", "int"}) {
    client.Send("GET /throw/" + std::string(what) +
                " HTTP/1.1\r\nhost: t\r\n\r\n");
    const RawResponse response = client.ReadResponse();
    EXPECT_EQ(response.status, 500);
    EXPECT_THAT(response.body, Not(HasSubstr("secret")));
  }
  client.Send("GET /throw/after HTTP/1.1\r\nhost: t\r\n\r\n");
  EXPECT_EQ(client.ReadResponse().body, "sent");
  EXPECT_THAT(lines_->text(), HasSubstr("secret inside"));
  EXPECT_THAT(lines_->text(), HasSubstr("/throw/{what}"));
}

TEST_F(HttpServerTest, AForgottenAnswerIsA500) {
  Start();
  RawClient client(port());
  Hold(client).reset();
  EXPECT_EQ(client.ReadResponse().status, 500);
  client.Send(kGetHello);
  EXPECT_EQ(client.ReadResponse().status, 200);
}

TEST_F(HttpServerTest, OnlyTheFirstAnswerCounts) {
  Start();
  RawClient client(port());
  const Writer writer = Hold(client);
  writer->Send(TextResponse("first"));
  writer->Send(TextResponse("second"));
  writer->Start({});
  EXPECT_EQ(WriteAndWait(*writer, "third").code(),
            absl::StatusCode::kFailedPrecondition);
  writer->End();
  EXPECT_EQ(client.ReadResponse().body, "first");
  // An old writer does not answer a later request.
  const Writer next = Hold(client);
  writer->Send(TextResponse("stale"));
  next->Send(TextResponse("next"));
  EXPECT_EQ(client.ReadResponse().body, "next");
}

TEST_F(HttpServerTest, StreamsChunksAsTheyAreWritten) {
  Start();
  RawClient client(port());
  const Writer writer = Hold(client);
  writer->Start(
      {.headers = {{"content-type", "text/event-stream"}}, .body = "zero"});
  RawResponse head = client.ReadHead();
  EXPECT_EQ(head.headers["transfer-encoding"], "chunked");
  std::string chunk;
  ASSERT_TRUE(client.ReadChunk(chunk));
  EXPECT_EQ(chunk, "zero");
  EXPECT_TRUE(WriteAndWait(*writer, "one").ok());
  ASSERT_TRUE(client.ReadChunk(chunk));
  EXPECT_EQ(chunk, "one");
  EXPECT_TRUE(WriteAndWait(*writer, "").ok());  // not the end
  EXPECT_TRUE(WriteAndWait(*writer, std::string(100000, 'x')).ok());
  ASSERT_TRUE(client.ReadChunk(chunk));
  EXPECT_EQ(chunk.size(), 100000u);
  writer->End();
  ASSERT_TRUE(client.ReadChunk(chunk));
  EXPECT_EQ(chunk, "");
  client.Send(kGetHello);
  EXPECT_EQ(client.ReadResponse().body, "hello");
}

TEST_F(HttpServerTest, EndMayFollowAWriteThatIsOnItsWay) {
  Start();
  RawClient client(port());
  const Writer writer = Hold(client);
  writer->Start({});
  writer->Write("last", nullptr);
  writer->End();
  const RawResponse response = client.ReadResponse();
  EXPECT_EQ(response.body, "last");
  EXPECT_TRUE(response.complete);
}

TEST_F(HttpServerTest, AStreamToHttp10EndsWithTheConnection) {
  Start();
  RawClient client(port());
  const Writer writer =
      Hold(client, "GET /hold HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
  writer->Start({.body = "a"});
  EXPECT_TRUE(WriteAndWait(*writer, "b").ok());
  writer->End();
  const RawResponse response = client.ReadResponse();
  EXPECT_EQ(response.headers.count("transfer-encoding"), 0u);
  EXPECT_EQ(response.body, "ab");
  EXPECT_TRUE(response.complete);
}

TEST_F(HttpServerTest, AStreamThatMayHaveNoBodyEndsWithItsHead) {
  Start();
  RawClient client(port());
  for (const auto& [method, status] :
       {std::pair("HEAD", 200), std::pair("GET", 204), std::pair("GET", 304)}) {
    const Writer writer = Hold(
        client, std::string(method) + " /hold HTTP/1.1\r\nhost: t\r\n\r\n");
    std::promise<void> before;
    writer->OnDisconnect([&before] { before.set_value(); });
    writer->Start({.status = status, .body = "a"});
    EXPECT_EQ(client.ReadResponse(/*head_only=*/true).status, status);
    // Who works for it is to stop.
    before.get_future().wait();
    std::promise<void> after;
    writer->OnDisconnect([&after] { after.set_value(); });
    after.get_future().wait();
    // However long the handler would go on.
    client.Send(kGetHello);
    EXPECT_EQ(client.ReadResponse().body, "hello") << status;
    EXPECT_EQ(WriteAndWait(*writer, "b").code(),
              absl::StatusCode::kFailedPrecondition);
    writer->End();
  }
}

TEST_F(HttpServerTest, RefusesToWriteToHeadWithinItsHandlerToo) {
  std::promise<absl::Status> written;
  Get("/stream", [&](HttpRequest, Writer writer) {
    writer->Start({.body = "a"});
    writer->Write("b", [&written](absl::Status status) {
      written.set_value(std::move(status));
    });
    writer->End();
  });
  Start();
  RawClient client(port());
  client.Send("HEAD /stream HTTP/1.1\r\nhost: t\r\n\r\n");
  EXPECT_EQ(client.ReadResponse(/*head_only=*/true).status, 200);
  EXPECT_EQ(written.get_future().get().code(),
            absl::StatusCode::kFailedPrecondition);
  client.Send(kGetHello);
  EXPECT_EQ(client.ReadResponse().body, "hello");
}

TEST_F(HttpServerTest, NeverCallsDoneWithinItsWrite) {
  constexpr int kWrites = 6;
  // All on the one I/O thread, where a call reaches the connection at once.
  bool writing = false;
  int nested = 0;
  int done = 0;
  std::promise<void> all_done;
  Get("/stream", [&](HttpRequest, Writer writer) {
    const auto write = [&](std::string chunk) {
      writing = true;
      writer->Write(std::move(chunk), [&, writer](absl::Status) {
        if (writing) ++nested;
        if (++done == kWrites) all_done.set_value();
      });
      writing = false;
    };
    write("before the start");
    writer->Start({});
    write("");
    write("sent");
    write("while another is on its way");
    writer->End();
    write("after the end");
    write("");
  });
  Start();
  for (const char* method : {"GET", "HEAD"}) {
    done = 0;
    all_done = std::promise<void>();
    std::future<void> finished = all_done.get_future();
    RawClient client(port());
    client.Send(std::string(method) + " /stream HTTP/1.1\r\nhost: t\r\n\r\n");
    finished.get();
    EXPECT_EQ(nested, 0) << method;
  }
}

TEST_F(HttpServerTest, RefusesASecondChunkWhileOneIsOnItsWay) {
  Start();
  RawClient client(port(), /*receive_buffer=*/4096);
  const Writer writer = Hold(client);
  EXPECT_EQ(WriteAndWait(*writer, "early").code(),
            absl::StatusCode::kFailedPrecondition);
  writer->Start({});
  const std::string large(32 << 20, 'x');
  std::promise<absl::Status> first;
  writer->Write(large, [&](absl::Status status) { first.set_value(status); });
  // The client takes nothing yet, so the first one cannot be done.
  EXPECT_EQ(WriteAndWait(*writer, "second").code(),
            absl::StatusCode::kFailedPrecondition);
  writer->End();
  EXPECT_EQ(client.ReadResponse().body, large);
  EXPECT_TRUE(first.get_future().get().ok());
}

TEST_F(HttpServerTest, AStreamThatIsDroppedHalfWayIsReset) {
  Start();
  RawClient client(port());
  Writer writer = Hold(client);
  writer->Start({});
  EXPECT_TRUE(WriteAndWait(*writer, "half").ok());
  writer.reset();
  EXPECT_FALSE(client.ReadResponse().complete);
  EXPECT_TRUE(client.was_reset());
}

TEST_F(HttpServerTest, SignalsAClientThatGoes) {
  Start();
  for (const bool reset : {false, true}) {
    RawClient client(port());
    const Writer writer = Hold(client);
    std::promise<void> gone;
    writer->OnDisconnect([&] { gone.set_value(); });
    if (reset) {
      client.Reset();
    } else {
      client.Close();
    }
    gone.get_future().get();
    writer->Start({});
    // The first bytes may still go into the void; then the reset is seen.
    absl::Status written;
    while (written.ok()) written = WriteAndWait(*writer, "x");
    EXPECT_EQ(written.code(), absl::StatusCode::kUnavailable);
    bool called = false;
    writer->OnDisconnect([&] { called = true; });
    EXPECT_TRUE(called);
  }
}

TEST_F(HttpServerTest, SignalsNothingOnceTheAnswerIsOut) {
  std::atomic<int> signals = 0;
  Get("/quick", [&](HttpRequest, Writer writer) {
    writer->OnDisconnect([&] { ++signals; });
    writer->Send(TextResponse("quick"));
  });
  Start();
  for (int i = 0; i < 20; ++i) {
    RawClient client(port());
    client.Send("GET /quick HTTP/1.1\r\nhost: t\r\n\r\n");
    EXPECT_EQ(client.ReadResponse().body, "quick");
  }
  while (server_->stats().connections > 0) std::this_thread::yield();
  EXPECT_EQ(signals, 0);
}

TEST_F(HttpServerTest, AnswersFromManyThreadsAtOnce) {
  Get("/thread/{n}", [](HttpRequest request, Writer writer) {
    std::thread([n = std::string(request.Capture("n")),
                 writer = std::move(writer)] {
      writer->Start({});
      writer->Write(n, [writer](absl::Status) { writer->End(); });
    }).detach();
  });
  Start({.threads = 3});
  std::vector<std::thread> clients;
  std::atomic<int> right = 0;
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&, c] {
      RawClient client(port());
      for (int i = 0; i < 50; ++i) {
        const std::string n = std::to_string(c * 1000 + i);
        client.Send("GET /thread/" + n + " HTTP/1.1\r\nhost: t\r\n\r\n");
        if (client.ReadResponse().body == n) ++right;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(right, 400);
}

TEST_F(HttpServerTest, WhatIsAnsweredLastIsNotTakenForNoAnswer) {
  std::promise<void> blocked;
  std::promise<void> release;
  Get("/block", [&](HttpRequest, Writer writer) {
    blocked.set_value();
    release.get_future().wait();
    writer->Send({});
  });
  Start({.threads = 1});
  RawClient whole(port());
  RawClient stream(port());
  Writer sends = Hold(whole);
  Writer streams = Hold(stream);
  RawClient blocker(port());
  blocker.Send("GET /block HTTP/1.1\r\nhost: t\r\n\r\n");
  blocked.get_future().wait();
  // All of it waits, and with it nobody but the connection has the writer.
  sends->OnDisconnect([] {});
  sends->Send(TextResponse("whole"));
  sends.reset();
  streams->Start({});
  streams->Write("chunk", nullptr);
  streams->End();
  streams.reset();
  release.set_value();
  EXPECT_EQ(whole.ReadResponse().body, "whole");
  const RawResponse streamed = stream.ReadResponse();
  EXPECT_EQ(streamed.body, "chunk");
  EXPECT_TRUE(streamed.complete);
  EXPECT_EQ(blocker.ReadResponse().status, 200);
}

TEST_F(HttpServerTest, AStreamWithoutABodySaysSoHoweverLateItIsAsked) {
  Start();
  std::vector<Writer> writers;
  {
    RawClient client(port());
    for (const char* const fields : {"", "", "connection: close\r\n"}) {
      writers.push_back(Hold(
          client,
          absl::StrCat("HEAD /hold HTTP/1.1\r\nhost: t\r\n", fields, "\r\n")));
      writers.back()->Start({});
      EXPECT_EQ(client.ReadResponse(/*head_only=*/true).status, 200);
    }
    for (int asked = 0; asked < 2; ++asked) {
      std::promise<void> told;
      writers[asked]->OnDisconnect([&told] { told.set_value(); });
      told.get_future().wait();
    }
  }
  while (server_->stats().connections > 0) std::this_thread::yield();
  int told = 0;
  for (const Writer& writer : writers) {
    writer->Start({});  // too late
    writer->OnDisconnect([&told] { ++told; });
  }
  EXPECT_EQ(told, 3);
}

// Shutdown.

TEST_F(HttpServerTest, ADrainLetsRunningRequestsFinish) {
  Start();
  RawClient idle(port());
  idle.Send(kGetHello);
  EXPECT_EQ(idle.ReadResponse().status, 200);
  RawClient busy(port());
  const Writer writer = Hold(busy);
  std::thread shutdown([&] { server_->Shutdown(SteadyClock().Now() + 60s); });
  EXPECT_TRUE(idle.WaitForEnd());  // the drain has begun
  writer->Send(TextResponse("done"));
  RawResponse response = busy.ReadResponse();
  EXPECT_EQ(response.body, "done");
  EXPECT_EQ(response.headers["connection"], "close");
  EXPECT_TRUE(busy.WaitForEnd());
  busy.Close();
  shutdown.join();
  RawClient late(port());
  EXPECT_FALSE(late.connected());
}

TEST_F(HttpServerTest, ADrainEndsAtItsDeadline) {
  Start();
  RawClient busy(port());
  const Writer writer = Hold(busy);
  std::promise<void> gone;
  writer->OnDisconnect([&] { gone.set_value(); });
  server_->Shutdown(SteadyClock().Now() + 50ms);
  EXPECT_EQ(gone.get_future().wait_for(0s), std::future_status::ready);
  EXPECT_TRUE(busy.WaitForEnd());
  EXPECT_EQ(server_->stats().connections, 0);
}

TEST_F(HttpServerTest, ASecondShutdownMayBeQuicker) {
  Start();
  RawClient busy(port());
  const Writer writer = Hold(busy);
  RawClient idle(port());
  idle.Send(kGetHello);
  EXPECT_EQ(idle.ReadResponse().status, 200);
  std::thread patient([&] { server_->Shutdown(SteadyClock().Now() + 1h); });
  EXPECT_TRUE(idle.WaitForEnd());
  server_->Shutdown(SteadyClock().Now());
  patient.join();
  EXPECT_TRUE(busy.WaitForEnd());
}

TEST_F(HttpServerTest, AWriterMayOutliveTheServer) {
  Start();
  RawClient client(port());
  Writer writer = Hold(client);
  server_.reset();
  EXPECT_EQ(WriteAndWait(*writer, "x").code(), absl::StatusCode::kUnavailable);
  bool gone = false;
  writer->OnDisconnect([&] { gone = true; });
  EXPECT_TRUE(gone);
  writer->Send({});
  writer.reset();
}

TEST_F(HttpServerTest, CanBeDestroyedWithoutHavingStarted) {
  auto server = HttpServer::Create({.address = "127.0.0.1:0"}, Router());
  ASSERT_TRUE(server.ok());
  RawClient waits((*server)->port());
  EXPECT_TRUE(waits.connected());
  server->reset();
  EXPECT_TRUE(waits.WaitForEnd());
}

TEST_F(HttpServerTest, ShutsDownUnderLoadFromAllSides) {
  for (int round = 0; round < 5; ++round) {
    Router router;
    ASSERT_TRUE(router
                    .Add("GET", "/hello",
                         [](HttpRequest, Writer writer) {
                           writer->Send(TextResponse("hello"));
                         })
                    .ok());
    auto server = HttpServer::Create({.address = "127.0.0.1:0", .threads = 2},
                                     std::move(router));
    ASSERT_TRUE(server.ok());
    (*server)->Start();
    std::atomic<bool> stop = false;
    std::vector<std::thread> clients;
    for (int c = 0; c < 4; ++c) {
      clients.emplace_back([&] {
        while (!stop) {
          RawClient client((*server)->port());
          while (client.Send(kGetHello) && client.ReadResponse().complete) {
          }
        }
      });
    }
    while ((*server)->stats().requests < 100) std::this_thread::yield();
    (*server)->Shutdown(SteadyClock().Now() + 5ms);
    EXPECT_EQ((*server)->stats().connections, 0);
    stop = true;
    for (std::thread& client : clients) client.join();
  }
}

}  // namespace
}  // namespace grpccommon
