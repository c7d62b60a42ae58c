// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <boost/beast/core/buffers_suffix.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "grpccommon/http/message.h"
#include "grpccommon/http/web_socket.h"
#include "http/request_parser.h"
#include "http/session.h"

namespace grpccommon::internal {

// One HTTP connection: reads a request, has it answered, reads the next.
//
// Bytes of later requests (pipelining) wait in the buffer, at most one header's
// worth, and then in the socket. A read is pending while a handler works, to
// see the client go.
class Connection : public Session {
 public:
  Connection(std::shared_ptr<HttpCore> core, Socket socket, std::string peer);

  // On the strand.
  void Start();
  // Answers 503 to whatever comes, and closes; for a connection over the limit.
  void Refuse();
  void Drain() override;
  void Abort() override;

  // What handles call, by Run; `exchange` is the request that they belong to.
  void Send(std::uint64_t exchange, HttpResponse response);
  // Whether the stream has ended with its head, for it may have no body.
  bool StartStream(std::uint64_t exchange, HttpResponse head);
  void Write(std::uint64_t exchange, std::string chunk,
             ResponseWriter::Done done);
  void End(std::uint64_t exchange);
  void OnDisconnect(std::uint64_t exchange, std::function<void()> callback);
  // Like Call, but not within what led to it: the callback of a Write may write
  // the next chunk, and so on.
  template <typename Callback, typename... Arguments>
  void CallLater(Callback callback, Arguments... arguments) {
    if (callback == nullptr) return;
    net::post(strand(), [self = Self(), callback = std::move(callback),
                         ... arguments = std::move(arguments)] {
      self->Call(callback, arguments...);
    });
  }
  // Whether its answer has been sent. On any thread.
  bool Completed(std::uint64_t exchange) const {
    return completed_.load() >= exchange;
  }
  // The last handle of the exchange has gone.
  void Abandon(std::uint64_t exchange);
  void AcceptWebSocket(
      std::uint64_t exchange, WebSocketOptions options,
      std::function<void(absl::StatusOr<std::shared_ptr<WebSocket>>)> done);

 private:
  enum class State {
    kIdle,       // no byte of the next request yet
    kHeader,     // the header is coming in
    kBody,       // the body is coming in
    kHandling,   // a handler works, or its answer is being sent
    kUpgrading,  // like kHandling, but not read from: the socket may move on
    kLingering,  // all sent; waits for the client to close
    kClosed,
  };
  enum class Answer { kNone, kStreaming, kComplete };

  // What waits to be written: three parts, so that bodies are not copied.
  struct Output {
    std::string head;
    std::string body;
    std::string_view tail;
    ResponseWriter::Done done;
    bool chunk = false;  // a Write
    bool last = false;   // of the exchange
  };

  std::shared_ptr<Connection> Self() {
    return std::static_pointer_cast<Connection>(shared_from_this());
  }

  void Read();
  void OnRead(const ErrorCode& error, std::size_t bytes);
  void OnReadTimeout();
  void OnPeerGone(const ErrorCode& error);
  void BeginRequest();
  void Parse();
  bool ParseHeader();
  bool ParseBody();
  // Answers what cannot be handled, then closes.
  void Fail(int http_status, const absl::Status& error);
  void FailParse(const ErrorCode& error);

  void BeginExchange();
  void Handle();
  void Route();
  bool IsWebSocketUpgrade() const;

  bool MayAnswer(std::uint64_t exchange) const {
    return state_ != State::kClosed && exchange == exchange_ &&
           answer_ == Answer::kNone;
  }
  // As for StartStream.
  bool StartAnswer(HttpResponse response, bool streaming);
  std::string FormatHead(const HttpResponse& response, bool streaming) const;

  void Push(Output output);
  void WriteSome();
  void OnWritten(const ErrorCode& error, std::size_t bytes);
  void OnWriteTimeout();
  void FinishExchange();
  void NotifyDisconnect();
  void Linger();
  void Close(const absl::Status& reason);

  Socket socket_;
  Deadline read_deadline_;
  Deadline write_deadline_;
  State state_ = State::kIdle;

  // What a pending read fills; apart from `buffer_`, which is consumed while a
  // read is pending.
  std::array<char, 16 << 10> incoming_;
  beast::flat_buffer buffer_;
  bool reading_ = false;
  bool peer_gone_ = false;
  bool deadline_set_ = false;  // of the header
  std::optional<RequestParser> parser_;
  HttpRequest request_;
  const std::string peer_;

  std::int64_t requests_ = 0;
  std::string web_socket_key_;

  // Of the current exchange; counts from 1.
  std::uint64_t exchange_ = 0;
  std::atomic<std::uint64_t> completed_{0};
  Answer answer_ = Answer::kComplete;
  bool keep_alive_ = true;
  bool http11_ = true;
  bool head_only_ = false;  // HEAD
  bool chunked_ = false;
  bool chunk_waiting_ = false;
  std::function<void()> on_disconnect_;

  std::deque<Output> outputs_;
  bool writing_ = false;
  std::optional<beast::buffers_suffix<std::array<net::const_buffer, 3>>>
      unwritten_;
};

}  // namespace grpccommon::internal
