// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/buffers_suffix.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "grpccommon/http/web_socket.h"
#include "http/session.h"

namespace grpccommon::internal {

// True for the base64 of 16 bytes.
bool IsWebSocketKey(std::string_view key);

// One WebSocket connection: frames, messages and the closing handshake of
// RFC 6455. The application holds it by a handle.
//
// It reads ahead until one message waits for its Receive, so that pings are
// answered and a client that goes is seen while the application is busy.
class WebSocketSession : public Session {
 public:
  using Accepted =
      std::function<void(absl::StatusOr<std::shared_ptr<WebSocket>>)>;
  using Received = std::function<void(absl::StatusOr<WebSocketMessage>)>;
  using Sent = std::function<void(absl::Status)>;

  // On the strand that the socket came with.
  WebSocketSession(std::shared_ptr<HttpCore> core, Socket socket,
                   WebSocketOptions web_socket_options);

  // Answers the handshake. Requires IsWebSocketKey(key).
  void Accept(std::string_view key, Accepted done);
  void Drain() override;
  void Abort() override;

  // By Run.
  void Receive(Received done);
  void Send(WebSocketMessage message, Sent done);
  void BeginClose(std::uint16_t code, std::string_view reason);

 private:
  enum class Output { kNone, kHandshake, kPong, kMessage, kPing, kClose };

  struct FrameHeader {
    bool final = true;
    std::uint8_t opcode = 0;
    std::array<char, 4> mask = {};
    std::uint64_t left = 0;  // of the payload
    std::size_t taken = 0;
  };

  std::shared_ptr<WebSocketSession> Self() {
    return std::static_pointer_cast<WebSocketSession>(shared_from_this());
  }

  void Read();
  void OnRead(const ErrorCode& error, std::size_t bytes);
  void Parse();
  bool ParseHeader();
  void TakePayload();
  void FinishFrame();
  void HandleClose();
  void Deliver();
  // The client has broken a rule: says so, and closes.
  void Fail(std::uint16_t code, absl::Status status);
  void QueueClose(std::uint16_t code, std::string_view reason);
  void OnSilence();
  void OnClosingTimeout();

  void Pump();
  void WriteSome();
  void OnWritten(const ErrorCode& error, std::size_t bytes);
  void OnWriteTimeout();
  // All said: waits for the client to close.
  void Linger();
  void Finish(const absl::Status& reason);

  Socket socket_;
  Deadline read_deadline_;
  Deadline write_deadline_;
  const WebSocketOptions web_socket_options_;

  // Incoming.
  std::array<char, 16 << 10> incoming_;
  std::string unparsed_;
  std::size_t parsed_ = 0;  // bytes at its begin
  bool reading_ = false;
  std::optional<FrameHeader> frame_;
  std::string control_;  // payload of a control frame
  WebSocketMessage message_;
  bool in_message_ = false;     // more frames of it are to come
  bool message_ready_ = false;  // waits for a Receive
  Received receiving_;
  bool receive_waits_ = false;
  absl::Status end_;   // not OK once no message will come any more
  bool deaf_ = false;  // what comes is dropped
  bool heard_ = true;  // since the last look
  bool ping_unanswered_ = false;
  bool lingering_ = false;

  // Outgoing.
  Accepted accepted_;
  std::string handshake_;
  std::optional<std::string> pong_;
  bool ping_due_ = false;
  WebSocketMessage outgoing_;
  Sent sending_;
  bool send_waits_ = false;
  std::optional<std::string> close_;  // payload of the close frame
  bool closing_ = false;              // it is queued or sent
  bool close_sent_ = false;
  bool close_received_ = false;

  Output output_ = Output::kNone;  // being written
  std::string output_head_;
  std::string output_payload_;
  std::optional<boost::beast::buffers_suffix<std::array<net::const_buffer, 2>>>
      unwritten_;
};

}  // namespace grpccommon::internal
