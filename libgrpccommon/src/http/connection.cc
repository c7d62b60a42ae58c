// SPDX-License-Identifier: Apache-2.0
#include "http/connection.h"

#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/beast/http/status.hpp>
#include <cassert>
#include <chrono>
#include <ctime>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/string_view.h"
#include "http/web_socket_session.h"

namespace grpccommon::internal {
namespace {

// A connection that rests does not keep a larger buffer.
constexpr std::size_t kRestingBufferBytes = 32 << 10;
// The shortest rest of a chunked body is "0\r\n\r\n". Beast 1.74 asserts that
// it gets no less of its end, so the parser waits for as much.
constexpr std::size_t kShortestChunkedRest = 5;
// How long a client may take to read the last answer and close. Closing first,
// with bytes of its unread, would reset the connection and lose the answer.
constexpr std::chrono::seconds kLingerTimeout{1};

absl::Status Gone() {
  return absl::UnavailableError("the connection is closed");
}

bool IsFraming(std::string_view name) {
  for (const std::string_view own :
       {"content-length", "transfer-encoding", "connection", "date"}) {
    if (absl::EqualsIgnoreCase(ToAbsl(name), ToAbsl(own))) return true;
  }
  return false;
}

// RFC 9110, section 5.6.7; rendered once a second for each thread.
std::string_view DateNow() {
  static thread_local std::time_t rendered = 0;
  static thread_local char text[32] = {};
  const std::time_t now = std::time(nullptr);
  if (now != rendered) {
    std::tm utc = {};
    gmtime_r(&now, &utc);
    static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed",
                                            "Thu", "Fri", "Sat"};
    static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr",
                                              "May", "Jun", "Jul", "Aug",
                                              "Sep", "Oct", "Nov", "Dec"};
    std::snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                  kDays[utc.tm_wday], utc.tm_mday, kMonths[utc.tm_mon],
                  (utc.tm_year + 1900) % 10000, utc.tm_hour, utc.tm_min,
                  utc.tm_sec);
    rendered = now;
  }
  return text;
}

// True if a comma-separated header has `token` in one of its fields.
bool HasToken(const HttpHeaders& headers, std::string_view name,
              std::string_view token) {
  for (const auto& [field, value] : headers.fields()) {
    if (!absl::EqualsIgnoreCase(field, ToAbsl(name))) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      std::string_view part = rest.substr(0, comma);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
      while (!part.empty() && (part.front() == ' ' || part.front() == '\t')) {
        part.remove_prefix(1);
      }
      while (!part.empty() && (part.back() == ' ' || part.back() == '\t')) {
        part.remove_suffix(1);
      }
      if (absl::EqualsIgnoreCase(ToAbsl(part), ToAbsl(token))) return true;
    }
  }
  return false;
}

// What the handler of one request holds. All that it has the connection do
// holds it in turn, so that Abandon comes after it.
class Writer : public ResponseWriter,
               public std::enable_shared_from_this<Writer> {
 public:
  Writer(std::shared_ptr<Connection> connection, std::uint64_t exchange)
      : connection_(std::move(connection)), exchange_(exchange) {}

  ~Writer() override {
    connection_->Run([connection = connection_, exchange = exchange_] {
      connection->Abandon(exchange);
    });
  }

  void Send(HttpResponse response) override {
    connection_->Run(
        [self = shared_from_this(), response = std::move(response)]() mutable {
          self->connection_->Send(self->exchange_, std::move(response));
        });
  }

  void Start(HttpResponse head) override {
    connection_->Run([self = shared_from_this(),
                      head = std::move(head)]() mutable {
      if (self->connection_->StartStream(self->exchange_, std::move(head))) {
        self->bodiless_ = true;
      }
    });
  }

  void Write(std::string chunk, Done done) override {
    const bool taken = connection_->Run(
        [self = shared_from_this(), chunk = std::move(chunk), done]() mutable {
          self->connection_->Write(self->exchange_, std::move(chunk),
                                   std::move(done));
        });
    if (!taken && done != nullptr) done(Gone());
  }

  void End() override {
    connection_->Run([self = shared_from_this()] {
      self->connection_->End(self->exchange_);
    });
  }

  void OnDisconnect(std::function<void()> callback) override {
    const bool taken =
        connection_->Run([self = shared_from_this(), callback]() mutable {
          Connection& connection = *self->connection_;
          if (self->bodiless_) {
            connection.CallLater(std::move(callback));
          } else {
            connection.OnDisconnect(self->exchange_, std::move(callback));
          }
        });
    if (!taken && callback != nullptr &&
        (bodiless_ || !connection_->Completed(exchange_))) {
      callback();
    }
  }

 private:
  const std::shared_ptr<Connection> connection_;
  const std::uint64_t exchange_;
  // The stream ended with its head: nobody hears the rest.
  std::atomic<bool> bodiless_{false};
};

class Upgrade : public WebSocketUpgrade {
 public:
  Upgrade(std::shared_ptr<Connection> connection, std::uint64_t exchange)
      : connection_(std::move(connection)), exchange_(exchange) {}

  ~Upgrade() override {
    connection_->Run([connection = connection_, exchange = exchange_] {
      connection->Abandon(exchange);
    });
  }

  void Accept(WebSocketOptions options,
              std::function<void(absl::StatusOr<std::shared_ptr<WebSocket>>)>
                  done) override {
    const bool taken =
        connection_->Run([connection = connection_, exchange = exchange_,
                          options = std::move(options), done]() mutable {
          connection->AcceptWebSocket(exchange, std::move(options),
                                      std::move(done));
        });
    if (!taken && done != nullptr) done(Gone());
  }

  void Refuse(HttpResponse response) override {
    connection_->Run([connection = connection_, exchange = exchange_,
                      response = std::move(response)]() mutable {
      connection->Send(exchange, std::move(response));
    });
  }

 private:
  const std::shared_ptr<Connection> connection_;
  const std::uint64_t exchange_;
};

}  // namespace

Connection::Connection(std::shared_ptr<HttpCore> core, Socket socket,
                       std::string peer)
    : Session(std::move(core), socket.get_executor()),
      socket_(std::move(socket)),
      read_deadline_(strand()),
      write_deadline_(strand()),
      peer_(std::move(peer)) {}

void Connection::Start() {
  // The server may have shut down since it accepted.
  if (state_ == State::kClosed) return;
  BeginRequest();
  Read();
}

void Connection::Refuse() {
  if (state_ == State::kClosed) return;
  keep_alive_ = false;
  state_ = State::kHandling;
  BeginExchange();
  StartAnswer(ErrorResponse(absl::UnavailableError("too many connections")),
              /*streaming=*/false);
}

void Connection::Drain() {
  if (state_ == State::kIdle) Close(Gone());
}

void Connection::Abort() { Close(Gone()); }

// Reading.

void Connection::Read() {
  if (reading_ || state_ == State::kClosed) return;
  if (peer_gone_) {
    if (state_ != State::kHandling) Close(Gone());
    return;
  }
  reading_ = true;
  socket_.async_read_some(
      net::buffer(incoming_),
      [self = Self()](const ErrorCode& error, std::size_t count) {
        self->reading_ = false;
        self->OnRead(error, count);
      });
}

void Connection::OnRead(const ErrorCode& error, std::size_t bytes) {
  if (state_ == State::kClosed) return;
  if (error) {
    OnPeerGone(error);
    return;
  }
  if (state_ != State::kLingering) {
    buffer_.commit(net::buffer_copy(buffer_.prepare(bytes),
                                    net::buffer(incoming_, bytes)));
  }
  switch (state_) {
    case State::kIdle:
      state_ = State::kHeader;
      read_deadline_.Clear();
      Parse();
      break;
    case State::kHeader:
    case State::kBody:
      Parse();
      break;
    case State::kHandling:
      // A pipelined request waits; go on only to see the client go.
      if (buffer_.size() < options().max_header_bytes) Read();
      break;
    case State::kLingering:
      Read();
      break;
    case State::kUpgrading:
    case State::kClosed:
      break;
  }
}

void Connection::OnPeerGone(const ErrorCode& error) {
  peer_gone_ = true;
  // After its end of file a client may still take the answer.
  if (state_ == State::kHandling && error == net::error::eof) {
    NotifyDisconnect();
    return;
  }
  Close(Gone());
}

void Connection::OnReadTimeout() {
  if (state_ == State::kHeader || state_ == State::kBody) {
    Fail(408, absl::DeadlineExceededError("the request came in too slowly"));
  } else {
    Close(Gone());
  }
}

void Connection::BeginRequest() {
  request_ = HttpRequest();
  parser_.emplace(options().max_header_bytes, options().max_body_bytes,
                  request_);
  if (buffer_.size() > 0) {
    state_ = State::kHeader;
    return;
  }
  state_ = State::kIdle;
  if (buffer_.capacity() > kRestingBufferBytes) buffer_.shrink_to_fit();
  read_deadline_.Set(options().idle_timeout, Self(),
                     &Connection::OnReadTimeout);
}

void Connection::Parse() {
  if (state_ == State::kHeader && !ParseHeader()) return;
  if (state_ == State::kBody && !ParseBody()) return;
  Handle();
}

// The parse functions return false if they wait for more or have failed.
bool Connection::ParseHeader() {
  if (!parser_->got_some()) {
    // RFC 9112, section 2.2: an empty line before a request is skipped.
    while (buffer_.size() >= 2) {
      const char* data = static_cast<const char*>(buffer_.cdata().data());
      if (data[0] != '\r' || data[1] != '\n') break;
      buffer_.consume(2);
    }
  }
  ErrorCode error = beast::http::error::need_more;
  if (buffer_.size() > 1) {
    buffer_.consume(parser_->put(buffer_.cdata(), error));
  }
  if (error == beast::http::error::need_more) {
    if (!deadline_set_) {
      deadline_set_ = true;
      read_deadline_.Set(options().header_timeout, Self(),
                         &Connection::OnReadTimeout);
    }
    Read();
    return false;
  }
  if (error) {
    FailParse(error);
    return false;
  }
  if (parser_->violation() != nullptr) {
    Fail(400, absl::InvalidArgumentError(
                  absl::StrCat("the request has ", parser_->violation())));
    return false;
  }
  deadline_set_ = false;
  if (parser_->is_done()) {
    read_deadline_.Clear();
    return true;
  }
  if (!parser_->expectation().empty()) {
    if (!absl::EqualsIgnoreCase(parser_->expectation(), "100-continue")) {
      Fail(417, absl::InvalidArgumentError("unknown expectation"));
      return false;
    }
    // RFC 9110, section 10.1.1, forbids it towards HTTP/1.0.
    if (buffer_.size() == 0 && parser_->http11()) {
      Push({.tail = "HTTP/1.1 100 Continue\r\n\r\n"});
    }
  }
  state_ = State::kBody;
  parser_->eager(true);
  read_deadline_.Set(options().body_timeout, Self(),
                     &Connection::OnReadTimeout);
  return true;
}

bool Connection::ParseBody() {
  const std::size_t least = parser_->chunked() ? kShortestChunkedRest : 1;
  if (buffer_.size() >= least) {
    ErrorCode error;
    buffer_.consume(parser_->put(buffer_.cdata(), error));
    if (error && error != beast::http::error::need_more) {
      FailParse(error);
      return false;
    }
    if (parser_->is_done()) {
      read_deadline_.Clear();
      return true;
    }
    // A chunk's own line, or the trailers, do not come to an end.
    if (buffer_.size() > options().max_header_bytes) {
      FailParse(beast::http::error::header_limit);
      return false;
    }
  }
  Read();
  return false;
}

void Connection::FailParse(const ErrorCode& error) {
  using Error = beast::http::error;
  if (error == Error::header_limit) {
    Fail(431, absl::ResourceExhaustedError("the header is too large"));
  } else if (error == Error::body_limit) {
    Fail(413,
         absl::ResourceExhaustedError(absl::StrCat(
             "the body is larger than ", options().max_body_bytes, " bytes")));
  } else if (error == Error::bad_version) {
    Fail(505, absl::InvalidArgumentError("not HTTP/1.0 or HTTP/1.1"));
  } else {
    Fail(400, absl::InvalidArgumentError(
                  absl::StrCat("malformed request: ", error.message())));
  }
}

void Connection::Fail(int http_status, const absl::Status& error) {
  state_ = State::kHandling;
  read_deadline_.Clear();
  BeginExchange();
  keep_alive_ = false;
  head_only_ = false;
  http11_ = true;
  StartAnswer(ErrorResponse(error, http_status), /*streaming=*/false);
}

// Handling.

void Connection::BeginExchange() {
  ++exchange_;
  answer_ = Answer::kNone;
  chunk_waiting_ = false;
  deadline_set_ = false;
  on_disconnect_ = nullptr;
}

void Connection::Handle() {
  state_ = State::kHandling;
  BeginExchange();
  http11_ = parser_->http11();
  head_only_ = request_.method == "HEAD";
  keep_alive_ = parser_->keep_alive() &&
                ++requests_ < options().max_requests_per_connection;
  core().requests.fetch_add(1, std::memory_order_relaxed);
  request_.peer = peer_;
  Route();
  if (state_ == State::kHandling &&
      buffer_.size() < options().max_header_bytes) {
    Read();
  }
}

bool Connection::IsWebSocketUpgrade() const {
  return http11_ && request_.method == "GET" && request_.body.empty() &&
         HasToken(request_.headers, "connection", "upgrade") &&
         HasToken(request_.headers, "upgrade", "websocket") &&
         request_.headers.Get("sec-websocket-version") == "13" &&
         request_.headers.Get("sec-websocket-key").has_value();
}

void Connection::Route() {
  absl::StatusOr<RequestTarget> target =
      ParseRequestTarget(request_.target.path);
  if (!target.ok()) {
    Send(exchange_, ErrorResponse(target.status(), 400));
    return;
  }
  request_.target = *std::move(target);
  const std::string method = request_.method;
  RouteMatch match =
      core().router.Find(method, request_.target, IsWebSocketUpgrade());
  request_.captures = std::move(match.captures);
  try {
    if (match.handler != nullptr) {
      (*match.handler)(std::move(request_),
                       std::make_shared<Writer>(Self(), exchange_));
      return;
    }
    if (match.web_socket != nullptr) {
      state_ = State::kUpgrading;
      web_socket_key_ = *request_.headers.Get("sec-websocket-key");
      (*match.web_socket)(std::move(request_),
                          std::make_shared<Upgrade>(Self(), exchange_));
      return;
    }
  } catch (const std::exception& error) {
    // The writer died with the call, which has answered 500.
    options().logger.Error("http handler threw",
                           {{"route", match.pattern}, {"error", error.what()}});
    return;
  } catch (...) {
    options().logger.Error("http handler threw", {{"route", match.pattern}});
    return;
  }
  HttpResponse response;
  if (method == "OPTIONS" &&
      (!match.allow.empty() || request_.target.path == "*")) {
    response.status = 204;
  } else if (match.allow.empty()) {
    response = ErrorResponse(absl::NotFoundError("no such path"));
  } else if (match.upgrade_required) {
    response = ErrorResponse(
        absl::FailedPreconditionError("this path speaks WebSocket"), 426);
    response.headers.Set("upgrade", "websocket");
    response.headers.Set("sec-websocket-version", "13");
  } else {
    response = ErrorResponse(
        absl::UnimplementedError("the path does not have this method"), 405);
  }
  if (!match.allow.empty()) response.headers.Set("allow", match.allow);
  Send(exchange_, std::move(response));
}

// Answering.

void Connection::Send(std::uint64_t exchange, HttpResponse response) {
  if (MayAnswer(exchange)) StartAnswer(std::move(response), false);
}

bool Connection::StartStream(std::uint64_t exchange, HttpResponse head) {
  return MayAnswer(exchange) && StartAnswer(std::move(head), true);
}

bool Connection::StartAnswer(HttpResponse response, bool streaming) {
  // From here on a client that goes is seen, also while an upgrade is refused.
  if (state_ == State::kUpgrading) state_ = State::kHandling;
  bool valid = response.status >= 200 && response.status <= 599;
  std::string_view culprit = "status";
  for (const auto& [name, value] : response.headers.fields()) {
    if (IsValidHeader(name, value)) continue;
    valid = false;
    culprit = name;
  }
  if (!valid) {
    options().logger.Error("http answer may not be sent",
                           {{"header", culprit}});
    response = ErrorResponse(absl::InternalError("internal error"));
    streaming = false;
  }
  const bool body_allowed =
      !head_only_ && response.status != 204 && response.status != 304;
  chunked_ = streaming && http11_;
  if (core().draining || (streaming && !http11_)) keep_alive_ = false;

  Output output = {.head = FormatHead(response, streaming)};
  if (body_allowed && !response.body.empty()) {
    if (chunked_) {
      absl::StrAppend(&output.head, absl::Hex(response.body.size()), "\r\n");
      output.tail = "\r\n";
    }
    output.body = std::move(response.body);
  }
  // A stream without a body ends here: one that goes on for ever would hold the
  // connection for nothing.
  output.last = !streaming || !body_allowed;
  answer_ = output.last ? Answer::kComplete : Answer::kStreaming;
  const bool bodiless = streaming && !body_allowed;
  if (bodiless) CallLater(std::exchange(on_disconnect_, nullptr));
  Push(std::move(output));
  return bodiless;
}

std::string Connection::FormatHead(const HttpResponse& response,
                                   bool streaming) const {
  const auto reason = beast::http::obsolete_reason(
      beast::http::int_to_status(static_cast<unsigned>(response.status)));
  std::string head;
  head.reserve(256);
  absl::StrAppend(&head, "HTTP/1.1 ", response.status, " ",
                  absl::string_view(reason.data(), reason.size()),
                  "\r\ndate: ", ToAbsl(DateNow()), "\r\n");
  for (const auto& [name, value] : response.headers.fields()) {
    if (!IsFraming(name)) absl::StrAppend(&head, name, ": ", value, "\r\n");
  }
  const bool bodiless = response.status == 204 || response.status == 304;
  if (chunked_ && !bodiless) {
    head += "transfer-encoding: chunked\r\n";
  } else if (!streaming && !bodiless) {
    absl::StrAppend(&head, "content-length: ", response.body.size(), "\r\n");
  }
  if (!keep_alive_) {
    head += "connection: close\r\n";
  } else if (!http11_) {
    head += "connection: keep-alive\r\n";
  }
  head += "\r\n";
  return head;
}

void Connection::Write(std::uint64_t exchange, std::string chunk,
                       ResponseWriter::Done done) {
  if (state_ == State::kClosed) {
    Call(done, Gone());
    return;
  }
  if (exchange != exchange_ || answer_ != Answer::kStreaming ||
      chunk_waiting_) {
    CallLater(std::move(done), absl::FailedPreconditionError(
                                   chunk_waiting_ ? "a chunk is on its way"
                                                  : "no stream is open"));
    return;
  }
  if (chunk.empty()) {
    CallLater(std::move(done), absl::OkStatus());
    return;
  }
  chunk_waiting_ = true;
  Output output = {
      .body = std::move(chunk), .done = std::move(done), .chunk = true};
  if (chunked_) {
    output.head = absl::StrCat(absl::Hex(output.body.size()), "\r\n");
    output.tail = "\r\n";
  }
  Push(std::move(output));
}

void Connection::End(std::uint64_t exchange) {
  if (state_ == State::kClosed || exchange != exchange_ ||
      answer_ != Answer::kStreaming) {
    return;
  }
  answer_ = Answer::kComplete;
  Push({.tail = chunked_ ? "0\r\n\r\n" : "", .last = true});
}

void Connection::OnDisconnect(std::uint64_t exchange,
                              std::function<void()> callback) {
  if (Completed(exchange)) return;
  if (state_ == State::kClosed || peer_gone_) {
    Call(callback);
    return;
  }
  on_disconnect_ = std::move(callback);
}

void Connection::Abandon(std::uint64_t exchange) {
  if (state_ == State::kClosed || exchange != exchange_) return;
  if (answer_ == Answer::kNone) {
    StartAnswer(ErrorResponse(absl::InternalError("internal error")), false);
  } else if (answer_ == Answer::kStreaming) {
    // A reset, for an orderly end could pass for the end of the answer.
    ErrorCode ignored;
    socket_.set_option(net::socket_base::linger(true, 0), ignored);
    Close(Gone());
  }
}

void Connection::AcceptWebSocket(
    std::uint64_t exchange, WebSocketOptions web_socket_options,
    std::function<void(absl::StatusOr<std::shared_ptr<WebSocket>>)> done) {
  if (state_ == State::kClosed) {
    Call(done, Gone());
    return;
  }
  if (!MayAnswer(exchange)) {
    Call(done, absl::FailedPreconditionError("answered already"));
    return;
  }
  absl::Status refusal;
  if (core().draining) {
    refusal = absl::UnavailableError("the server is shutting down");
  } else if (buffer_.size() > 0 || reading_) {
    // Pipelined behind another request, or followed by frames too early.
    refusal = absl::InvalidArgumentError(
        "a WebSocket handshake must wait for its answer");
    keep_alive_ = false;
  } else if (!IsWebSocketKey(web_socket_key_)) {
    refusal = absl::InvalidArgumentError("malformed sec-websocket-key");
  } else if (!web_socket_options.subprotocol.empty() &&
             !IsValidHeader(web_socket_options.subprotocol, "")) {
    refusal = absl::InternalError("malformed subprotocol");
  }
  if (!refusal.ok()) {
    StartAnswer(ErrorResponse(refusal), false);
    Call(done, refusal);
    return;
  }
  answer_ = Answer::kComplete;
  completed_.store(exchange_);
  MarkClosed();
  state_ = State::kClosed;
  read_deadline_.Clear();
  write_deadline_.Clear();
  auto session = std::make_shared<WebSocketSession>(
      shared_core(), std::move(socket_), std::move(web_socket_options));
  core().Replace(*this, session);
  session->Accept(web_socket_key_, std::move(done));
}

// Writing.

void Connection::Push(Output output) {
  outputs_.push_back(std::move(output));
  if (!writing_) WriteSome();
}

void Connection::WriteSome() {
  if (!writing_) {
    writing_ = true;
    const Output& next = outputs_.front();
    unwritten_.emplace(std::array<net::const_buffer, 3>{
        net::buffer(next.head), net::buffer(next.body),
        net::buffer(next.tail.data(), next.tail.size())});
  }
  write_deadline_.Set(options().write_timeout, Self(),
                      &Connection::OnWriteTimeout);
  socket_.async_write_some(
      *unwritten_, [self = Self()](const ErrorCode& error, std::size_t bytes) {
        self->OnWritten(error, bytes);
      });
}

void Connection::OnWritten(const ErrorCode& error, std::size_t bytes) {
  if (state_ == State::kClosed) return;
  write_deadline_.Clear();
  if (error) {
    Close(Gone());
    return;
  }
  unwritten_->consume(bytes);
  if (beast::buffer_bytes(*unwritten_) > 0) {
    WriteSome();
    return;
  }
  writing_ = false;
  const Output output = std::move(outputs_.front());
  outputs_.pop_front();
  if (output.last) {
    FinishExchange();
    return;
  }
  if (!outputs_.empty()) WriteSome();
  if (output.chunk) chunk_waiting_ = false;
  // Last, since it may write the next chunk.
  Call(output.done, absl::OkStatus());
}

void Connection::OnWriteTimeout() {
  Close(absl::DeadlineExceededError("the client takes no data"));
}

void Connection::FinishExchange() {
  completed_.store(exchange_);
  on_disconnect_ = nullptr;
  if (!keep_alive_ || core().draining) {
    Linger();
    return;
  }
  BeginRequest();
  if (state_ == State::kHeader) {
    Parse();
  } else {
    Read();
  }
}

void Connection::NotifyDisconnect() {
  if (Completed(exchange_)) return;
  Call(std::exchange(on_disconnect_, nullptr));
}

// Closing.

void Connection::Linger() {
  state_ = State::kLingering;
  ErrorCode error;
  socket_.shutdown(Socket::shutdown_send, error);
  if (error || peer_gone_) {
    Close(Gone());
    return;
  }
  read_deadline_.Set(kLingerTimeout, Self(), &Connection::OnReadTimeout);
  Read();
}

void Connection::Close(const absl::Status& reason) {
  if (!MarkClosed()) return;
  state_ = State::kClosed;
  ErrorCode ignored;
  socket_.close(ignored);
  read_deadline_.Clear();
  write_deadline_.Clear();
  core().Remove(*this);
  for (Output& output : outputs_) {
    Call(std::exchange(output.done, nullptr), reason);
  }
  NotifyDisconnect();
}

}  // namespace grpccommon::internal
