// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/http/web_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <mutex>
#include <thread>

#include "grpccommon/http/http_server.h"
#include "http/raw_client.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using testing::RawClient;
using testing::RawResponse;

enum Opcode { kContinue = 0, kText = 1, kBinary = 2, kClose = 8, kPing, kPong };

// RFC 6455, section 5.2, from the client's side.
std::string Frame(int opcode, std::string_view payload, bool final = true,
                  bool masked = true) {
  std::string frame;
  frame += static_cast<char>((final ? 0x80 : 0) | opcode);
  const int mask_bit = masked ? 0x80 : 0;
  if (payload.size() < 126) {
    frame += static_cast<char>(mask_bit | static_cast<int>(payload.size()));
  } else {
    frame += static_cast<char>(mask_bit | 127);
    for (int shift = 56; shift >= 0; shift -= 8) {
      frame += static_cast<char>(
          static_cast<std::uint64_t>(payload.size()) >> shift & 0xff);
    }
  }
  if (!masked) return frame + std::string(payload);
  const char mask[] = {'\x37', '\xfa', '\x21', '\x3d'};
  frame.append(mask, 4);
  for (std::size_t i = 0; i < payload.size(); ++i) {
    frame += static_cast<char>(payload[i] ^ mask[i % 4]);
  }
  return frame;
}

std::string CloseFrame(int code, std::string_view reason = "") {
  std::string payload;
  payload += static_cast<char>(code >> 8);
  payload += static_cast<char>(code & 0xff);
  return Frame(kClose, payload + std::string(reason));
}

struct Received {
  int opcode = -1;  // the connection ended
  std::string payload;

  int close_code() const {
    return payload.size() < 2 ? 0
                              : static_cast<unsigned char>(payload[0]) * 256 +
                                    static_cast<unsigned char>(payload[1]);
  }
};

// One message, put together from its frames.
Received ReadMessage(RawClient& client) {
  Received message;
  while (true) {
    const std::string head = client.ReadExactly(2);
    if (head.size() < 2) return {};
    const int opcode = head[0] & 0x0f;
    if (opcode != kContinue) message.opcode = opcode;
    EXPECT_EQ(head[1] & 0x80, 0) << "servers do not mask";
    std::uint64_t size = head[1] & 0x7f;
    int more = size == 126 ? 2 : size == 127 ? 8 : 0;
    if (more > 0) {
      size = 0;
      for (const char c : client.ReadExactly(more)) {
        size = size << 8 | static_cast<unsigned char>(c);
      }
    }
    message.payload += client.ReadExactly(size);
    if (head[0] & 0x80) return message;
  }
}

constexpr std::string_view kUpgrade =
    "GET /ws HTTP/1.1\r\nhost: t\r\nconnection: keep-alive, Upgrade\r\n"
    "upgrade: WebSocket\r\nsec-websocket-version: 13\r\n"
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

class WebSocketTest : public ::testing::Test {
 protected:
  using Socket = std::shared_ptr<WebSocket>;

  void Start(HttpServerOptions options = {},
             WebSocketOptions web_socket_options = {}) {
    Router router;
    ASSERT_TRUE(
        router
            .AddWebSocket(
                "/ws",
                [this, web_socket_options](
                    HttpRequest, std::shared_ptr<WebSocketUpgrade> upgrade) {
                  upgrade->Accept(web_socket_options,
                                  [this](absl::StatusOr<Socket> socket) {
                                    accepted_.set_value(std::move(socket));
                                  });
                })
            .ok());
    ASSERT_TRUE(
        router
            .AddWebSocket(
                "/hold",
                [this](HttpRequest, std::shared_ptr<WebSocketUpgrade> upgrade) {
                  held_.set_value(std::move(upgrade));
                })
            .ok());
    ASSERT_TRUE(router
                    .Add("GET", "/hello",
                         [](HttpRequest, std::shared_ptr<ResponseWriter> out) {
                           out->Send(TextResponse("hello"));
                         })
                    .ok());
    options.address = "127.0.0.1:0";
    auto server = HttpServer::Create(options, std::move(router));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    server_->Start();
  }

  Socket Open(RawClient& client) {
    accepted_ = {};
    auto socket = accepted_.get_future();
    client.Send(kUpgrade);
    EXPECT_EQ(client.ReadHead().status, 101);
    return *socket.get();
  }

  static std::future<absl::StatusOr<WebSocketMessage>> Receive(
      WebSocket& socket) {
    auto received =
        std::make_shared<std::promise<absl::StatusOr<WebSocketMessage>>>();
    auto future = received->get_future();
    socket.Receive([received](absl::StatusOr<WebSocketMessage> message) {
      received->set_value(std::move(message));
    });
    return future;
  }

  static std::future<absl::Status> Send(WebSocket& socket, std::string data,
                                        bool binary = false) {
    auto sent = std::make_shared<std::promise<absl::Status>>();
    auto future = sent->get_future();
    socket.Send({.data = std::move(data), .binary = binary},
                [sent](absl::Status status) { sent->set_value(status); });
    return future;
  }

  int port() const { return server_->port(); }

  std::promise<absl::StatusOr<Socket>> accepted_;
  std::promise<std::shared_ptr<WebSocketUpgrade>> held_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(WebSocketTest, AnswersTheHandshakeOfTheRfc) {
  Start({}, {.subprotocol = "chat.v1"});
  RawClient client(port());
  client.Send(kUpgrade);
  RawResponse response = client.ReadHead();
  EXPECT_EQ(response.status, 101);
  EXPECT_EQ(response.headers["sec-websocket-accept"],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_EQ(response.headers["sec-websocket-protocol"], "chat.v1");
}

TEST_F(WebSocketTest, CarriesTextAndBinaryBothWays) {
  Start();
  RawClient client(port());
  const Socket socket = Open(client);
  client.Send(Frame(kText, "h\xc3\xa9llo"));
  auto message = Receive(*socket).get();
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->data, "h\xc3\xa9llo");
  EXPECT_FALSE(message->binary);

  const std::string large(200000, '\xff');
  client.Send(Frame(kBinary, large.substr(0, 100000), /*final=*/false) +
              Frame(kPing, "between") + Frame(kContinue, large.substr(100000)));
  message = Receive(*socket).get();
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->data, large);
  EXPECT_TRUE(message->binary);
  EXPECT_EQ(ReadMessage(client).opcode, kPong);

  EXPECT_TRUE(Send(*socket, "text").get().ok());
  Received received = ReadMessage(client);
  EXPECT_EQ(received.opcode, kText);
  EXPECT_EQ(received.payload, "text");
  auto sent = Send(*socket, large, /*binary=*/true);
  received = ReadMessage(client);
  EXPECT_EQ(received.opcode, kBinary);
  EXPECT_EQ(received.payload, large);
  EXPECT_TRUE(sent.get().ok());
}

TEST_F(WebSocketTest, TellsAnOrderlyCloseFromALoss) {
  Start();
  {
    RawClient client(port());
    const Socket socket = Open(client);
    auto message = Receive(*socket);
    client.Send(CloseFrame(1000, "bye"));
    const absl::Status status = message.get().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
    EXPECT_THAT(std::string(status.message()), HasSubstr("1000 bye"));
    EXPECT_EQ(ReadMessage(client).close_code(), 1000);
    EXPECT_TRUE(client.WaitForEnd());
    EXPECT_FALSE(Receive(*socket).get().ok());
    client.Close();
    while (server_->stats().connections > 0) std::this_thread::yield();
    EXPECT_EQ(Receive(*socket).get().status().code(),
              absl::StatusCode::kUnavailable);
    EXPECT_EQ(Send(*socket, "x").get().code(), absl::StatusCode::kUnavailable);
  }
  RawClient client(port());
  const Socket socket = Open(client);
  auto message = Receive(*socket);
  client.Reset();
  EXPECT_EQ(message.get().status().code(), absl::StatusCode::kUnavailable);
}

struct BadFrames {
  std::string frames;
  absl::StatusCode code;
  int close_code;
};

class WebSocketAttack : public WebSocketTest,
                        public ::testing::WithParamInterface<BadFrames> {};

TEST_P(WebSocketAttack, IsClosedWithTheRightCode) {
  Start({}, {.max_message_bytes = 100});
  RawClient client(port());
  const Socket socket = Open(client);
  auto message = Receive(*socket);
  client.Send(GetParam().frames);
  EXPECT_EQ(message.get().status().code(), GetParam().code);
  const Received received = ReadMessage(client);
  EXPECT_EQ(received.opcode, kClose);
  EXPECT_EQ(received.close_code(), GetParam().close_code);
  EXPECT_TRUE(client.WaitForEnd());
}

constexpr auto kProtocol = absl::StatusCode::kInvalidArgument;

INSTANTIATE_TEST_SUITE_P(
    WebSocketTest, WebSocketAttack,
    ::testing::Values(
        BadFrames{Frame(kText, "a", true, /*masked=*/false), kProtocol, 1002},
        BadFrames{Frame(kContinue, "a"), kProtocol, 1002},
        BadFrames{Frame(kText, "a", false) + Frame(kText, "b"), kProtocol,
                  1002},
        BadFrames{Frame(3, "a"), kProtocol, 1002},
        BadFrames{Frame(kPing, std::string(126, 'a')), kProtocol, 1002},
        BadFrames{Frame(kPing, "a", /*final=*/false), kProtocol, 1002},
        BadFrames{Frame(0x40 | kText, "a"), kProtocol, 1002},  // reserved bit
        BadFrames{Frame(kText, "\xff\xfe"), kProtocol, 1007},
        BadFrames{CloseFrame(1005), kProtocol, 1002},
        BadFrames{CloseFrame(1000, "\xff"), kProtocol, 1007},
        BadFrames{Frame(kClose, "a"), kProtocol, 1002},
        BadFrames{Frame(11, ""), kProtocol, 1002},
        // Lengths that are not in their shortest form, or negative.
        BadFrames{std::string("\x82\xfe\x00\x05mask12345", 13), kProtocol,
                  1002},
        BadFrames{std::string("\x82\xff\0\0\0\0\0\0\xff\xffmask", 14),
                  kProtocol, 1002},
        BadFrames{std::string("\x82\xff\x80\0\0\0\0\0\0\0mask", 14), kProtocol,
                  1002},
        BadFrames{Frame(kText, std::string(101, 'a')),
                  absl::StatusCode::kResourceExhausted, 1009},
        BadFrames{Frame(kText, std::string(60, 'a'), false) +
                      Frame(kContinue, std::string(60, 'a')),
                  absl::StatusCode::kResourceExhausted, 1009},
        // A length of nine exabytes, and nothing behind it.
        BadFrames{std::string("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff"
                              "abcd",
                              14),
                  absl::StatusCode::kResourceExhausted, 1009}));

TEST_F(WebSocketTest, TakesAMessageOfExactlyTheLimit) {
  Start({}, {.max_message_bytes = 100});
  RawClient client(port());
  const Socket socket = Open(client);
  client.Send(Frame(kText, std::string(100, 'a')));
  EXPECT_EQ(Receive(*socket).get()->data.size(), 100u);
}

TEST_F(WebSocketTest, ReadsFramesThatComeByteByByte) {
  Start();
  RawClient client(port());
  const Socket socket = Open(client);
  auto message = Receive(*socket);
  for (const char c : Frame(kText, "ab", /*final=*/false) + Frame(kPing, "p") +
                          Frame(kContinue, "") + Frame(kBinary, "next")) {
    client.Send({&c, 1});
  }
  EXPECT_EQ(message.get()->data, "ab");
  EXPECT_EQ(ReadMessage(client).payload, "p");
  message = Receive(*socket);
  EXPECT_EQ(message.get()->data, "next");
}

TEST_F(WebSocketTest, ReadsAheadOneMessageAndNoMore) {
  Start({}, {.max_message_bytes = 1 << 20});
  RawClient client(port());
  const Socket socket = Open(client);
  // Far more than the buffers of the system take.
  const std::string frame = Frame(kBinary, std::string(1 << 20, 'x'));
  std::atomic<int> sent = 0;
  std::thread sender([&] {
    for (int i = 0; i < 24; ++i) {
      if (client.Send(frame)) ++sent;
    }
  });
  ASSERT_TRUE(Receive(*socket).get().ok());
  EXPECT_LT(sent, 24);
  for (int i = 1; i < 24; ++i) ASSERT_TRUE(Receive(*socket).get().ok());
  sender.join();
  EXPECT_EQ(sent, 24);
}

TEST_F(WebSocketTest, AnswersPingsWhileNoReceiveWaits) {
  Start();
  RawClient client(port());
  const Socket socket = Open(client);
  client.Send(Frame(kPing, "there?"));
  const Received pong = ReadMessage(client);
  EXPECT_EQ(pong.opcode, kPong);
  EXPECT_EQ(pong.payload, "there?");
}

TEST_F(WebSocketTest, OfAFloodOfPingsOnlyTheLatestIsAnswered) {
  Start();
  RawClient client(port(), /*receive_buffer=*/4096);
  const Socket socket = Open(client);
  // No pong gets out before this.
  const std::string large(16 << 20, 'x');
  auto sent = Send(*socket, large);
  std::string pings;
  for (int i = 0; i < 2000; ++i) pings += Frame(kPing, std::to_string(i));
  client.Send(pings + Frame(kText, "all sent"));
  EXPECT_EQ(Receive(*socket).get()->data, "all sent");
  EXPECT_EQ(ReadMessage(client).payload.size(), large.size());
  const Received pong = ReadMessage(client);
  EXPECT_EQ(pong.opcode, kPong);
  EXPECT_EQ(pong.payload, "1999");
  EXPECT_TRUE(sent.get().ok());
}

TEST_F(WebSocketTest, ClosesInOrderFromTheServersSide) {
  Start();
  RawClient client(port());
  const Socket socket = Open(client);
  auto message = Receive(*socket);
  socket->Close(4321, std::string(122, 'a') + "\xc3\xa9");
  const Received received = ReadMessage(client);
  EXPECT_EQ(received.close_code(), 4321);
  EXPECT_EQ(received.payload.substr(2),
            std::string(122, 'a'));  // whole letters
  EXPECT_EQ(Send(*socket, "late").get().code(),
            absl::StatusCode::kFailedPrecondition);
  client.Send(CloseFrame(4321));
  EXPECT_EQ(message.get().status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_TRUE(client.WaitForEnd());
}

TEST_F(WebSocketTest, AfterItsOwnCloseItHearsTheClientsAndDeliversNothing) {
  Start();
  RawClient client(port());
  const Socket socket = Open(client);
  // Behind the ping, so that it waits for a Receive when the pong is here.
  client.Send(Frame(kPing, "") + Frame(kText, "unread"));
  EXPECT_EQ(ReadMessage(client).opcode, kPong);
  socket->Close(1000, "");
  EXPECT_EQ(ReadMessage(client).close_code(), 1000);
  auto message = Receive(*socket);
  client.Send(Frame(kText, "la", /*final=*/false) + Frame(kContinue, "te") +
              CloseFrame(1000, "bye"));
  const absl::Status status = message.get().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(std::string(status.message()), HasSubstr("1000 bye"));
  EXPECT_TRUE(client.WaitForEnd());
}

TEST_F(WebSocketTest, NeverSendsACloseCodeThatMayNotBeSent) {
  Start();
  for (const int code : {0, 999, 1004, 1005, 1006, 1015, 2999, 5000}) {
    RawClient client(port());
    const Socket socket = Open(client);
    socket->Close(static_cast<std::uint16_t>(code), "");
    EXPECT_EQ(ReadMessage(client).close_code(), 1011) << code;
  }
}

TEST_F(WebSocketTest, ClosesWhenTheLastReferenceGoes) {
  Start();
  RawClient client(port());
  Open(client).reset();
  EXPECT_EQ(ReadMessage(client).close_code(), 1001);
  client.Send(CloseFrame(1001));
  EXPECT_TRUE(client.WaitForEnd());
  client.Close();
  while (server_->stats().connections > 0) std::this_thread::yield();
}

TEST_F(WebSocketTest, TakesOneReceiveAndOneSendAtATime) {
  Start();
  RawClient client(port(), /*receive_buffer=*/4096);
  const Socket socket = Open(client);
  auto first = Receive(*socket);
  EXPECT_EQ(Receive(*socket).get().status().code(),
            absl::StatusCode::kFailedPrecondition);
  client.Send(Frame(kText, "one"));
  EXPECT_EQ(first.get()->data, "one");

  const std::string large(16 << 20, 'x');
  auto sent = Send(*socket, large);
  EXPECT_EQ(Send(*socket, "second").get().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReadMessage(client).payload.size(), large.size());
  EXPECT_TRUE(sent.get().ok());
}

TEST_F(WebSocketTest, DropsAClientThatTakesNothing) {
  Start({.write_timeout = 50ms});
  RawClient client(port(), /*receive_buffer=*/4096);
  const Socket socket = Open(client);
  auto message = Receive(*socket);
  EXPECT_EQ(Send(*socket, std::string(64 << 20, 'x')).get().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(message.get().status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(WebSocketTest, DropsAClientThatDoesNotAnswerPings) {
  Start({.idle_timeout = 100ms});
  RawClient client(port());
  const Socket socket = Open(client);
  auto message = Receive(*socket);
  EXPECT_EQ(ReadMessage(client).opcode, kPing);
  EXPECT_EQ(message.get().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(client.WaitForEnd());
}

TEST_F(WebSocketTest, AnAnsweredPingKeepsTheConnection) {
  Start({.idle_timeout = 600ms});
  RawClient client(port());
  const Socket socket = Open(client);
  auto message = Receive(*socket);
  for (int i = 0; i < 2; ++i) {
    const Received ping = ReadMessage(client);
    ASSERT_EQ(ping.opcode, kPing);
    client.Send(Frame(kPong, ping.payload));
  }
  client.Send(Frame(kText, "still here"));
  EXPECT_EQ(message.get()->data, "still here");
}

TEST_F(WebSocketTest, LetsAnUpgradeBeRefusedAsHttp) {
  Start();
  RawClient client(port());
  std::string upgrade(kUpgrade);
  upgrade.replace(upgrade.find("/ws"), 3, "/hold");
  client.Send(upgrade);
  auto held = held_.get_future().get();
  held->Refuse(ErrorResponse(absl::UnauthenticatedError("no token")));
  EXPECT_EQ(client.ReadResponse().status, 401);
  // Too late.
  std::promise<absl::Status> accepted;
  held->Accept({}, [&](absl::StatusOr<Socket> socket) {
    accepted.set_value(socket.status());
  });
  EXPECT_EQ(accepted.get_future().get().code(),
            absl::StatusCode::kFailedPrecondition);
  client.Send("GET /hello HTTP/1.1\r\nhost: t\r\n\r\n");
  EXPECT_EQ(client.ReadResponse().body, "hello");
}

TEST_F(WebSocketTest, AForgottenUpgradeIsA500) {
  Start();
  RawClient client(port());
  std::string upgrade(kUpgrade);
  upgrade.replace(upgrade.find("/ws"), 3, "/hold");
  client.Send(upgrade);
  held_.get_future().get().reset();
  EXPECT_EQ(client.ReadResponse().status, 500);
}

TEST_F(WebSocketTest, AsksForTheUpgradeWhereItIsMissingOrWrong) {
  Start();
  for (const char* headers :
       {"", "connection: upgrade\r\n", "upgrade: websocket\r\n",
        "connection: upgrade\r\nupgrade: h2c\r\n",
        "connection: upgrade\r\nupgrade: websocket\r\n"
        "sec-websocket-version: 8\r\nsec-websocket-key: a\r\n",
        "connection: upgrade\r\nupgrade: websocket\r\n"
        "sec-websocket-version: 13\r\n"}) {
    RawClient client(port());
    client.Send("GET /ws HTTP/1.1\r\nhost: t\r\n" + std::string(headers) +
                "\r\n");
    RawResponse response = client.ReadResponse();
    EXPECT_EQ(response.status, 426) << headers;
    EXPECT_EQ(response.headers["upgrade"], "websocket");
    EXPECT_EQ(response.headers["sec-websocket-version"], "13");
  }
}

TEST_F(WebSocketTest, RefusesAKeyThatIsNone) {
  Start();
  RawClient client(port());
  std::string upgrade(kUpgrade);
  upgrade.replace(upgrade.find("dGhl"), 24, "short");
  client.Send(upgrade);
  EXPECT_EQ(client.ReadResponse().status, 400);
  EXPECT_FALSE(accepted_.get_future().get().ok());
}

TEST_F(WebSocketTest, RefusesASubprotocolThatWouldForgeAHeader) {
  Start({}, {.subprotocol = "chat\r\nset-cookie: a=b"});
  RawClient client(port());
  client.Send(kUpgrade);
  RawResponse response = client.ReadResponse();
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(response.headers.count("set-cookie"), 0u);
  EXPECT_EQ(accepted_.get_future().get().status().code(),
            absl::StatusCode::kInternal);
}

TEST_F(WebSocketTest, RefusesFramesBeforeTheHandshakeIsAnswered) {
  Start();
  RawClient client(port());
  client.Send(std::string(kUpgrade) + Frame(kText, "early"));
  EXPECT_EQ(client.ReadResponse().status, 400);
  EXPECT_EQ(accepted_.get_future().get().status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(WebSocketTest, ADrainSaysGoodbye) {
  Start();
  RawClient client(port());
  const Socket socket = Open(client);
  auto message = Receive(*socket);
  std::thread shutdown([&] { server_->Shutdown(SteadyClock().Now() + 60s); });
  EXPECT_EQ(ReadMessage(client).close_code(), 1001);
  client.Send(CloseFrame(1001));
  EXPECT_TRUE(client.WaitForEnd());
  client.Close();
  EXPECT_FALSE(message.get().ok());
  shutdown.join();
}

TEST_F(WebSocketTest, ADrainRefusesAnUpgradeThatStillWaits) {
  Start();
  RawClient idle(port());
  idle.Send("GET /hello HTTP/1.1\r\nhost: t\r\n\r\n");
  EXPECT_EQ(idle.ReadResponse().status, 200);
  RawClient client(port());
  std::string upgrade(kUpgrade);
  upgrade.replace(upgrade.find("/ws"), 3, "/hold");
  client.Send(upgrade);
  const auto held = held_.get_future().get();
  std::thread shutdown([&] { server_->Shutdown(SteadyClock().Now() + 60s); });
  EXPECT_TRUE(idle.WaitForEnd());  // the drain has begun
  std::promise<absl::Status> accepted;
  held->Accept({}, [&](absl::StatusOr<Socket> socket) {
    accepted.set_value(socket.status());
  });
  EXPECT_EQ(accepted.get_future().get().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(client.ReadResponse().status, 503);
  EXPECT_TRUE(client.WaitForEnd());
  client.Close();
  shutdown.join();
}

TEST_F(WebSocketTest, ADrainDoesNotWaitForAClientThatDoesNotAnswer) {
  Start();
  RawClient client(port());
  const Socket socket = Open(client);
  auto message = Receive(*socket);
  server_->Shutdown(SteadyClock().Now() + 50ms);
  EXPECT_EQ(message.get().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(server_->stats().connections, 0);
}

TEST_F(WebSocketTest, MayOutliveTheServer) {
  Start();
  RawClient client(port());
  const Socket socket = Open(client);
  server_.reset();
  EXPECT_EQ(Receive(*socket).get().status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(Send(*socket, "x").get().code(), absl::StatusCode::kUnavailable);
  socket->Close(1000, "");
}

TEST_F(WebSocketTest, EchoesFromManyThreads) {
  Start({.threads = 3});
  std::vector<std::thread> clients;
  std::mutex opening;
  std::atomic<int> right = 0;
  for (int c = 0; c < 6; ++c) {
    clients.emplace_back([&, c] {
      RawClient client(port());
      Socket socket;
      {
        const std::lock_guard lock(opening);
        socket = Open(client);
      }
      for (int i = 0; i < 50; ++i) {
        const std::string text = std::to_string(c * 100 + i);
        auto received = Receive(*socket);
        client.Send(Frame(kText, text));
        auto sent = Send(*socket, received.get()->data);
        if (ReadMessage(client).payload == text && sent.get().ok()) ++right;
      }
      auto end = Receive(*socket);
      client.Send(CloseFrame(1000));
      EXPECT_EQ(end.get().status().code(), absl::StatusCode::kOutOfRange);
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(right, 300);
}

}  // namespace
}  // namespace grpccommon
