// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "grpccommon/base/export.h"
#include "grpccommon/http/uri.h"

namespace grpccommon {

/// Header fields in order; names compare without regard to case.
class GRPCCOMMON_EXPORT HttpHeaders {
 public:
  using Field = std::pair<std::string, std::string>;

  HttpHeaders() = default;
  HttpHeaders(std::initializer_list<Field> fields) : fields_(fields) {}

  /// Keeps fields of the same name (`set-cookie`).
  void Add(std::string_view name, std::string_view value);
  /// Replaces them.
  void Set(std::string_view name, std::string_view value);
  void Remove(std::string_view name);

  /// The first field of that name.
  std::optional<std::string_view> Get(std::string_view name) const;
  const std::vector<Field>& fields() const { return fields_; }

 private:
  std::vector<Field> fields_;
};

/// True for what may be sent as a header: the name a token, the value without
/// control characters, so that no value can end its line and begin another.
GRPCCOMMON_EXPORT bool IsValidHeader(std::string_view name,
                                     std::string_view value);

/// A whole request. The body has been read and is within the server's limit.
struct GRPCCOMMON_EXPORT HttpRequest {
  /// As sent, case-sensitive: "GET". A HEAD that a GET route answers stays
  /// "HEAD" here.
  std::string method;
  /// Path and query, decoded once; see uri.h.
  RequestTarget target;
  HttpHeaders headers;
  std::string body;
  /// What the `{name}` parts of the route's pattern matched, decoded.
  std::vector<std::pair<std::string, std::string>> captures;
  /// The other end of the connection: "192.0.2.1:4711", "[2001:db8::1]:4711".
  std::string peer;

  /// Empty if the pattern has no such capture.
  std::string_view Capture(std::string_view name) const;
  /// The first parameter of that name.
  std::optional<std::string_view> Query(std::string_view name) const;
};

struct HttpResponse {
  /// In [200, 599].
  int status = 200;
  /// `content-length`, `transfer-encoding`, `connection` and `date` are the
  /// server's: it sets them and leaves out those given here.
  HttpHeaders headers;
  std::string body;
};

GRPCCOMMON_EXPORT HttpResponse TextResponse(std::string body);
GRPCCOMMON_EXPORT HttpResponse JsonResponse(std::string json, int status = 200);

/// The error format of the whole HTTP side, google.rpc.Status as JSON:
/// `{"code":5,"message":"…","details":[…]}`. The HTTP status is the one that
/// google.rpc.Code maps the code to; details of types that this program does
/// not know are left out. Requires a status that is not OK.
GRPCCOMMON_EXPORT HttpResponse ErrorResponse(const absl::Status& error);
/// The same with another HTTP status, where HTTP has a more exact one.
GRPCCOMMON_EXPORT HttpResponse ErrorResponse(const absl::Status& error,
                                             int http_status);

/// How a handler answers one request, once: by `Send`, or by `Start`, any
/// number of `Write`s, and `End`. Answering a second time does nothing.
///
/// Thread-safe, and may outlive the handler, the connection and the server.
/// When the last reference goes without an answer, the server sends 500; when
/// it goes in the middle of a stream, the server resets the connection, so
/// that the client cannot take half an answer for a whole one.
class GRPCCOMMON_EXPORT ResponseWriter {
 public:
  /// `status` is OK when the bytes have been handed to the operating system.
  /// Runs on an I/O thread of the server, never within a `Write` there, so that
  /// it may write the next chunk; only if the connection is gone already, on
  /// the calling thread before the call returns.
  using Done = std::function<void(absl::Status status)>;

  virtual ~ResponseWriter() = default;

  /// Answers with `response` as a whole. A status or header that may not be
  /// sent (see IsValidHeader) becomes a 500, and is logged.
  virtual void Send(HttpResponse response) = 0;

  /// Begins a stream with status and headers, which are sent at once; the body
  /// is the first chunk. The length is unknown to the client: chunked, or for
  /// HTTP/1.0 until the connection closes. The answer to HEAD, and one with the
  /// status 204 or 304, has no body: it is complete with this, as after `End`.
  virtual void Start(HttpResponse head) = 0;

  /// Sends a chunk. One at a time: wait for `done` before the next, which is
  /// the back pressure of a slow client. An empty chunk sends nothing.
  /// Errors to `done`: kFailedPrecondition before `Start`, after `End` or while
  /// another chunk is on its way; kUnavailable if the connection is gone;
  /// kDeadlineExceeded if the client took nothing for the write timeout.
  virtual void Write(std::string chunk, Done done) = 0;

  /// Ends the stream; may follow a `Write` that is not done yet.
  virtual void End() = 0;

  /// Runs `callback` at most once, if the client goes (or half-closes) before
  /// the answer is complete, the server closes the connection, or `Start` has
  /// completed a stream that may have no body: time to cancel what works for
  /// it. At once if that has happened already. It runs on an I/O thread, or on
  /// this one if the connection is gone already. Replaces an earlier callback;
  /// never runs after any other answer is complete.
  virtual void OnDisconnect(std::function<void()> callback) = 0;
};

/// Handles a request. Runs on an I/O thread of the server, so it must not
/// block; what takes time keeps the writer and answers later, from any thread.
/// An exception becomes a 500 and a log line.
using HttpHandler = std::function<void(
    HttpRequest request, std::shared_ptr<ResponseWriter> response)>;

}  // namespace grpccommon
