// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "grpccommon/server/server.h"
#include "grpccommon/testing/certificates.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/impl/client_unary_call.h"
#include "support/echo_services.h"

namespace grpccommon::test {

enum class Style { kSync, kCallback };

/// What a client saw of one call.
struct CallResult {
  grpc::Status status;
  /// Messages received, and their texts joined.
  int messages = 0;
  std::string text;
  std::multimap<std::string, std::string> trailers;
  std::multimap<std::string, std::string> headers;
};

/// Every test call says this: three times where a side streams.
inline std::string ExpectedText(CallKind kind) {
  return kind == CallKind::kUnary ? "hello" : "hellohellohello";
}

/// An echo server on loopback, sync or callback, with what a test adds to it.
class TestServer {
 public:
  TestServer(Style style, bool tls, std::function<void(Server&)> set_up = {},
             ServerOptions options = {})
      : sync_(probe_), callback_(probe_) {
    options.name = "echo";
    options.grpc_address = "127.0.0.1:0";
    options.log_sink = log_;
    options.drain_delay = std::chrono::nanoseconds(0);
    if (tls) {
      const testing::Certificate certificate = authority_.Issue();
      options.tls =
          TlsOptions{.certificate_file =
                         folder_.Write("cert.pem", certificate.certificate_pem),
                     .private_key_file =
                         folder_.Write("key.pem", certificate.private_key_pem)};
    }
    auto server = Server::Create(std::move(options));
    if (!server.ok()) Fail(server.status());
    server_ = *std::move(server);
    if (style == Style::kSync) {
      server_->Add<EchoService>(sync_);
    } else {
      server_->Add<EchoService>(callback_);
    }
    if (set_up) set_up(*server_);
    if (const absl::Status status = server_->Start(); !status.ok()) {
      Fail(status);
    }
    std::shared_ptr<grpc::ChannelCredentials> credentials =
        grpc::InsecureChannelCredentials();
    if (tls) {
      credentials = grpc::SslCredentials(
          {.pem_root_certs = authority_.certificate_pem()});
    }
    channel_ = grpc::CreateChannel(address(), credentials);
    stub_ = EchoService::NewStub(channel_);
  }

  ~TestServer() { Stop(); }

  EchoProbe& probe() { return probe_; }
  Server& server() { return *server_; }
  EchoService::Stub& stub() { return *stub_; }
  const std::shared_ptr<grpc::Channel>& channel() { return channel_; }
  std::string address() const {
    return "127.0.0.1:" + std::to_string(server_->grpc_port());
  }
  /// PEM: who vouches for the server.
  const std::string& ca_pem() const { return authority_.certificate_pem(); }
  testing::RecordingLogSink& log() { return *log_; }
  std::int64_t running_calls() const { return server_->running_calls(); }

  /// Ends every call; afterwards all hooks have run.
  void Stop() {
    server_->Shutdown(std::chrono::nanoseconds(0), std::chrono::seconds(5));
  }

  CallResult Call(CallKind kind,
                  std::function<void(grpc::ClientContext&)> prepare = {}) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(20));
    if (prepare) prepare(context);
    return Call(kind, context);
  }

  /// With a context of the caller's, who may cancel it meanwhile.
  CallResult Call(CallKind kind, grpc::ClientContext& context) {
    probe_.baton.Pass();
    CallResult result = CallOn(*stub_, kind, context);
    probe_.baton.Take();
    return result;
  }

  /// A unary call whose request is these bytes, a message or not.
  static grpc::Status CallWithBytes(grpc::ChannelInterface& channel,
                                    const std::string& bytes) {
    const grpc::Slice slice(bytes);
    const grpc::internal::RpcMethod method(
        "/echo.v1.EchoService/Unary", grpc::internal::RpcMethod::NORMAL_RPC);
    grpc::ClientContext context;
    grpc::ByteBuffer response;
    return grpc::internal::BlockingUnaryCall<grpc::ByteBuffer,
                                             grpc::ByteBuffer>(
        &channel, method, &context, grpc::ByteBuffer(&slice, 1), &response);
  }

  /// A call that has begun, and whose messages, of any bytes, are to come.
  static std::unique_ptr<
      grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>>
  BeginCall(grpc::ChannelInterface& channel, grpc::ClientContext& context,
            const char* path = "/echo.v1.EchoService/Unary") {
    const grpc::internal::RpcMethod method(
        path, grpc::internal::RpcMethod::BIDI_STREAMING);
    return std::unique_ptr<
        grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>>(
        grpc::internal::ClientReaderWriterFactory<
            grpc::ByteBuffer, grpc::ByteBuffer>::Create(&channel, method,
                                                        &context));
  }

  /// On another channel.
  static CallResult CallOn(EchoService::Stub& stub, CallKind kind,
                           grpc::ClientContext& context) {
    context.set_wait_for_ready(true);
    CallResult result;
    EchoRequest request;
    request.set_text("hello");
    request.set_repeat(3);
    EchoResponse response;
    const auto take = [&result, &response] {
      ++result.messages;
      result.text += response.text();
    };
    switch (kind) {
      case CallKind::kUnary:
        result.status = stub.Unary(&context, request, &response);
        if (!response.text().empty()) take();
        break;
      case CallKind::kClientStream: {
        auto writer = stub.ClientStream(&context, &response);
        for (int i = 0; i < 3 && writer->Write(request); ++i) {
        }
        writer->WritesDone();
        result.status = writer->Finish();
        if (!response.text().empty()) take();
        break;
      }
      case CallKind::kServerStream: {
        auto reader = stub.ServerStream(&context, request);
        while (reader->Read(&response)) take();
        result.status = reader->Finish();
        break;
      }
      case CallKind::kBidiStream: {
        auto stream = stub.BidiStream(&context);
        for (int i = 0; i < 3; ++i) {
          if (!stream->Write(request) || !stream->Read(&response)) break;
          take();
        }
        stream->WritesDone();
        result.status = stream->Finish();
        break;
      }
    }
    for (const auto& [key, value] : context.GetServerTrailingMetadata()) {
      result.trailers.emplace(std::string(key.data(), key.size()),
                              std::string(value.data(), value.size()));
    }
    for (const auto& [key, value] : context.GetServerInitialMetadata()) {
      result.headers.emplace(std::string(key.data(), key.size()),
                             std::string(value.data(), value.size()));
    }
    return result;
  }

 private:
  [[noreturn]] static void Fail(const absl::Status& status) {
    std::cerr << "test server: " << status << '\n';
    std::abort();
  }

  EchoProbe probe_;
  SyncEcho sync_;
  CallbackEcho callback_;
  testing::CertificateAuthority authority_;
  testing::TemporaryFolder folder_;
  std::shared_ptr<testing::RecordingLogSink> log_ =
      std::make_shared<testing::RecordingLogSink>();
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<EchoService::Stub> stub_;
};

}  // namespace grpccommon::test
