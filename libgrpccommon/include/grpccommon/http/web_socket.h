// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/http/message.h"

namespace grpccommon {

struct WebSocketMessage {
  std::string data;
  /// Text otherwise, which is valid UTF-8 when received.
  bool binary = false;
};

/// One WebSocket connection (RFC 6455), from the server's side.
///
/// Thread-safe, and may outlive the server. Callbacks run on an I/O thread of
/// the server, or on the calling thread if the connection is gone already.
/// When the last reference goes, the connection is closed with 1001 (going
/// away); so it is when the server drains. Without compression: it costs memory
/// for each connection, and gives away secrets that are sent beside what an
/// attacker chooses.
class GRPCCOMMON_EXPORT WebSocket {
 public:
  virtual ~WebSocket() = default;

  /// Receives the next message; one `Receive` at a time. One message is read
  /// ahead, no more, which is the client's back pressure.
  /// Errors: kOutOfRange when the client has closed in order (the message names
  /// its code); kUnavailable when the connection broke or fell silent;
  /// kDeadlineExceeded when the client took nothing for the write timeout;
  /// kResourceExhausted for a message over the limit; kInvalidArgument when the
  /// client broke the protocol; kFailedPrecondition if one waits already. After
  /// an error all later ones fail.
  virtual void Receive(
      std::function<void(absl::StatusOr<WebSocketMessage>)> done) = 0;

  /// Sends a message; one `Send` at a time. `done` gets OK when it has been
  /// handed to the operating system.
  /// Errors: kUnavailable; kDeadlineExceeded if the client took nothing for the
  /// write timeout, which ends the connection; kFailedPrecondition if one is on
  /// its way already or after `Close`.
  virtual void Send(WebSocketMessage message,
                    std::function<void(absl::Status)> done) = 0;

  /// Begins the closing handshake. `code` is one that may be sent (1000 to
  /// 1003, 1007 to 1014, 3000 to 4999; others become 1011); `reason` is cut at
  /// 123 bytes.
  virtual void Close(std::uint16_t code, std::string_view reason) = 0;
};

struct WebSocketOptions {
  /// The one of the client's `sec-websocket-protocol` that the server speaks;
  /// empty: none is confirmed.
  std::string subprotocol;
  /// Largest message from the client, in bytes.
  std::size_t max_message_bytes = 4 << 20;
};

/// A client's wish to change over to WebSocket. Answer it once: authenticate
/// first, and look at `origin` if cookies are the credential, since browsers
/// let any page open a WebSocket. Dropped without an answer it becomes a 500.
///
/// Thread-safe.
class GRPCCOMMON_EXPORT WebSocketUpgrade {
 public:
  virtual ~WebSocketUpgrade() = default;

  /// Changes over. `done` gets the socket, or kUnavailable if the client is
  /// gone; it runs on an I/O thread.
  virtual void Accept(
      WebSocketOptions options,
      std::function<void(absl::StatusOr<std::shared_ptr<WebSocket>>)> done) = 0;

  /// Answers as HTTP.
  virtual void Refuse(HttpResponse response) = 0;
};

/// Handles a WebSocket route, like an HttpHandler.
using WebSocketHandler = std::function<void(
    HttpRequest request, std::shared_ptr<WebSocketUpgrade> upgrade)>;

}  // namespace grpccommon
