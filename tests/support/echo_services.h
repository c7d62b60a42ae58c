// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <stdexcept>
#include <string>

#include "echo/v1/echo_service.grpc.pb.h"
#include "grpccommon/base/baton.h"
#include "grpcpp/grpcpp.h"

namespace grpccommon::test {

using echo::v1::EchoRequest;
using echo::v1::EchoResponse;
using echo::v1::EchoService;

/// What the echo services report to a test, and what a test makes them do.
struct EchoProbe {
  /// Handlers that were entered.
  std::atomic<int> entered{0};
  /// Messages that a handler read from a client's stream.
  std::atomic<int> read{0};
  /// Called in each handler before anything else; may throw or block.
  std::function<void(grpc::ServerContextBase&)> on_enter;
  /// What each handler ends with.
  grpc::Status verdict;

  void Enter(grpc::ServerContextBase& context) {
    ++entered;
    baton.Take();
    if (on_enter) on_enter(context);
    baton.Pass();
  }

  /// Between the test and `on_enter`, both ways.
  Baton baton;
};

class SyncEcho : public EchoService::Service {
 public:
  explicit SyncEcho(EchoProbe& probe) : probe_(probe) {}

  grpc::Status Unary(grpc::ServerContext* context, const EchoRequest* request,
                     EchoResponse* response) override {
    probe_.Enter(*context);
    response->set_text(request->text());
    return probe_.verdict;
  }

  grpc::Status ClientStream(grpc::ServerContext* context,
                            grpc::ServerReader<EchoRequest>* reader,
                            EchoResponse* response) override {
    probe_.Enter(*context);
    EchoRequest request;
    while (reader->Read(&request)) {
      ++probe_.read;
      response->mutable_text()->append(request.text());
    }
    return probe_.verdict;
  }

  grpc::Status ServerStream(grpc::ServerContext* context,
                            const EchoRequest* request,
                            grpc::ServerWriter<EchoResponse>* writer) override {
    probe_.Enter(*context);
    EchoResponse response;
    response.set_text(request->text());
    for (int i = 0; i < request->repeat(); ++i) {
      if (!writer->Write(response)) break;
    }
    return probe_.verdict;
  }

  grpc::Status BidiStream(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<EchoResponse, EchoRequest>* stream) override {
    probe_.Enter(*context);
    EchoRequest request;
    EchoResponse response;
    while (stream->Read(&request)) {
      ++probe_.read;
      response.set_text(request.text());
      if (!stream->Write(response)) break;
    }
    return probe_.verdict;
  }

 private:
  EchoProbe& probe_;
};

class CallbackEcho : public EchoService::CallbackService {
 public:
  explicit CallbackEcho(EchoProbe& probe) : probe_(probe) {}

  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context,
                                  const EchoRequest* request,
                                  EchoResponse* response) override {
    probe_.Enter(*context);
    response->set_text(request->text());
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(probe_.verdict);
    return reactor;
  }

  grpc::ServerReadReactor<EchoRequest>* ClientStream(
      grpc::CallbackServerContext* context, EchoResponse* response) override {
    probe_.Enter(*context);
    class Reactor : public grpc::ServerReadReactor<EchoRequest> {
     public:
      Reactor(EchoProbe& probe, EchoResponse& response)
          : probe_(probe), response_(response) {
        Read();
      }
      void OnReadDone(bool ok) override {
        baton_.Take();
        if (!ok) {
          Finish(probe_.verdict);
          return;
        }
        ++probe_.read;
        response_.mutable_text()->append(request_.text());
        Read();
      }
      void OnDone() override {
        baton_.Take();
        delete this;
      }

     private:
      void Read() {
        baton_.Pass();
        StartRead(&request_);
      }
      Baton baton_;
      EchoProbe& probe_;
      EchoResponse& response_;
      EchoRequest request_;
    };
    return new Reactor(probe_, *response);
  }

  grpc::ServerWriteReactor<EchoResponse>* ServerStream(
      grpc::CallbackServerContext* context,
      const EchoRequest* request) override {
    probe_.Enter(*context);
    class Reactor : public grpc::ServerWriteReactor<EchoResponse> {
     public:
      Reactor(EchoProbe& probe, const EchoRequest& request)
          : probe_(probe), left_(request.repeat()) {
        response_.set_text(request.text());
        Next();
      }
      void OnWriteDone(bool ok) override {
        baton_.Take();
        if (!ok) left_ = 0;
        Next();
      }
      void OnDone() override {
        baton_.Take();
        delete this;
      }

     private:
      void Next() {
        const bool more = left_-- > 0;
        baton_.Pass();
        if (more) {
          StartWrite(&response_);
        } else {
          Finish(probe_.verdict);
        }
      }
      Baton baton_;
      EchoProbe& probe_;
      int left_;
      EchoResponse response_;
    };
    return new Reactor(probe_, *request);
  }

  grpc::ServerBidiReactor<EchoRequest, EchoResponse>* BidiStream(
      grpc::CallbackServerContext* context) override {
    probe_.Enter(*context);
    class Reactor : public grpc::ServerBidiReactor<EchoRequest, EchoResponse> {
     public:
      explicit Reactor(EchoProbe& probe) : probe_(probe) { Read(); }
      void OnReadDone(bool ok) override {
        baton_.Take();
        if (!ok) {
          Finish(probe_.verdict);
          return;
        }
        ++probe_.read;
        response_.set_text(request_.text());
        baton_.Pass();
        StartWrite(&response_);
      }
      void OnWriteDone(bool ok) override {
        baton_.Take();
        if (ok) {
          Read();
        } else {
          Finish(grpc::Status(grpc::StatusCode::CANCELLED, "write failed"));
        }
      }
      void OnDone() override {
        baton_.Take();
        delete this;
      }

     private:
      void Read() {
        baton_.Pass();
        StartRead(&request_);
      }
      Baton baton_;
      EchoProbe& probe_;
      EchoRequest request_;
      EchoResponse response_;
    };
    return new Reactor(probe_);
  }

 private:
  EchoProbe& probe_;
};

}  // namespace grpccommon::test
