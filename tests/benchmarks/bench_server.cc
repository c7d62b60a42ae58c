// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/bench_server.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <new>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "bench/v1/bench_service.grpc.pb.h"
#include "grpccommon/server/server.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "grpccommon/stream/writer.h"

namespace grpccommon::bench {
namespace {

std::atomic<bool> counting{false};
std::atomic<std::uint64_t> allocations{0};

void CountAllocation() {
  if (counting.load(std::memory_order_relaxed)) {
    allocations.fetch_add(1, std::memory_order_relaxed);
  }
}

}  // namespace
}  // namespace grpccommon::bench

// noinline, or gcc sees malloc's memory go to delete and takes offence.
[[gnu::noinline]] void* operator new(std::size_t size) {
  grpccommon::bench::CountAllocation();
  if (void* const memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size,
                                     std::align_val_t alignment) {
  grpccommon::bench::CountAllocation();
  const auto unit = static_cast<std::size_t>(alignment);
  if (void* const memory =
          std::aligned_alloc(unit, (size + unit - 1) / unit * unit)) {
    return memory;
  }
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory,
                                       std::align_val_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t,
                                       std::align_val_t) noexcept {
  std::free(memory);
}

namespace grpccommon::bench {
namespace {

using ::bench::v1::BenchService;
using ::bench::v1::EchoRequest;
using ::bench::v1::EchoResponse;
using ::bench::v1::ListRequest;
using ::bench::v1::ListResponse;
using ::bench::v1::RefuseRequest;
using ::bench::v1::RefuseResponse;

// One write after the other, as the callback API's own examples do it.
class BareList : public grpc::ServerWriteReactor<ListResponse> {
 public:
  explicit BareList(const ListRequest& request) : left_(request.count()) {
    response_.set_text(request.text());
    Next();
  }
  void OnWriteDone(bool ok) override {
    if (!ok) left_ = 0;
    Next();
  }
  void OnDone() override { delete this; }

 private:
  void Next() {
    if (left_-- > 0) {
      StartWrite(&response_);
    } else {
      Finish(grpc::Status::OK);
    }
  }
  int left_;
  ListResponse response_;
};

class RefusedList : public grpc::ServerWriteReactor<RefuseResponse> {
 public:
  explicit RefusedList(const grpc::Status& refusal) { Finish(refusal); }
  void OnDone() override { delete this; }
};

class Service : public BenchService::CallbackService {
 public:
  Service(bool stream_writer, bool plain_status)
      : stream_writer_(stream_writer),
        refusal_(plain_status
                     ? grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                                    "too many calls")
                     : ToGrpcStatus(Exhausted(
                           "RATE_LIMITED", "/bench.v1.BenchService/Refuse",
                           "more than 0.001 calls a second, or 1 at once, for "
                           "each principal",
                           std::chrono::seconds(1000)))) {}

  grpc::ServerUnaryReactor* Echo(grpc::CallbackServerContext* context,
                                 const EchoRequest* request,
                                 EchoResponse* response) override {
    response->set_text(request->text());
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  // What a rate limit answers, made once.
  grpc::ServerUnaryReactor* Refuse(grpc::CallbackServerContext* context,
                                   const RefuseRequest* /*request*/,
                                   RefuseResponse* /*response*/) override {
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(refusal_);
    return reactor;
  }

  grpc::ServerWriteReactor<RefuseResponse>* RefuseList(
      grpc::CallbackServerContext* /*context*/,
      const RefuseRequest* /*request*/) override {
    return new RefusedList(refusal_);
  }

  grpc::ServerWriteReactor<ListResponse>* List(
      grpc::CallbackServerContext* context,
      const ListRequest* request) override {
    if (!stream_writer_) return new BareList(*request);
    return GeneratorWriter<ListResponse>::Start(
        *context, [text = request->text(),
                   left = request->count()](ListResponse& next) mutable {
          next.set_text(text);
          return absl::StatusOr<bool>(left-- > 0);
        });
  }

 private:
  const bool stream_writer_;
  const grpc::Status refusal_;
};

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  std::cerr << "benchmark server: " << value.status() << '\n';
  std::exit(1);
}

void Answer(int port) {
  std::string question;
  while (std::getline(std::cin, question)) {
    if (question == "port") {
      std::cout << port << std::endl;
    } else if (question == "allocations") {
      counting = true;
      std::cout << allocations.load() << std::endl;
    } else {
      counting = false;
      std::cout << "ok" << std::endl;
    }
  }
}

int ServeBare(Service& service) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  Answer(port);
  server->Shutdown(std::chrono::system_clock::now());
  return 0;
}

// Everything that a server can do to a call, as it does by default, but for
// what has to be configured and where the log goes.
void EnableChain(bool access_log, const std::string& folder,
                 ServerOptions& options) {
  options.auth.jwks_file = KeysFile(folder);
  options.auth.issuer = kIssuer;
  options.auth.audiences = {options.name};
  if (!access_log) options.access_log.reset();
}

void DisableEverything(ServerOptions& options) {
  options.tracing.reset();
  options.access_log.reset();
  options.metrics.reset();
  options.concurrency.reset();
  options.rate_limit.reset();
  options.validation = false;
  options.deadline.reset();
}

int ServeOurs(Service& service, const std::string& contestant,
              const std::string& folder) {
  ServerOptions options;
  options.name = kAudience;
  options.grpc_address = "127.0.0.1:0";
  options.log.destination = folder + "/" + contestant + ".log";
  options.log.rotate_bytes = 256 << 20;
  options.log.rotated_files = 1;
  if (contestant == kIdle || contestant == kIdleWriter) {
    DisableEverything(options);
  } else {
    EnableChain(contestant != kQuietChain, folder, options);
  }
  const std::unique_ptr<Server> server =
      Must(Server::Create(std::move(options)));
  server->Add<BenchService>(service);
  if (const absl::Status status = server->Start(); !status.ok()) {
    return ExitWith(status);
  }
  Answer(server->grpc_port());
  server->Shutdown(std::chrono::nanoseconds(0), std::chrono::nanoseconds(0));
  return 0;
}

}  // namespace

int RunBenchServer(const std::string& contestant, const std::string& folder) {
  const bool writer = contestant == kBareWriter || contestant == kIdleWriter ||
                      contestant == kChainWriter;
  const bool plain = contestant == kBarePlain;
  const bool undetected = contestant == kBareUndetected;
  Service service(writer, plain);
  if (undetected) {
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  }
  if (plain || undetected || contestant == kBare || contestant == kBareWriter) {
    return ServeBare(service);
  }
  return ServeOurs(service, contestant, folder);
}

}  // namespace grpccommon::bench
