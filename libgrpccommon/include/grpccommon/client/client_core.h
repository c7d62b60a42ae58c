// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "google/protobuf/message_lite.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/method.h"
#include "grpccommon/client/call_options.h"
#include "grpcpp/impl/call_op_set.h"
#include "grpcpp/impl/channel_interface.h"
#include "grpcpp/support/status.h"

/// What Client<Service> is made of, without its types.
namespace grpccommon::internal {

struct ClientMethod;

/// A pointer to a member function as a value that can be compared.
class MethodKey {
 public:
  template <typename Member>
  explicit MethodKey(Member member) {
    static_assert(sizeof(member) <= sizeof(bytes_));
    std::memcpy(bytes_, &member, sizeof(member));
  }
  friend bool operator==(const MethodKey&, const MethodKey&) = default;

 private:
  std::size_t bytes_[2] = {0, 0};
};

/// The messages of a call that goes on after its caller has returned.
class GRPCCOMMON_EXPORT AsyncMessages {
 public:
  virtual ~AsyncMessages();
  virtual const google::protobuf::MessageLite& request() const = 0;
  virtual google::protobuf::MessageLite& response() = 0;
  virtual void MoveResponse(google::protobuf::MessageLite& from) = 0;
  virtual void Done(absl::Status status) = 0;
};

/// A stream whose caller blocks, as grpc::ClientReaderWriterInterface has it.
class GRPCCOMMON_EXPORT BlockingStream {
 public:
  virtual ~BlockingStream();
  virtual void WaitForInitialMetadata() = 0;
  virtual bool NextMessageSize(std::uint32_t* size) = 0;
  virtual bool Read(google::protobuf::MessageLite& message) = 0;
  virtual bool Write(const google::protobuf::MessageLite& message,
                     grpc::WriteOptions options) = 0;
  virtual bool WritesDone() = 0;
  virtual grpc::Status Finish() = 0;
};

/// The reactions of a caller's stream reactor.
class GRPCCOMMON_EXPORT StreamReactions {
 public:
  virtual ~StreamReactions();
  virtual void OnReadInitialMetadataDone(bool ok) = 0;
  virtual void OnReadDone(bool ok) = 0;
  virtual void OnWriteDone(bool ok) = 0;
  virtual void OnWritesDoneDone(bool ok) = 0;
  virtual void OnDone(const grpc::Status& status) = 0;
};

/// The stream that such a reactor is bound to, as
/// grpc::ClientCallbackReaderWriter has it. Lives until OnDone.
class GRPCCOMMON_EXPORT AsyncStream {
 public:
  virtual ~AsyncStream();
  virtual void StartCall() = 0;
  virtual void Read(google::protobuf::MessageLite* message) = 0;
  virtual void Write(const google::protobuf::MessageLite* message,
                     grpc::WriteOptions options) = 0;
  virtual void WritesDone() = 0;
  virtual void AddHold(int holds) = 0;
  virtual void RemoveHold() = 0;
};

using MoveMessage = void (*)(google::protobuf::MessageLite& from,
                             google::protobuf::MessageLite& to);

class GRPCCOMMON_EXPORT ClientCore
    : public std::enable_shared_from_this<ClientCore> {
 public:
  virtual ~ClientCore();

  /// Null before `Add`. No lock.
  virtual const ClientMethod* Find(const MethodKey& key) const = 0;
  /// `call` makes a call of the method on the channel that it is given.
  virtual const ClientMethod& Add(
      const MethodKey& key, CallKind kind,
      const std::function<void(
          const std::shared_ptr<grpc::ChannelInterface>& channel)>& call) = 0;

  virtual absl::Status Call(const ClientMethod& method,
                            const CallOptions& options,
                            const google::protobuf::MessageLite& request,
                            google::protobuf::MessageLite& response,
                            MoveMessage move) = 0;
  virtual void CallAsync(const ClientMethod& method, CallOptions options,
                         std::unique_ptr<AsyncMessages> messages) = 0;

  /// `request` is a server stream's and copied, `response` a client stream's;
  /// else null.
  virtual std::unique_ptr<BlockingStream> Open(
      const ClientMethod& method, CallOptions options,
      const google::protobuf::MessageLite* request,
      google::protobuf::MessageLite* response) = 0;
  virtual AsyncStream* Open(const ClientMethod& method, CallOptions options,
                            const google::protobuf::MessageLite* request,
                            google::protobuf::MessageLite* response,
                            std::unique_ptr<StreamReactions> reactions) = 0;
};

/// Calls `start(i, ended)` for each i below `count` and returns when each has
/// called its `ended`; no more than `max_parallel` are under way at a time.
GRPCCOMMON_EXPORT void RunBounded(
    std::size_t count, std::size_t max_parallel,
    const std::function<void(std::size_t index, std::function<void()> ended)>&
        start);

}  // namespace grpccommon::internal
