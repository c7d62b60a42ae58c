// SPDX-License-Identifier: Apache-2.0
#include "http/web_socket_session.h"

#include <openssl/evp.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/utf8.h"

namespace grpccommon::internal {
namespace {

constexpr std::uint8_t kContinuation = 0x0;
constexpr std::uint8_t kText = 0x1;
constexpr std::uint8_t kBinary = 0x2;
constexpr std::uint8_t kClose = 0x8;
constexpr std::uint8_t kPing = 0x9;
constexpr std::uint8_t kPong = 0xA;

constexpr std::uint16_t kGoingAway = 1001;
constexpr std::uint16_t kProtocolError = 1002;
constexpr std::uint16_t kNotUtf8 = 1007;
constexpr std::uint16_t kTooBig = 1009;
constexpr std::uint16_t kInternalError = 1011;

constexpr std::size_t kMaxControlBytes = 125;
constexpr std::size_t kMaxReasonBytes = kMaxControlBytes - 2;

// How long the client may take to answer the close frame, and then to close.
constexpr std::chrono::seconds kCloseTimeout{5};
constexpr std::chrono::seconds kLingerTimeout{1};

absl::Status Gone() {
  return absl::UnavailableError("the WebSocket is closed");
}

// RFC 6455, section 7.4, and the registry of close codes.
bool IsCloseCode(std::uint16_t code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

void AppendBigEndian(std::string& out, std::uint64_t value, int bytes) {
  while (bytes-- > 0) out += static_cast<char>(value >> (8 * bytes) & 0xff);
}

std::string FrameHead(std::uint8_t opcode, std::size_t payload_bytes) {
  std::string head(1, static_cast<char>(0x80 | opcode));
  if (payload_bytes <= kMaxControlBytes) {
    head += static_cast<char>(payload_bytes);
  } else if (payload_bytes <= 0xffff) {
    head += static_cast<char>(126);
    AppendBigEndian(head, payload_bytes, 2);
  } else {
    head += static_cast<char>(127);
    AppendBigEndian(head, payload_bytes, 8);
  }
  return head;
}

// RFC 6455, section 4.2.2.
std::string AcceptKey(std::string_view key) {
  const std::string salted =
      std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(salted.data(), salted.size(), digest, &size, EVP_sha1(), nullptr);
  unsigned char text[4 * ((EVP_MAX_MD_SIZE + 2) / 3) + 1];
  const int length = EVP_EncodeBlock(text, digest, static_cast<int>(size));
  return std::string(reinterpret_cast<const char*>(text),
                     static_cast<std::size_t>(length));
}

class Handle : public WebSocket {
 public:
  explicit Handle(std::shared_ptr<WebSocketSession> session)
      : session_(std::move(session)) {}

  ~Handle() override { Close(kGoingAway, ""); }

  void Receive(WebSocketSession::Received done) override {
    const bool taken = session_->Run([session = session_, done]() mutable {
      session->Receive(std::move(done));
    });
    if (!taken && done != nullptr) done(Gone());
  }

  void Send(WebSocketMessage message, WebSocketSession::Sent done) override {
    const bool taken = session_->Run(
        [session = session_, message = std::move(message), done]() mutable {
          session->Send(std::move(message), std::move(done));
        });
    if (!taken && done != nullptr) done(Gone());
  }

  void Close(std::uint16_t code, std::string_view reason) override {
    session_->Run(
        [session = session_, code = IsCloseCode(code) ? code : kInternalError,
         reason = std::string(TruncateUtf8(reason, kMaxReasonBytes))] {
          session->BeginClose(code, reason);
        });
  }

 private:
  const std::shared_ptr<WebSocketSession> session_;
};

}  // namespace

bool IsWebSocketKey(std::string_view key) {
  return key.size() == 24 && key.substr(22) == "==" &&
         std::all_of(key.begin(), key.begin() + 22, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                  (c >= 'A' && c <= 'Z') || c == '+' || c == '/';
         });
}

WebSocketSession::WebSocketSession(std::shared_ptr<HttpCore> core,
                                   Socket socket,
                                   WebSocketOptions web_socket_options)
    : Session(std::move(core), socket.get_executor()),
      socket_(std::move(socket)),
      read_deadline_(strand()),
      write_deadline_(strand()),
      web_socket_options_(std::move(web_socket_options)) {}

void WebSocketSession::Accept(std::string_view key, Accepted done) {
  accepted_ = std::move(done);
  handshake_ = absl::StrCat(
      "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n"
      "connection: upgrade\r\nsec-websocket-accept: ",
      AcceptKey(key), "\r\n");
  if (!web_socket_options_.subprotocol.empty()) {
    absl::StrAppend(&handshake_,
                    "sec-websocket-protocol: ", web_socket_options_.subprotocol,
                    "\r\n");
  }
  handshake_ += "\r\n";
  Pump();
}

void WebSocketSession::Drain() {
  BeginClose(kGoingAway, "the server is shutting down");
}

void WebSocketSession::Abort() { Finish(Gone()); }

// Reading.

void WebSocketSession::Read() {
  if (reading_ || message_ready_ || closed()) return;
  reading_ = true;
  socket_.async_read_some(
      net::buffer(incoming_),
      [self = Self()](const ErrorCode& error, std::size_t bytes) {
        self->reading_ = false;
        self->OnRead(error, bytes);
      });
}

void WebSocketSession::OnRead(const ErrorCode& error, std::size_t bytes) {
  if (closed()) return;
  if (error) {
    Finish(Gone());
    return;
  }
  heard_ = true;
  if (!deaf_) {
    unparsed_.append(incoming_.data(), bytes);
    Parse();
  }
  Read();
}

void WebSocketSession::Parse() {
  while (!deaf_ && !message_ready_) {
    if (!frame_.has_value() && !ParseHeader()) break;
    TakePayload();
    if (frame_->left > 0) break;
    FinishFrame();
  }
  unparsed_.erase(0, parsed_);
  parsed_ = 0;
}

// False if it waits for more or has failed.
bool WebSocketSession::ParseHeader() {
  const auto protocol_error = [this](std::string_view what) {
    Fail(kProtocolError,
         absl::InvalidArgumentError(absl::StrCat("WebSocket: ", ToAbsl(what))));
    return false;
  };
  const std::string_view rest = std::string_view(unparsed_).substr(parsed_);
  const auto byte = [rest](std::size_t at) {
    return static_cast<std::uint8_t>(rest[at]);
  };
  if (rest.size() < 2) return false;
  FrameHeader frame;
  frame.final = (byte(0) & 0x80) != 0;
  frame.opcode = byte(0) & 0x0f;
  const std::uint8_t short_size = byte(1) & 0x7f;
  if ((byte(0) & 0x70) != 0) return protocol_error("reserved bits are set");
  if ((byte(1) & 0x80) == 0) return protocol_error("a frame is not masked");
  const bool control = (frame.opcode & 0x8) != 0;
  if (control) {
    if (frame.opcode > kPong) return protocol_error("unknown opcode");
    if (!frame.final || short_size > kMaxControlBytes) {
      return protocol_error("a control frame is fragmented or too long");
    }
  } else {
    if (frame.opcode > kBinary) return protocol_error("unknown opcode");
    if (in_message_ != (frame.opcode == kContinuation)) {
      return protocol_error("fragments of two messages are mixed");
    }
  }
  const std::size_t size_bytes = short_size == 126   ? 2
                                 : short_size == 127 ? 8
                                                     : 0;
  const std::size_t head_bytes = 2 + size_bytes + frame.mask.size();
  if (rest.size() < head_bytes) return false;
  frame.left = short_size;
  if (size_bytes > 0) {
    frame.left = 0;
    for (std::size_t i = 0; i < size_bytes; ++i) {
      frame.left = frame.left << 8 | byte(2 + i);
    }
    if (frame.left < (size_bytes == 2 ? 126u : 0x10000u) ||
        frame.left >> 63 != 0) {
      return protocol_error("a length is not in its shortest form");
    }
  }
  if (!control && frame.left > web_socket_options_.max_message_bytes -
                                   message_.data.size()) {
    Fail(kTooBig, absl::ResourceExhaustedError(absl::StrCat(
                      "a message is larger than ",
                      web_socket_options_.max_message_bytes, " bytes")));
    return false;
  }
  rest.copy(frame.mask.data(), frame.mask.size(), 2 + size_bytes);
  parsed_ += head_bytes;
  if (frame.opcode == kText || frame.opcode == kBinary) {
    message_.binary = frame.opcode == kBinary;
  }
  if (!control) in_message_ = true;
  control_.clear();
  frame_ = frame;
  return true;
}

void WebSocketSession::TakePayload() {
  std::string& payload = (frame_->opcode & 0x8) != 0 ? control_ : message_.data;
  const std::size_t bytes = static_cast<std::size_t>(
      std::min<std::uint64_t>(frame_->left, unparsed_.size() - parsed_));
  const std::size_t begin = payload.size();
  payload.append(unparsed_, parsed_, bytes);
  for (std::size_t i = begin; i < payload.size(); ++i) {
    payload[i] =
        static_cast<char>(payload[i] ^ frame_->mask[frame_->taken++ % 4]);
  }
  frame_->left -= bytes;
  parsed_ += bytes;
}

void WebSocketSession::FinishFrame() {
  const FrameHeader frame = *std::exchange(frame_, std::nullopt);
  switch (frame.opcode) {
    case kPing:
      // Only the latest ping wants an answer (section 5.5.3), so a flood of
      // them waits in one place.
      pong_ = control_;
      Pump();
      return;
    case kPong:
      return;
    case kClose:
      HandleClose();
      return;
    default:
      break;
  }
  if (!frame.final) return;
  in_message_ = false;
  if (!message_.binary && !IsUtf8(message_.data)) {
    Fail(kNotUtf8,
         absl::InvalidArgumentError("WebSocket: a text is not UTF-8"));
    return;
  }
  // After our own close frame nothing is delivered any more.
  if (closing_) {
    message_ = {};
    return;
  }
  message_ready_ = true;
  Deliver();
}

void WebSocketSession::HandleClose() {
  std::uint16_t code = 1005;  // "no status", never sent as such
  std::string_view reason;
  if (!control_.empty()) {
    if (control_.size() >= 2) {
      code = static_cast<std::uint16_t>(static_cast<std::uint8_t>(control_[0])
                                            << 8 |
                                        static_cast<std::uint8_t>(control_[1]));
      reason = std::string_view(control_).substr(2);
    }
    if (control_.size() < 2 || !IsCloseCode(code)) {
      Fail(kProtocolError,
           absl::InvalidArgumentError("WebSocket: malformed close frame"));
      return;
    }
    if (!IsUtf8(reason)) {
      Fail(kNotUtf8, absl::InvalidArgumentError(
                         "WebSocket: a close reason is not UTF-8"));
      return;
    }
  }
  deaf_ = true;
  close_received_ = true;
  end_ = absl::OutOfRangeError(
      absl::StrCat("closed: ", static_cast<int>(code), " ", ToAbsl(reason)));
  if (!closing_) {
    closing_ = true;
    close_ = control_.substr(0, 2);  // the same code back
    Pump();
  } else if (close_sent_) {
    Linger();
  }
  Deliver();
}

void WebSocketSession::Deliver() {
  if (!receive_waits_ || (!message_ready_ && end_.ok())) return;
  receive_waits_ = false;
  const Received received = std::exchange(receiving_, nullptr);
  if (!message_ready_) {
    Call(received, end_);
    return;
  }
  message_ready_ = false;
  Call(received, std::exchange(message_, {}));
}

void WebSocketSession::Fail(std::uint16_t code, absl::Status status) {
  deaf_ = true;
  close_received_ = true;  // none is waited for
  message_ = {};
  end_ = std::move(status);
  QueueClose(code, "");
  Deliver();
}

void WebSocketSession::Receive(Received done) {
  if (receive_waits_) {
    Call(done, absl::FailedPreconditionError("a receive is waiting"));
    return;
  }
  if (!message_ready_ && closed()) {
    Call(done, Gone());
    return;
  }
  receive_waits_ = true;
  receiving_ = std::move(done);
  const bool was_full = message_ready_;
  Deliver();
  if (!was_full) return;
  Parse();
  Read();
}

// A client that does not speak for half the idle time-out is asked by a ping;
// one that then stays silent is gone.
void WebSocketSession::OnSilence() {
  if (heard_ || message_ready_) {
    heard_ = false;
    ping_unanswered_ = false;
  } else if (ping_unanswered_) {
    Finish(absl::UnavailableError("the client does not answer"));
    return;
  } else {
    ping_unanswered_ = true;
    ping_due_ = true;
    Pump();
  }
  if (closing_ || closed()) return;
  read_deadline_.Set(options().idle_timeout / 2, Self(),
                     &WebSocketSession::OnSilence);
}

// Closing.

void WebSocketSession::BeginClose(std::uint16_t code, std::string_view reason) {
  if (!closed() && !closing_) QueueClose(code, reason);
}

void WebSocketSession::QueueClose(std::uint16_t code, std::string_view reason) {
  if (closing_) {
    if (close_sent_) Linger();
    return;
  }
  closing_ = true;
  close_.emplace();
  AppendBigEndian(*close_, code, 2);
  *close_ += reason;
  // What waits for a Receive that may never come must not keep the client's
  // close frame from being read.
  if (message_ready_) {
    message_ready_ = false;
    message_ = {};
  }
  read_deadline_.Set(kCloseTimeout, Self(),
                     &WebSocketSession::OnClosingTimeout);
  Pump();
  Parse();
  Read();
}

void WebSocketSession::OnClosingTimeout() { Finish(Gone()); }

void WebSocketSession::Linger() {
  if (lingering_ || closed()) return;
  lingering_ = true;
  deaf_ = true;
  message_ready_ = false;
  ErrorCode error;
  socket_.shutdown(Socket::shutdown_send, error);
  if (error) {
    Finish(Gone());
    return;
  }
  read_deadline_.Set(kLingerTimeout, Self(),
                     &WebSocketSession::OnClosingTimeout);
  Read();
}

void WebSocketSession::Finish(const absl::Status& reason) {
  if (!MarkClosed()) return;
  ErrorCode ignored;
  socket_.close(ignored);
  read_deadline_.Clear();
  write_deadline_.Clear();
  core().Remove(*this);
  if (end_.ok()) end_ = reason;
  message_ready_ = false;
  Deliver();
  if (std::exchange(send_waits_, false)) {
    Call(std::exchange(sending_, nullptr), reason);
  }
  Call(std::exchange(accepted_, nullptr), reason);
}

// Writing.

void WebSocketSession::Send(WebSocketMessage message, Sent done) {
  if (closed()) {
    Call(done, Gone());
    return;
  }
  if (send_waits_ || closing_) {
    Call(done,
         absl::FailedPreconditionError(closing_ ? "the WebSocket is closing"
                                                : "a message is on its way"));
    return;
  }
  send_waits_ = true;
  sending_ = std::move(done);
  outgoing_ = std::move(message);
  Pump();
}

void WebSocketSession::Pump() {
  if (output_ != Output::kNone || close_sent_ || closed()) return;
  output_payload_.clear();
  // Until it is accepted there is nothing but the handshake.
  if (handshake_.empty() && accepted_ != nullptr) return;
  if (!handshake_.empty()) {
    output_ = Output::kHandshake;
    output_head_ = std::exchange(handshake_, {});
  } else if (pong_.has_value()) {
    output_ = Output::kPong;
    output_payload_ = *std::exchange(pong_, std::nullopt);
    output_head_ = FrameHead(kPong, output_payload_.size());
  } else if (send_waits_) {
    output_ = Output::kMessage;
    output_payload_ = std::exchange(outgoing_.data, {});
    output_head_ =
        FrameHead(outgoing_.binary ? kBinary : kText, output_payload_.size());
  } else if (close_.has_value()) {
    output_ = Output::kClose;
    output_payload_ = *std::exchange(close_, std::nullopt);
    output_head_ = FrameHead(kClose, output_payload_.size());
  } else if (std::exchange(ping_due_, false)) {
    output_ = Output::kPing;
    output_head_ = FrameHead(kPing, 0);
  } else {
    return;
  }
  unwritten_.emplace(std::array<net::const_buffer, 2>{
      net::buffer(output_head_), net::buffer(output_payload_)});
  WriteSome();
}

void WebSocketSession::WriteSome() {
  write_deadline_.Set(options().write_timeout, Self(),
                      &WebSocketSession::OnWriteTimeout);
  socket_.async_write_some(
      *unwritten_, [self = Self()](const ErrorCode& error, std::size_t bytes) {
        self->OnWritten(error, bytes);
      });
}

void WebSocketSession::OnWritten(const ErrorCode& error, std::size_t bytes) {
  if (closed()) return;
  write_deadline_.Clear();
  if (error) {
    Finish(Gone());
    return;
  }
  unwritten_->consume(bytes);
  if (boost::beast::buffer_bytes(*unwritten_) > 0) {
    WriteSome();
    return;
  }
  switch (std::exchange(output_, Output::kNone)) {
    case Output::kHandshake: {
      const Accepted accepted = std::exchange(accepted_, nullptr);
      read_deadline_.Set(options().idle_timeout / 2, Self(),
                         &WebSocketSession::OnSilence);
      Read();
      Call(accepted, std::make_shared<Handle>(Self()));
      // The drain may have begun while this was neither here nor there.
      if (core().draining) Drain();
      break;
    }
    case Output::kMessage:
      send_waits_ = false;
      Call(std::exchange(sending_, nullptr), absl::OkStatus());
      break;
    case Output::kClose:
      close_sent_ = true;
      if (close_received_) Linger();
      break;
    case Output::kPong:
    case Output::kPing:
    case Output::kNone:
      break;
  }
  Pump();
}

void WebSocketSession::OnWriteTimeout() {
  Finish(absl::DeadlineExceededError("the client takes no data"));
}

}  // namespace grpccommon::internal
