// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/stream/stream_core.h"
#include "grpccommon/stream/stream_sender.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"

namespace grpccommon {

template <typename Message, typename Subject>
class Broadcaster;
template <typename Message>
class StateFeed;

/// Sends a server stream from any thread, through a bounded queue:
///
///   auto writer = StreamWriter<Event>::Create(*context, {.max_queued = 100});
///   events_.Subscribe(writer);
///   return writer->reactor();
///
/// Messages that wait together leave together, by gRPC's buffer hints, which
/// makes twice the messages a second. A client that does not read meets
/// `StreamWriterOptions::slow_reader`.
///
/// Thread-safe. Keeps itself alive until gRPC is done with the call; producers
/// share it and may outlive the call, then their writes fail. What the options'
/// callbacks throw ends the stream with INTERNAL and is logged.
/// `Response` is a message, or grpc::ByteBuffer in a raw method.
template <typename Response>
class StreamWriter final
    : private grpc::ServerWriteReactor<Response>,
      private internal::StreamSender<Response>,
      public std::enable_shared_from_this<StreamWriter<Response>> {
  struct Private {};

 public:
  using Options = StreamWriterOptions<Response>;

  /// `context` is the call's own, and its handler returns `reactor()` once
  /// anybody else has the stream. Options are checked by assert.
  static std::shared_ptr<StreamWriter> Create(
      const grpc::CallbackServerContext& context, Options options = {}) {
    return std::make_shared<StreamWriter>(Private(), context,
                                          std::move(options));
  }

  StreamWriter(Private, const grpc::CallbackServerContext& context,
               Options options)
      : internal::StreamSender<Response>(context, std::move(options)) {}

  /// What the handler returns to gRPC; to be called once, and not unless the
  /// handler returns it. Messages may be written before.
  grpc::ServerWriteReactor<Response>* reactor() {
    const MutexLock lock(this->mutex_);
    self_ = this->shared_from_this();
    return this;
  }

  /// Queues a message; never blocks. The rvalue is left with some old content,
  /// whose memory the next message may reuse.
  /// Errors: kResourceExhausted if the queue was full (the policy says whether
  /// the stream has ended), kFailedPrecondition after `Finish`, kCancelled
  /// after the client has gone or the stream was aborted. Nothing is queued
  /// then.
  absl::Status Write(const Response& message) { return this->Push(message); }
  absl::Status Write(Response&& message) {
    return this->Push(std::move(message));
  }
  /// Shares the message instead of copying it; nobody may change it any more.
  absl::Status Write(std::shared_ptr<const Response> message) {
    return this->Push(std::move(message));
  }

  /// Sends what is queued, then the status. Only the first call counts.
  void Finish(absl::Status status) { this->Drain(std::move(status)); }

  /// Drops what is queued and ends the stream, also one that is finishing. A
  /// client that never reads gets the status only once it does.
  void Abort(absl::Status status) {
    internal::StreamSender<Response>::Abort(std::move(status));
  }

  /// The same past what gRPC has and the client has not read, which is dropped,
  /// too, be it a status: the call ends at once, whatever the client does. If
  /// there was such, only the code and the text (of ASCII) reach the client: no
  /// details, no trailing metadata.
  void Cut(const absl::Status& status) {
    internal::StreamSender<Response>::Cut(status);
  }

  /// Calls `callback` once, when the queue is at most half full, by messages
  /// (or with at most `waiting`) and by bytes, or the stream has ended: at
  /// once, or on a gRPC thread, which it must not block. A second one replaces
  /// a first that still waits.
  void WhenWritable(std::function<void()> callback,
                    std::optional<std::size_t> waiting = std::nullopt) {
    this->CallWhenWritable(std::move(callback), waiting);
  }
  /// Calls `callback` each time that all which was written has left, until the
  /// stream ends: on a gRPC thread, which it must not block. For producers that
  /// make the next message when there is room for it, and not before
  /// (StateFeed). To be called before the first message.
  void WhenIdle(std::function<void()> callback) {
    this->CallWhenIdle(std::move(callback));
  }
  /// Calls `callback` when gRPC is done with the call, whatever ended it: on a
  /// gRPC thread, or at once if it is. The last thing that happens to a stream.
  void WhenDone(std::function<void()> callback) {
    this->AddDoneCallback(std::move(callback));
  }

  /// How many messages the queue has room for, whatever their bytes; 0 once the
  /// stream takes none.
  using internal::StreamSender<Response>::room;
  /// Messages that gave way to newer ones.
  using internal::StreamSender<Response>::dropped;
  /// Whether every further write will fail.
  using internal::StreamSender<Response>::closed;

 private:
  template <typename Message, typename Subject>
  friend class Broadcaster;
  template <typename Message>
  friend class StateFeed;
  using Base = grpc::ServerWriteReactor<Response>;

  void StartSend(const Response* message, grpc::WriteOptions options) override {
    Base::StartWrite(message, options);
  }
  void StartSendLast(const Response* message, grpc::Status status) override {
    this->end_baton_.Pass();
    Base::StartWriteAndFinish(message, grpc::WriteOptions(), std::move(status));
  }
  void SendStatus(grpc::Status status) override {
    this->end_baton_.Pass();
    Base::Finish(std::move(status));
  }

  void OnWriteDone(bool ok) override { this->Sent(ok); }
  void OnCancel() override {
    Abort(absl::CancelledError("the client has gone"));
  }
  void OnDone() override {
    this->end_baton_.Take();
    this->SenderDone();
    this->RunDoneCallbacks();
    std::shared_ptr<StreamWriter> self;
    const MutexLock lock(this->mutex_);
    self.swap(self_);
  }

  std::shared_ptr<StreamWriter> self_ ABSL_GUARDED_BY(this->mutex_);
};

/// Sends the messages that a function makes, one after the other, as fast as
/// the client reads them: for finite lists, where nothing has to be queued.
///
///   return GeneratorWriter<Row>::Start(*context, [cursor](Row& row) {
///     return cursor->Next(row);
///   });
///
/// The function runs on gRPC's threads, so it must not block, and one message
/// ahead of the client. It returns true with a message in its argument (which
/// holds an old one), false at the end, or the error that ends the stream; what
/// it throws ends the stream with INTERNAL and is logged. It is destroyed with
/// the call.
template <typename Response>
class GeneratorWriter final : private grpc::ServerWriteReactor<Response> {
 public:
  using Generator = std::function<absl::StatusOr<bool>(Response& next)>;

  /// What the handler returns to gRPC.
  static grpc::ServerWriteReactor<Response>* Start(
      const grpc::CallbackServerContext& context, Generator generator) {
    auto* const writer = new GeneratorWriter(context, std::move(generator));
    writer->Generate();
    writer->Continue();
    return writer;
  }

 private:
  using Base = grpc::ServerWriteReactor<Response>;

  GeneratorWriter(const grpc::CallbackServerContext& context,
                  Generator generator)
      : context_(context), generator_(std::move(generator)) {}

  void Generate() {
    try {
      absl::StatusOr<bool> made = generator_(messages_[next_]);
      more_ = made.ok() && *made;
      if (!made.ok()) end_status_ = std::move(made).status();
    } catch (...) {
      more_ = false;
      end_status_ = internal::ThrownStatus(context_, "generator");
    }
  }

  // Sends the message that is ready, having made the one after it: that one's
  // absence tells that the status can go along, its presence that this one may
  // wait in gRPC's buffer.
  void Continue() {
    if (!more_) {
      grpc::Status status = ToGrpcStatus(end_status_);
      baton_.Pass();
      Base::Finish(std::move(status));
      return;
    }
    const Response* const message = &messages_[next_];
    next_ ^= 1;
    Generate();
    grpc::WriteOptions options;
    if (!more_) {
      grpc::Status status = ToGrpcStatus(end_status_);
      baton_.Pass();
      Base::StartWriteAndFinish(message, options, std::move(status));
      return;
    }
    // Never the first: gRPC would keep back the initial metadata, for ever.
    if (!std::exchange(first_, false)) options.set_buffer_hint();
    baton_.Pass();
    Base::StartWrite(message, options);
  }

  void OnWriteDone(bool ok) override {
    baton_.Take();
    if (ok) {
      Continue();
    } else {
      Base::Finish(grpc::Status::CANCELLED);
    }
  }
  void OnDone() override {
    baton_.Take();
    delete this;
  }

  const grpc::CallbackServerContext& context_;
  Baton baton_;
  Generator generator_;
  Response messages_[2];
  int next_ = 0;
  bool more_ = false;
  bool first_ = true;
  absl::Status end_status_;
};

}  // namespace grpccommon
