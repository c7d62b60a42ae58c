// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "grpccommon/client/client_core.h"
#include "grpcpp/support/client_callback.h"
#include "grpcpp/support/sync_stream.h"

/// gRPC's stream interfaces over those without types.
namespace grpccommon::internal {

template <typename Response>
class StreamReaderAdapter final : public grpc::ClientReaderInterface<Response> {
 public:
  explicit StreamReaderAdapter(std::unique_ptr<BlockingStream> stream)
      : stream_(std::move(stream)) {}
  void WaitForInitialMetadata() override { stream_->WaitForInitialMetadata(); }
  bool NextMessageSize(std::uint32_t* size) override {
    return stream_->NextMessageSize(size);
  }
  bool Read(Response* message) override { return stream_->Read(*message); }
  grpc::Status Finish() override { return stream_->Finish(); }

 private:
  const std::unique_ptr<BlockingStream> stream_;
};

template <typename Request>
class StreamWriterAdapter final : public grpc::ClientWriterInterface<Request> {
 public:
  explicit StreamWriterAdapter(std::unique_ptr<BlockingStream> stream)
      : stream_(std::move(stream)) {}
  using grpc::ClientWriterInterface<Request>::Write;
  bool Write(const Request& message, grpc::WriteOptions options) override {
    return stream_->Write(message, options);
  }
  bool WritesDone() override { return stream_->WritesDone(); }
  grpc::Status Finish() override { return stream_->Finish(); }

 private:
  const std::unique_ptr<BlockingStream> stream_;
};

template <typename Request, typename Response>
class StreamReaderWriterAdapter final
    : public grpc::ClientReaderWriterInterface<Request, Response> {
 public:
  explicit StreamReaderWriterAdapter(std::unique_ptr<BlockingStream> stream)
      : stream_(std::move(stream)) {}
  void WaitForInitialMetadata() override { stream_->WaitForInitialMetadata(); }
  bool NextMessageSize(std::uint32_t* size) override {
    return stream_->NextMessageSize(size);
  }
  bool Read(Response* message) override { return stream_->Read(*message); }
  using grpc::ClientReaderWriterInterface<Request, Response>::Write;
  bool Write(const Request& message, grpc::WriteOptions options) override {
    return stream_->Write(message, options);
  }
  bool WritesDone() override { return stream_->WritesDone(); }
  grpc::Status Finish() override { return stream_->Finish(); }

 private:
  const std::unique_ptr<BlockingStream> stream_;
};

template <typename Response>
class ReadReactorAdapter final : public grpc::ClientCallbackReader<Response>,
                                 public StreamReactions {
 public:
  explicit ReadReactorAdapter(grpc::ClientReadReactor<Response>* reactor)
      : reactor_(reactor) {
    this->BindReactor(reactor);
  }
  void Bind(AsyncStream* stream) { stream_ = stream; }

  void StartCall() override { stream_->StartCall(); }
  void Read(Response* message) override { stream_->Read(message); }
  void AddHold(int holds) override { stream_->AddHold(holds); }
  void RemoveHold() override { stream_->RemoveHold(); }

  void OnReadInitialMetadataDone(bool ok) override {
    reactor_->OnReadInitialMetadataDone(ok);
  }
  void OnReadDone(bool ok) override { reactor_->OnReadDone(ok); }
  void OnWriteDone(bool /*ok*/) override {}
  void OnWritesDoneDone(bool /*ok*/) override {}
  void OnDone(const grpc::Status& status) override { reactor_->OnDone(status); }

 private:
  grpc::ClientReadReactor<Response>* const reactor_;
  AsyncStream* stream_ = nullptr;
};

template <typename Request>
class WriteReactorAdapter final : public grpc::ClientCallbackWriter<Request>,
                                  public StreamReactions {
 public:
  explicit WriteReactorAdapter(grpc::ClientWriteReactor<Request>* reactor)
      : reactor_(reactor) {
    this->BindReactor(reactor);
  }
  void Bind(AsyncStream* stream) { stream_ = stream; }

  void StartCall() override { stream_->StartCall(); }
  void Write(const Request* message, grpc::WriteOptions options) override {
    stream_->Write(message, options);
  }
  void WritesDone() override { stream_->WritesDone(); }
  void AddHold(int holds) override { stream_->AddHold(holds); }
  void RemoveHold() override { stream_->RemoveHold(); }

  void OnReadInitialMetadataDone(bool ok) override {
    reactor_->OnReadInitialMetadataDone(ok);
  }
  void OnReadDone(bool /*ok*/) override {}
  void OnWriteDone(bool ok) override { reactor_->OnWriteDone(ok); }
  void OnWritesDoneDone(bool ok) override { reactor_->OnWritesDoneDone(ok); }
  void OnDone(const grpc::Status& status) override { reactor_->OnDone(status); }

 private:
  grpc::ClientWriteReactor<Request>* const reactor_;
  AsyncStream* stream_ = nullptr;
};

template <typename Request, typename Response>
class BidiReactorAdapter final
    : public grpc::ClientCallbackReaderWriter<Request, Response>,
      public StreamReactions {
 public:
  explicit BidiReactorAdapter(
      grpc::ClientBidiReactor<Request, Response>* reactor)
      : reactor_(reactor) {
    this->BindReactor(reactor);
  }
  void Bind(AsyncStream* stream) { stream_ = stream; }

  void StartCall() override { stream_->StartCall(); }
  void Read(Response* message) override { stream_->Read(message); }
  void Write(const Request* message, grpc::WriteOptions options) override {
    stream_->Write(message, options);
  }
  void WritesDone() override { stream_->WritesDone(); }
  void AddHold(int holds) override { stream_->AddHold(holds); }
  void RemoveHold() override { stream_->RemoveHold(); }

  void OnReadInitialMetadataDone(bool ok) override {
    reactor_->OnReadInitialMetadataDone(ok);
  }
  void OnReadDone(bool ok) override { reactor_->OnReadDone(ok); }
  void OnWriteDone(bool ok) override { reactor_->OnWriteDone(ok); }
  void OnWritesDoneDone(bool ok) override { reactor_->OnWritesDoneDone(ok); }
  void OnDone(const grpc::Status& status) override { reactor_->OnDone(status); }

 private:
  grpc::ClientBidiReactor<Request, Response>* const reactor_;
  AsyncStream* stream_ = nullptr;
};

}  // namespace grpccommon::internal
