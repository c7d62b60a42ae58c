// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/client/call_options.h"
#include "grpccommon/client/client_core.h"
#include "grpccommon/client/stream_adapters.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/client_callback.h"
#include "grpcpp/support/sync_stream.h"

namespace grpccommon {

/// Calls one gRPC service, wherever it runs: each call is sent to an endpoint
/// of its own choice, tried again where that is safe, and bounded in time.
///
///   absl::StatusOr<GetUserResponse> user = users->Call(
///       &UserService::Stub::GetUser, request,
///       {.parent = call, .timeout = 200ms});
///
/// Methods are named by the generated stub's synchronous ones, whichever way
/// they are called. `ClientManager::Get` makes clients.
///
/// Thread-safe. Must not outlive its manager.
template <typename Service>
class Client {
 public:
  using Stub = typename Service::Stub;
  template <typename Request, typename Response>
  using UnaryMethod = grpc::Status (Stub::*)(grpc::ClientContext*,
                                             const Request&, Response*);
  template <typename Request, typename Response>
  using ServerStreamMethod = std::unique_ptr<grpc::ClientReader<Response>> (
      Stub::*)(grpc::ClientContext*, const Request&);
  template <typename Request, typename Response>
  using ClientStreamMethod = std::unique_ptr<grpc::ClientWriter<Request>> (
      Stub::*)(grpc::ClientContext*, Response*);
  template <typename Request, typename Response>
  using BidiStreamMethod =
      std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> (Stub::*)(
          grpc::ClientContext*);
  template <typename Response>
  using Callback = std::function<void(absl::StatusOr<Response>)>;

  explicit Client(std::shared_ptr<internal::ClientCore> core)
      : core_(std::move(core)) {}

  /// Blocks until the call has ended. Not for a gRPC thread of a callback
  /// service: use CallAsync there.
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(UnaryMethod<Request, Response> method,
                                const std::type_identity_t<Request>& request,
                                const CallOptions& options = {}) {
    absl::StatusOr<Response> response{Response()};
    absl::Status status = core_->Call(Resolve(method), options, request,
                                      *response, &Move<Response>);
    if (!status.ok()) response = std::move(status);
    return response;
  }

  /// The same; a failed call gets what `fallback` makes of its status: a
  /// response from a cache, an empty one, or a status that says more.
  template <typename Request, typename Response>
  absl::StatusOr<Response> CallOr(
      UnaryMethod<Request, Response> method,
      const std::type_identity_t<Request>& request,
      const std::function<absl::StatusOr<Response>(const absl::Status&)>&
          fallback,
      const CallOptions& options = {}) {
    absl::StatusOr<Response> response = Call(method, request, options);
    return response.ok() ? std::move(response) : fallback(response.status());
  }

  /// The same with a fixed response.
  template <typename Request, typename Response>
  Response CallOr(UnaryMethod<Request, Response> method,
                  const std::type_identity_t<Request>& request,
                  std::type_identity_t<Response> fallback,
                  const CallOptions& options = {}) {
    absl::StatusOr<Response> response = Call(method, request, options);
    return response.ok() ? *std::move(response) : std::move(fallback);
  }

  /// Returns at once; `done` is called exactly once, on a thread of gRPC or of
  /// the client, or on this one if the call is refused or answered locally. It
  /// must not block.
  template <typename Request, typename Response>
  void CallAsync(UnaryMethod<Request, Response> method,
                 std::type_identity_t<Request> request, CallOptions options,
                 Callback<std::type_identity_t<Response>> done) {
    struct State : internal::AsyncMessages {
      State(Request q, Callback<Response> d)
          : sent(std::move(q)), callback(std::move(d)) {}
      const google::protobuf::MessageLite& request() const override {
        return sent;
      }
      google::protobuf::MessageLite& response() override { return received; }
      void MoveResponse(google::protobuf::MessageLite& from) override {
        Move<Response>(from, received);
      }
      void Done(absl::Status status) override {
        if (status.ok()) {
          callback(std::move(received));
        } else {
          callback(std::move(status));
        }
      }
      const Request sent;
      Response received;
      const Callback<Response> callback;
    };
    core_->CallAsync(
        Resolve(method), std::move(options),
        std::make_unique<State>(std::move(request), std::move(done)));
  }

  /// Calls once for each request, at most `bulk.max_parallel` at a time, and
  /// returns the answers in the order of the requests. One that fails does not
  /// stop the others. `options.timeout` is for each call, `options.info` is not
  /// filled in. Blocks.
  template <typename Request, typename Response>
  std::vector<absl::StatusOr<Response>> CallAll(
      UnaryMethod<Request, Response> method,
      std::span<const std::type_identity_t<Request>> requests,
      CallOptions options = {}, const BulkOptions& bulk = {}) {
    std::vector<absl::StatusOr<Response>> responses(requests.size());
    options.info = nullptr;
    internal::RunBounded(requests.size(), bulk.max_parallel,
                         [&](std::size_t index, std::function<void()> ended) {
                           CallAsync(
                               method, requests[index], options,
                               [&responses, index, ended = std::move(ended)](
                                   absl::StatusOr<Response> response) {
                                 responses[index] = std::move(response);
                                 ended();
                               });
                         });
    return responses;
  }

  /// Opens a stream of messages from a server, as the stub would; waits for an
  /// endpoint, blocks in `Read` and `Finish`. It is tried again, elsewhere and
  /// unnoticed, until the first message has come; docs/client_streams.md says
  /// when. Why there are no messages, or no more, is what `Finish` returns,
  /// also of a call that was refused and never sent.
  ///
  /// What `options` points to, and the manager, must outlive the stream.
  /// Destroying it without `Finish` cancels the call.
  template <typename Request, typename Response>
  std::unique_ptr<grpc::ClientReaderInterface<Response>> Open(
      ServerStreamMethod<Request, Response> method,
      const std::type_identity_t<Request>& request,
      const CallOptions& options = {}) {
    return std::make_unique<internal::StreamReaderAdapter<Response>>(
        core_->Open(Resolve(method), options, &request, nullptr));
  }

  /// The same to a server. `response` is borrowed and filled in by `Finish`
  /// with OK. `Write` returns false once the stream cannot go on.
  template <typename Request, typename Response>
  std::unique_ptr<grpc::ClientWriterInterface<Request>> Open(
      ClientStreamMethod<Request, Response> method,
      std::type_identity_t<Response>* response,
      const CallOptions& options = {}) {
    return std::make_unique<internal::StreamWriterAdapter<Request>>(
        core_->Open(Resolve(method), options, nullptr, response));
  }

  /// The same both ways; one thread may read while another one writes. Before
  /// the first message has come, what is written to a server that has failed is
  /// kept for the next one, and `Read` is what finds that out.
  template <typename Request, typename Response>
  std::unique_ptr<grpc::ClientReaderWriterInterface<Request, Response>> Open(
      BidiStreamMethod<Request, Response> method,
      const CallOptions& options = {}) {
    return std::make_unique<
        internal::StreamReaderWriterAdapter<Request, Response>>(
        core_->Open(Resolve(method), options, nullptr, nullptr));
  }

  /// The same for gRPC's reactors; nothing blocks. As with the stub,
  /// `StartCall` must follow, and OnDone is the last reaction; the reactor is
  /// borrowed until then. Reactions come on threads of gRPC or of the client.
  /// An operation that failed is reported when it is clear that there will be
  /// no further attempt.
  template <typename Request, typename Response>
  void Open(ServerStreamMethod<Request, Response> method,
            const std::type_identity_t<Request>& request,
            const CallOptions& options,
            grpc::ClientReadReactor<std::type_identity_t<Response>>* reactor) {
    Bind<internal::ReadReactorAdapter<Response>>(Resolve(method), options,
                                                 &request, nullptr, reactor);
  }
  template <typename Request, typename Response>
  void Open(ClientStreamMethod<Request, Response> method,
            std::type_identity_t<Response>* response,
            const CallOptions& options,
            grpc::ClientWriteReactor<std::type_identity_t<Request>>* reactor) {
    Bind<internal::WriteReactorAdapter<Request>>(Resolve(method), options,
                                                 nullptr, response, reactor);
  }
  template <typename Request, typename Response>
  void Open(BidiStreamMethod<Request, Response> method,
            const CallOptions& options,
            grpc::ClientBidiReactor<std::type_identity_t<Request>,
                                    std::type_identity_t<Response>>* reactor) {
    Bind<internal::BidiReactorAdapter<Request, Response>>(
        Resolve(method), options, nullptr, nullptr, reactor);
  }

 private:
  template <typename Adapter, typename Reactor>
  void Bind(const internal::ClientMethod& method, const CallOptions& options,
            const google::protobuf::MessageLite* request,
            google::protobuf::MessageLite* response, Reactor* reactor) {
    auto adapter = std::make_unique<Adapter>(reactor);
    Adapter& bound = *adapter;
    bound.Bind(
        core_->Open(method, options, request, response, std::move(adapter)));
  }

  template <typename Response>
  static void Move(google::protobuf::MessageLite& from,
                   google::protobuf::MessageLite& to) {
    static_cast<Response&>(to) = std::move(static_cast<Response&>(from));
  }

  template <typename Request, typename Response>
  const internal::ClientMethod& Resolve(UnaryMethod<Request, Response> method) {
    return Resolve(method, CallKind::kUnary, [](auto& call, auto* context) {
      Response response;
      static_cast<void>(call(context, Request(), &response));
    });
  }
  template <typename Request, typename Response>
  const internal::ClientMethod& Resolve(
      ServerStreamMethod<Request, Response> method) {
    return Resolve(method, CallKind::kServerStream,
                   [](auto& call, auto* context) { call(context, Request()); });
  }
  template <typename Request, typename Response>
  const internal::ClientMethod& Resolve(
      ClientStreamMethod<Request, Response> method) {
    return Resolve(method, CallKind::kClientStream,
                   [](auto& call, auto* context) {
                     Response response;
                     call(context, &response);
                   });
  }
  template <typename Request, typename Response>
  const internal::ClientMethod& Resolve(
      BidiStreamMethod<Request, Response> method) {
    return Resolve(method, CallKind::kBidiStream,
                   [](auto& call, auto* context) { call(context); });
  }

  // The method's name is inside the stub alone; it is asked once, by a call
  // that goes nowhere.
  template <typename Member, typename Probe>
  const internal::ClientMethod& Resolve(Member method, CallKind kind,
                                        Probe probe) {
    const internal::MethodKey key(method);
    const internal::ClientMethod* const known = core_->Find(key);
    if (known != nullptr) return *known;
    return core_->Add(key, kind, [method, probe](const auto& channel) {
      const auto stub = Service::NewStub(channel);
      const auto call = [&stub, method](auto&&... arguments) {
        return (stub.get()->*method)(
            std::forward<decltype(arguments)>(arguments)...);
      };
      grpc::ClientContext context;
      probe(call, &context);
    });
  }

  const std::shared_ptr<internal::ClientCore> core_;
};

}  // namespace grpccommon
