// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/stream/stream_core.h"
#include "grpcpp/support/server_callback.h"

namespace grpccommon {

/// What happens to a message that finds the queue full.
enum class SlowReader {
  /// The stream ends with RESOURCE_EXHAUSTED, reason "SLOW_READER", and what
  /// was queued is dropped. Where `resume_token` is set, the status tells the
  /// client where to go on.
  kEndStream,
  /// `Write` refuses the message and the stream goes on; the producer waits
  /// (`WhenWritable`).
  kPushBack,
  /// A message replaces the queued one with the same key and takes its place in
  /// the order, full or not. More distinct keys than places end the stream.
  kKeepLatest,
  /// The oldest message gives way. Where `missed` is set, the client gets a
  /// message that says how many went missing, in their place.
  kDropOldest,
};

template <typename Response>
struct StreamWriterOptions {
  /// Messages that wait for the client, in [1, 2^20], besides the one that gRPC
  /// has. Their places are made as they are needed.
  std::size_t max_queued = 1024;
  /// For kEndStream and kPushBack: once they have this many bytes, as they are
  /// sent, the queue is full; 0 for any number. So they have at most as many,
  /// and one message more.
  std::size_t max_queued_bytes = 0;
  SlowReader slow_reader = SlowReader::kEndStream;
  /// Required by kKeepLatest, else unused.
  std::function<std::string(const Response&)> key;
  /// For kDropOldest: makes the message for `missed` dropped ones.
  std::function<Response(std::uint64_t missed)> missed;
  /// For kEndStream and kKeepLatest: where a client that got this message, as
  /// the last one, can resume. Sent as `resume_token` in the metadata of
  /// ErrorInfo.
  std::function<std::string(const Response&)> resume_token;
  /// How long such a client is asked to wait (RetryInfo).
  std::chrono::nanoseconds resume_delay = std::chrono::seconds(1);
};

namespace internal {

/// The sending half of a stream: a bounded queue, and the writes that empty it.
///
/// One write is outstanding at a time (`busy_`); whoever makes the queue
/// non-empty starts it, its completion starts the next. Every write that
/// another one is sure to follow carries gRPC's buffer hint, so that many
/// messages leave in one system call; the last queued one never does, or it
/// would stay in the buffer, nor does the first of the call, since gRPC then
/// keeps back the initial metadata and the write never completes.
///
/// Two uncontended locks a message cost about 30 ns of the 1700 that gRPC
/// takes, and keep the decisions in one place.
template <typename Response>
class StreamSender : public StreamCore {
 public:
  /// Thread-safe. See StreamWriter::Write.
  absl::Status Push(const Response& message) {
    return Push([&](Slot& slot) { slot.owned = message; }, message);
  }
  absl::Status Push(Response&& message) {
    // Swapped, so that a producer which reuses its message allocates nothing.
    return Push(
        [&](Slot& slot) {
          using std::swap;
          swap(slot.owned, message);
        },
        message);
  }
  absl::Status Push(std::shared_ptr<const Response> message) {
    const Response& reference = *message;
    return Push([&](Slot& slot) { slot.shared = std::move(message); },
                reference);
  }

  /// Sends what is queued, then `status`.
  void Drain(absl::Status status) {
    Step step;
    {
      const MutexLock lock(mutex_);
      if (closed_ != absl::StatusCode::kOk) return;
      closed_ = absl::StatusCode::kFailedPrecondition;
      draining_ = std::move(status);
      step = NextLocked();
    }
    Perform(std::move(step));
  }

  /// Drops what is queued and ends the stream, also while it drains.
  void Abort(absl::Status status) {
    bool send;
    {
      const MutexLock lock(mutex_);
      ClearLocked();
      send = CloseLocked(std::move(status));
    }
    if (send) SendEnd();
  }

  /// Abort that does not wait for what gRPC has, either.
  void Cut(const absl::Status& status) {
    bool cancel;
    bool send;
    {
      const MutexLock lock(mutex_);
      ClearLocked();
      // A status that was sent may wait behind a message.
      cancel = busy_ || end_ == End::kSent;
      send = CloseLocked(status);
    }
    if (cancel) CancelCall(status);
    if (send) SendEnd();
  }

  void CallWhenWritable(std::function<void()> callback,
                        std::optional<std::size_t> waiting) {
    {
      const MutexLock lock(mutex_);
      writable_at_ = std::min(waiting.value_or(options_.max_queued / 2),
                              options_.max_queued - 1);
      if (!WritableLocked() && closed_ == absl::StatusCode::kOk) {
        when_writable_ = std::move(callback);
        return;
      }
    }
    callback();
  }

  void CallWhenIdle(std::function<void()> callback) {
    when_idle_ = std::move(callback);
  }

  std::size_t room() const {
    const MutexLock lock(mutex_);
    return closed_ == absl::StatusCode::kOk ? options_.max_queued - count_ : 0;
  }
  std::uint64_t dropped() const {
    const MutexLock lock(mutex_);
    return dropped_;
  }
  bool closed() const {
    const MutexLock lock(mutex_);
    return closed_ != absl::StatusCode::kOk;
  }

  /// What a thread has to do with gRPC once it has let go of all locks. It is
  /// inside the stream until it has performed this.
  struct Step {
    enum class Kind {
      kNone,
      kWrite,
      kMissed,
      /// Message and status in one go.
      kLast,
      /// The status, which is known to the core.
      kEnd,
      /// `status`, for a callback threw.
      kThrown,
      kSlowReader,
    };
    Kind kind = Kind::kNone;
    grpc::WriteOptions options;
    /// Of kMissed: the missing messages; of kSlowReader: those that waited.
    std::uint64_t count = 0;
    absl::Status status;
    /// Dies with the step, and so without locks.
    std::shared_ptr<const Response> sent;
  };

  /// Push for a caller that holds a lock of its own, which must not be held
  /// while gRPC is called: it performs `step` later. Runs `key` under that
  /// lock. `bytes` is 0, or from an earlier call for the same message.
  absl::Status Enqueue(const std::shared_ptr<const Response>& message,
                       std::size_t& bytes, Step& step) {
    return Enqueue([&](Slot& slot) { slot.shared = message; }, *message, bytes,
                   step);
  }
  /// In a catch clause: the step that ends the stream for it.
  absl::Status Thrown(const char* where, Step& step) {
    {
      const MutexLock lock(mutex_);
      // The context may be gone with the call.
      if (end_ != End::kOpen) return ClosedStatus(closed_);
      ClearLocked();
      closed_ = absl::StatusCode::kInternal;
      ++inside_;
    }
    step.kind = Step::Kind::kThrown;
    step.status = ThrownStatus(where);
    return ClosedStatus(absl::StatusCode::kInternal);
  }
  void Perform(Step step) {
    switch (step.kind) {
      case Step::Kind::kNone:
        return;
      case Step::Kind::kMissed:
        try {
          in_flight_.shared.reset();
          in_flight_.owned = options_.missed(step.count);
        } catch (...) {
          Abort(ThrownStatus("missed"));
          break;
        }
        [[fallthrough]];
      case Step::Kind::kWrite:
        StartSend(in_flight_.get(), step.options);
        break;
      case Step::Kind::kLast:
        // Nobody else is inside, nor can come in.
        StartSendLast(in_flight_.get(), ToGrpcStatus(step.status));
        return;
      case Step::Kind::kEnd:
        break;
      case Step::Kind::kThrown:
        Close(std::move(step.status));
        break;
      case Step::Kind::kSlowReader:
        Close(RefuseSlowReader(step.count));
        break;
    }
    Leave();
  }

 protected:
  StreamSender(const grpc::ServerContextBase& context,
               StreamWriterOptions<Response> options)
      : StreamCore(context), options_(std::move(options)) {
    assert(options_.max_queued >= 1 && options_.max_queued <= (1u << 20));
    assert(options_.slow_reader != SlowReader::kKeepLatest ||
           options_.key != nullptr);
    assert(options_.max_queued_bytes == 0 ||
           options_.slow_reader == SlowReader::kEndStream ||
           options_.slow_reader == SlowReader::kPushBack);
  }

  virtual void StartSend(const Response* message,
                         grpc::WriteOptions options) = 0;
  virtual void StartSendLast(const Response* message, grpc::Status status) = 0;

  /// gRPC's OnWriteDone.
  void Sent(bool ok) {
    Step step;
    std::shared_ptr<const Response> sent;  // dies without the lock
    bool end = false;
    bool idle = false;
    std::function<void()> writable;
    {
      const MutexLock lock(mutex_);
      busy_ = false;
      if (ok) {
        step = NextLocked();
        idle = !busy_ && closed_ == absl::StatusCode::kOk;
        // Unless somebody asks it for a resume token just now.
        if (idle) {
          sent = std::move(in_flight_.shared);
          ForgetLocked(in_flight_);
        }
      } else {
        ClearLocked();
        end = CloseLocked(absl::CancelledError("the client has gone"));
      }
      if (when_writable_ != nullptr && WritableLocked()) {
        writable = std::exchange(when_writable_, nullptr);
      }
    }
    if (end) SendEnd();
    Perform(std::move(step));
    if (writable != nullptr) RunFenced("writable", writable);
    if (idle && when_idle_ != nullptr) RunFenced("idle", when_idle_);
  }

  /// To be called from OnDone: lets a waiting producer find out.
  void SenderDone() {
    std::function<void()> writable;
    {
      const MutexLock lock(mutex_);
      writable = std::exchange(when_writable_, nullptr);
    }
    if (writable != nullptr) RunFenced("writable", writable);
  }

  bool WritableLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return count_ <= writable_at_ && bytes_ <= options_.max_queued_bytes / 2;
  }
  bool FullLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return count_ == options_.max_queued ||
           (options_.max_queued_bytes > 0 &&
            bytes_ >= options_.max_queued_bytes);
  }

  void ClearLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    count_ = 0;
    bytes_ = 0;
    missed_ = 0;
    draining_.reset();
    places_.clear();
    std::vector<Slot>().swap(slots_);
  }

 private:
  // A message of our own, or one shared with other streams.
  struct Slot {
    Response owned;
    std::shared_ptr<const Response> shared;
    std::string key;
    std::size_t bytes = 0;  // where they are limited

    const Response* get() const {
      return shared != nullptr ? shared.get() : &owned;
    }
    void Swap(Slot& other) {
      using std::swap;
      swap(owned, other.owned);
      shared.swap(other.shared);
      key.swap(other.key);
      swap(bytes, other.bytes);
    }
  };

  // Places that an idle stream keeps, so that a steady one allocates nothing.
  static constexpr std::size_t kKeptSlots = 16;

  template <typename Fill>
  absl::Status Push(Fill fill, const Response& message) {
    Step step;
    std::size_t bytes = 0;
    absl::Status status = Enqueue(fill, message, bytes, step);
    Perform(std::move(step));
    return status;
  }

  template <typename Fill>
  absl::Status Enqueue(Fill fill, const Response& message, std::size_t& bytes,
                       Step& step) {
    const bool keyed = options_.slow_reader == SlowReader::kKeepLatest;
    std::string key;
    if (keyed) {
      try {
        key = options_.key(message);
      } catch (...) {
        return Thrown("key", step);
      }
    }
    if (options_.max_queued_bytes > 0 && bytes == 0) bytes = BytesOf(message);
    const MutexLock lock(mutex_);
    if (closed_ != absl::StatusCode::kOk) return ClosedStatus(closed_);
    if (keyed) {
      const auto [place, fresh] = places_.try_emplace(key, head_ + count_);
      if (!fresh) {
        Slot& slot = SlotAt(place->second);
        slot.shared.reset();
        fill(slot);
        ++dropped_;
        return absl::OkStatus();
      }
    }
    if (FullLocked()) {
      switch (options_.slow_reader) {
        case SlowReader::kPushBack:
          return absl::ResourceExhaustedError("the queue is full");
        case SlowReader::kDropOldest:
          ++head_;
          --count_;
          ++missed_;
          ++dropped_;
          break;
        case SlowReader::kEndStream:
        case SlowReader::kKeepLatest:
          // A write is outstanding, or the queue would not be full, and none
          // follows it: `in_flight_` stays as it is.
          step.count = count_;
          ClearLocked();
          closed_ = absl::StatusCode::kResourceExhausted;
          ++inside_;
          step.kind = Step::Kind::kSlowReader;
          return ClosedStatus(closed_);
      }
    }
    if (count_ == slots_.size()) GrowLocked();
    Slot& slot = SlotAt(head_ + count_);
    ++count_;
    slot.shared.reset();
    fill(slot);
    slot.bytes = options_.max_queued_bytes > 0 ? bytes : 0;
    bytes_ += slot.bytes;
    if (keyed) slot.key = std::move(key);
    step = NextLocked();
    return absl::OkStatus();
  }

  Step NextLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Step step;
    if (busy_ || end_ != End::kOpen) return step;
    if (missed_ > 0 && options_.missed != nullptr) {
      step.kind = Step::Kind::kMissed;
      step.count = std::exchange(missed_, 0);
    } else if (count_ > 0) {
      Slot& slot = SlotAt(head_);
      if (options_.slow_reader == SlowReader::kKeepLatest) {
        places_.erase(slot.key);
      }
      in_flight_.Swap(slot);
      step.sent = std::move(slot.shared);
      ForgetLocked(slot);
      ++head_;
      --count_;
      bytes_ -= in_flight_.bytes;
      if (count_ == 0 && slots_.size() > kKeptSlots) {
        std::vector<Slot>().swap(slots_);
      }
      // A thread that is inside (it starts a read) must be out before the
      // status goes; the message then goes alone.
      if (count_ == 0 && draining_.has_value() && inside_ == 0) {
        step.kind = Step::Kind::kLast;
        step.status = *std::exchange(draining_, std::nullopt);
        end_ = End::kSent;
        return step;
      }
      step.kind = Step::Kind::kWrite;
    } else {
      if (!draining_.has_value()) return step;
      ++inside_;  // so that the step, or a later thread, sends it
      (void)CloseLocked(*std::exchange(draining_, std::nullopt));
      step.kind = Step::Kind::kEnd;
      return step;
    }
    busy_ = true;
    ++inside_;
    if (count_ > 0 && !first_) step.options.set_buffer_hint();
    first_ = false;
    return step;
  }

  // A place keeps its message's memory for the next one, unless that is
  // bounded.
  void ForgetLocked(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (options_.max_queued_bytes > 0) slot.owned = Response();
  }

  static std::size_t BytesOf(const Response& message) {
    if constexpr (requires { message.ByteSizeLong(); }) {
      return message.ByteSizeLong();
    } else {
      return message.Length();  // grpc::ByteBuffer
    }
  }

  absl::Status RefuseSlowReader(std::uint64_t waiting) {
    try {
      const std::string token = options_.resume_token != nullptr
                                    ? options_.resume_token(*in_flight_.get())
                                    : std::string();
      return SlowReaderStatus(waiting, options_.resume_delay, token);
    } catch (...) {
      return ThrownStatus("resume_token");
    }
  }

  Slot& SlotAt(std::uint64_t place) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return slots_[place & (slots_.size() - 1)];  // the size is a power of two
  }

  void GrowLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::vector<Slot> larger(std::max(kKeptSlots, slots_.size() * 2));
    for (std::uint64_t place = head_; place < head_ + count_; ++place) {
      larger[place & (larger.size() - 1)].Swap(SlotAt(place));
    }
    slots_.swap(larger);
  }

  const StreamWriterOptions<Response> options_;
  // Owned by whoever performs the step that took it, until its write is done.
  Slot in_flight_;
  // Messages are numbered; number n lies at n modulo the size.
  std::vector<Slot> slots_ ABSL_GUARDED_BY(mutex_);
  std::uint64_t head_ ABSL_GUARDED_BY(mutex_) = 0;
  std::size_t count_ ABSL_GUARDED_BY(mutex_) = 0;
  std::size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unordered_map<std::string, std::uint64_t> places_
      ABSL_GUARDED_BY(mutex_);
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  bool first_ ABSL_GUARDED_BY(mutex_) = true;
  std::uint64_t missed_ ABSL_GUARDED_BY(mutex_) = 0;
  std::uint64_t dropped_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<absl::Status> draining_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> when_writable_ ABSL_GUARDED_BY(mutex_);
  std::size_t writable_at_ ABSL_GUARDED_BY(mutex_) = options_.max_queued / 2;
  // Set before the first message, and so before it is read.
  std::function<void()> when_idle_;
};

}  // namespace internal
}  // namespace grpccommon
