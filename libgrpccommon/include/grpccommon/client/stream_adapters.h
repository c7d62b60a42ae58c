// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "grpccommon/client/client_core.h"
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

}  // namespace grpccommon::internal
