// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/stream/stream_core.h"
#include "grpccommon/stream/stream_sender.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"

namespace grpccommon {

/// What a stream does after a message.
enum class Flow {
  /// Reads the next one.
  kNext,
  /// Waits for `Resume`. gRPC's flow control then holds up the client; nothing
  /// is buffered here.
  kPause,
};

/// Reads a client stream, one message at a time, and answers once. Derive from
/// it and start it in the handler:
///
///   return Upload::Start(std::make_shared<Upload>(*context, response, disk_));
///
/// The hooks run on gRPC's threads, never two at once but for OnCancelled, and
/// must not block: a hook that has to wait hands the message to a thread of the
/// application's and returns kPause. What they throw ends the call with
/// INTERNAL and is logged.
/// Keeps itself alive until gRPC is done with the call; threads that work for
/// it share it and may outlive the call, then `Resume` and `Finish` do nothing.
template <typename Request, typename Response>
class StreamReader
    : private grpc::ServerReadReactor<Request>,
      private internal::StreamCore,
      public std::enable_shared_from_this<StreamReader<Request, Response>> {
 public:
  ~StreamReader() override = default;

  /// What the handler returns to gRPC.
  static grpc::ServerReadReactor<Request>* Start(
      std::shared_ptr<StreamReader> stream) {
    StreamReader* const reader = stream.get();
    bool read;
    {
      const MutexLock lock(reader->mutex_);
      reader->self_ = std::move(stream);
      read = reader->TakeReadLocked();
    }
    if (read) reader->Read();
    return reader;
  }

  /// Ends a pause. Thread-safe; may come before OnMessage has returned kPause.
  /// The message that OnMessage was given is overwritten from here on.
  void Resume() {
    bool read;
    {
      const MutexLock lock(mutex_);
      read_.resumed = read_.handling;
      read_.paused = false;
      read = TakeReadLocked();
    }
    if (read) Read();
  }

  /// Answers the call and reads no further. Thread-safe; only the first
  /// `Finish` counts. Before OnEnd an answer suits clients only that read while
  /// they write: gRPC's synchronous client, when its write waits for flow
  /// control, hears of an early error, but not of an early answer.
  void Finish(Response response) {
    bool send;
    {
      const MutexLock lock(mutex_);
      if (end_ != End::kOpen) return;
      *response_ = std::move(response);
      send = CloseLocked(absl::OkStatus());
    }
    if (send) SendEnd();
  }
  /// Ends the call with an error.
  void Finish(absl::Status error) { Close(std::move(error)); }

  /// Whether the call has ended or the client has gone: work can stop.
  bool closed() const {
    const MutexLock lock(mutex_);
    return closed_ != absl::StatusCode::kOk;
  }

 protected:
  /// Both are the call's own and borrowed until it is done.
  StreamReader(const grpc::CallbackServerContext& context, Response* response)
      : StreamCore(context), response_(response) {}

  /// A message; the hook may change it and move from it. With kPause it stays
  /// as it is until `Resume`.
  virtual Flow OnMessage(Request& request) = 0;
  /// The client has sent everything. `Finish` now or later.
  virtual void OnEnd() = 0;
  /// The client has gone or an interceptor refused a message; nothing can be
  /// answered any more. At most once, and not after `Finish`. May run beside
  /// OnMessage.
  virtual void OnCancelled() {}

 private:
  using Base = grpc::ServerReadReactor<Request>;

  bool TakeReadLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (end_ != End::kOpen || !read_.MayRead()) return false;
    read_.reading = true;
    ++inside_;
    return true;
  }
  void Read() {
    Base::StartRead(&request_);
    Leave();
  }

  void OnReadDone(bool ok) final {
    {
      const MutexLock lock(mutex_);
      read_.reading = false;
      read_.ended = !ok;
      read_.resumed = false;
      if (end_ != End::kOpen) return;
      read_.handling = ok;
    }
    if (!ok) {
      if (Lost()) {
        OnCancel();
      } else {
        RunFenced("OnEnd", [this] { OnEnd(); });
      }
      return;
    }
    Flow flow = Flow::kPause;
    RunFenced("OnMessage", [this, &flow] { flow = OnMessage(request_); });
    bool read;
    {
      const MutexLock lock(mutex_);
      read_.handling = false;
      read_.paused = flow == Flow::kPause && !read_.resumed;
      read = TakeReadLocked();
    }
    if (read) Read();
  }

  void OnCancel() final {
    bool send;
    {
      const MutexLock lock(mutex_);
      if (end_ != End::kOpen) return;
      send = CloseLocked(absl::CancelledError("the client has gone"));
    }
    RunFenced("OnCancelled", [this] { OnCancelled(); });
    // The status may be another thread's to send; OnDone waits for this too.
    end_baton_.Pass();
    if (send) SendEnd();
  }

  void OnDone() final {
    end_baton_.Take();
    RunDoneCallbacks();
    std::shared_ptr<StreamReader> self;
    const MutexLock lock(mutex_);
    self.swap(self_);
  }

  void SendStatus(grpc::Status status) final {
    end_baton_.Pass();
    Base::Finish(std::move(status));
  }

  Response* const response_;
  Request request_;
  internal::ReadState read_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<StreamReader> self_ ABSL_GUARDED_BY(mutex_);
};

/// Reads and writes a bidirectional stream: the hooks of StreamReader and the
/// queue of StreamWriter. While results wait for a client that does not read
/// them (more than half of what may), none of its messages is read, so a
/// hook that writes one result a message never finds the queue full.
template <typename Request, typename Response>
class StreamBidi
    : private grpc::ServerBidiReactor<Request, Response>,
      private internal::StreamSender<Response>,
      public std::enable_shared_from_this<StreamBidi<Request, Response>> {
 public:
  ~StreamBidi() override = default;

  /// What the handler returns to gRPC.
  static grpc::ServerBidiReactor<Request, Response>* Start(
      std::shared_ptr<StreamBidi> stream) {
    StreamBidi* const bidi = stream.get();
    bool read;
    {
      const MutexLock lock(bidi->mutex_);
      bidi->self_ = std::move(stream);
      read = bidi->TakeReadLocked();
    }
    if (read) bidi->Read();
    return bidi;
  }

  /// As StreamReader::Resume.
  void Resume() {
    bool read;
    {
      const MutexLock lock(this->mutex_);
      read_.resumed = read_.handling;
      read_.paused = false;
      read = TakeReadLocked();
    }
    if (read) Read();
  }

  /// As StreamWriter::Write.
  absl::Status Write(const Response& message) { return this->Push(message); }
  absl::Status Write(Response&& message) {
    return this->Push(std::move(message));
  }
  absl::Status Write(std::shared_ptr<const Response> message) {
    return this->Push(std::move(message));
  }

  /// Sends what is queued, then the status, and reads no further. Thread-safe;
  /// only the first call counts.
  void Finish(absl::Status status) {
    {
      const MutexLock lock(this->mutex_);
      read_.ended = true;
    }
    this->Drain(std::move(status));
  }
  /// Drops what is queued and ends the call, also one that is finishing.
  void Abort(absl::Status status) {
    internal::StreamSender<Response>::Abort(std::move(status));
  }

  using internal::StreamSender<Response>::closed;
  using internal::StreamSender<Response>::dropped;
  using internal::StreamSender<Response>::room;

 protected:
  /// `context` is the call's own and borrowed until it is done.
  explicit StreamBidi(const grpc::CallbackServerContext& context,
                      StreamWriterOptions<Response> options = {})
      : internal::StreamSender<Response>(context, std::move(options)) {}

  virtual Flow OnMessage(Request& request) = 0;
  /// The client has sent everything; results may still be written. The default
  /// finishes with OK.
  virtual void OnEnd() { Finish(absl::OkStatus()); }
  /// As StreamReader's; may run beside OnMessage and OnEnd, and on a thread
  /// that is in `Write`.
  virtual void OnCancelled() {}

 private:
  using Base = grpc::ServerBidiReactor<Request, Response>;
  using typename internal::StreamCore::End;

  bool TakeReadLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(this->mutex_) {
    if (this->end_ != End::kOpen || !read_.MayRead()) return false;
    read_.reading = true;
    ++this->inside_;
    return true;
  }
  void Read() {
    Base::StartRead(&request_);
    this->Leave();
  }

  void OnReadDone(bool ok) final {
    {
      const MutexLock lock(this->mutex_);
      const bool ended = std::exchange(read_.ended, read_.ended || !ok);
      read_.reading = false;
      read_.resumed = false;
      if (this->end_ != End::kOpen || ended) return;
      read_.handling = ok;
    }
    if (!ok) {
      if (this->Lost()) {
        OnCancel();
      } else {
        this->RunFenced("OnEnd", [this] { OnEnd(); });
      }
      return;
    }
    Flow flow = Flow::kPause;
    this->RunFenced("OnMessage", [this, &flow] { flow = OnMessage(request_); });
    bool read;
    {
      const MutexLock lock(this->mutex_);
      read_.handling = false;
      read_.paused = flow == Flow::kPause && !read_.resumed;
      read_.full = !this->WritableLocked();
      read = TakeReadLocked();
    }
    if (read) Read();
  }

  void OnWriteDone(bool ok) final {
    // gRPC may say so later, or beside this.
    if (!ok) OnCancel();
    this->Sent(ok);
    bool read;
    {
      const MutexLock lock(this->mutex_);
      read_.full = !this->WritableLocked();
      read = TakeReadLocked();
    }
    if (read) Read();
  }

  void OnCancel() final {
    bool unfinished;
    {
      const MutexLock lock(this->mutex_);
      if (this->end_ != End::kOpen) return;
      unfinished = this->closed_ == absl::StatusCode::kOk;
      this->ClearLocked();
      ++this->inside_;  // holds the status back until OnCancelled has run
      (void)this->CloseLocked(absl::CancelledError("the client has gone"));
    }
    if (unfinished) {
      this->RunFenced("OnCancelled", [this] { OnCancelled(); });
    }
    this->Leave();
  }

  void OnDone() final {
    this->end_baton_.Take();
    this->SenderDone();
    this->RunDoneCallbacks();
    std::shared_ptr<StreamBidi> self;
    const MutexLock lock(this->mutex_);
    self.swap(self_);
  }

  void StartSend(const Response* message, grpc::WriteOptions options) final {
    Base::StartWrite(message, options);
  }
  void StartSendLast(const Response* message, grpc::Status status) final {
    this->end_baton_.Pass();
    Base::StartWriteAndFinish(message, grpc::WriteOptions(), std::move(status));
  }
  void SendStatus(grpc::Status status) final {
    this->end_baton_.Pass();
    Base::Finish(std::move(status));
  }

  Request request_;
  internal::ReadState read_ ABSL_GUARDED_BY(this->mutex_);
  std::shared_ptr<StreamBidi> self_ ABSL_GUARDED_BY(this->mutex_);
};

}  // namespace grpccommon
