// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/health/health_service.h"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/string_view.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"

namespace grpccommon {
namespace {

namespace proto = grpc::health::v1;

// gRPC keeps the request for as long as the watch is open, and anybody may
// watch.
constexpr std::size_t kMostWatchRequestBytes = 1024;

proto::HealthCheckResponse::ServingStatus ToProto(ServingStatus status) {
  return static_cast<proto::HealthCheckResponse::ServingStatus>(status);
}

// Sends one watch. Writes and the finish are started without the lock, and the
// finish waits for the write that is out, so gRPC sees them one after another.
class WatchReactor
    : public grpc::ServerWriteReactor<proto::HealthCheckResponse>,
      public std::enable_shared_from_this<WatchReactor> {
 public:
  // `release` drops the owner's reference, once.
  explicit WatchReactor(std::function<void(WatchReactor*)> release)
      : release_(std::move(release)) {}

  void Begin(HealthRegistry& registry, const std::string& service) {
    std::unique_ptr<HealthRegistryWatch> watch =
        registry.Watch(service, [weak = weak_from_this()] {
          if (const auto reactor = weak.lock()) reactor->Advance();
        });
    {
      const MutexLock lock(mutex_);
      watch_ = std::move(watch);
    }
    Advance();
  }

  void End(grpc::Status status) {
    {
      const MutexLock lock(mutex_);
      if (!end_.has_value()) end_ = std::move(status);
    }
    Advance();
  }

  void OnWriteDone(bool ok) override {
    {
      const MutexLock lock(mutex_);
      writing_ = false;
      if (!ok && !end_.has_value()) end_ = grpc::Status::CANCELLED;
    }
    Advance();
  }

  void OnCancel() override { End(grpc::Status::CANCELLED); }

  void OnDone() override {
    const auto self = shared_from_this();
    release_(this);
    std::unique_ptr<HealthRegistryWatch> watch;  // ends without the lock
    const MutexLock lock(mutex_);
    watch = std::move(watch_);
  }

 private:
  void Advance() {
    std::optional<grpc::Status> finish;
    {
      const MutexLock lock(mutex_);
      if (writing_ || finished_) return;
      if (end_.has_value()) {
        finished_ = true;
        finish = *end_;
      } else {
        // A change that comes before the watch has been stored is not lost:
        // Begin looks once more.
        if (watch_ == nullptr) return;
        const ServingStatus current = watch_->Current();
        if (sent_ == current) return;
        sent_ = current;
        writing_ = true;
        response_.set_status(ToProto(current));
      }
    }
    if (finish.has_value()) {
      Finish(*finish);
    } else {
      StartWrite(&response_);
    }
  }

  Mutex mutex_;
  std::unique_ptr<HealthRegistryWatch> watch_ ABSL_GUARDED_BY(mutex_);
  std::optional<ServingStatus> sent_ ABSL_GUARDED_BY(mutex_);
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  proto::HealthCheckResponse response_;  // gRPC's while writing
  std::function<void(WatchReactor*)> release_;
};

}  // namespace

class HealthService::Impl : public proto::Health::CallbackService {
 public:
  Impl(HealthRegistry& registry, std::size_t max_watches)
      : registry_(registry), max_watches_(max_watches) {}

  grpc::ServerUnaryReactor* Check(
      grpc::CallbackServerContext* context,
      const proto::HealthCheckRequest* request,
      proto::HealthCheckResponse* response) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    const std::optional<ServingStatus> status =
        registry_.Get(request->service());
    if (status.has_value()) {
      response->set_status(ToProto(*status));
      reactor->Finish(grpc::Status::OK);
    } else {
      reactor->Finish(grpc::Status(grpc::StatusCode::NOT_FOUND,
                                   "this service is not registered"));
    }
    return reactor;
  }

  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const proto::HealthListRequest* /*request*/,
                                 proto::HealthListResponse* response) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    const std::map<std::string, ServingStatus> services = registry_.List();
    if (services.size() > kMaxListedServices) {
      reactor->Finish(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                                   "too many services to list"));
      return reactor;
    }
    for (const auto& [name, status] : services) {
      (*response->mutable_statuses())[name].set_status(ToProto(status));
    }
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerWriteReactor<proto::HealthCheckResponse>* Watch(
      grpc::CallbackServerContext* /*context*/,
      const proto::HealthCheckRequest* request) override {
    const auto reactor = std::make_shared<WatchReactor>(
        [this](WatchReactor* done) { Release(done); });
    bool ended;
    bool too_many;
    {
      const MutexLock lock(mutex_);
      too_many = watches_.size() >= max_watches_;
      watches_[reactor.get()] = reactor;
      ended = ended_;
    }
    if (ended) {
      reactor->End(Ending());
    } else if (too_many) {
      reactor->End(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                                "too many health watches are open"));
    } else if (request->ByteSizeLong() > kMostWatchRequestBytes) {
      reactor->End(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                                "the request is larger than 1024 bytes"));
    } else {
      reactor->Begin(registry_, request->service());
    }
    return reactor.get();
  }

  void EndWatches() {
    std::vector<std::shared_ptr<WatchReactor>> open;
    {
      const MutexLock lock(mutex_);
      ended_ = true;
      for (const auto& watch : watches_) open.push_back(watch.second);
    }
    for (const auto& reactor : open) reactor->End(Ending());
  }

 private:
  void Release(WatchReactor* reactor) {
    std::shared_ptr<WatchReactor> released;  // freed after the lock
    const MutexLock lock(mutex_);
    const auto place = watches_.find(reactor);
    released = std::move(place->second);
    watches_.erase(place);
  }

  static grpc::Status Ending() {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE,
                        "the server is shutting down");
  }

  HealthRegistry& registry_;
  const std::size_t max_watches_;
  Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  // Until gRPC is done with them.
  std::map<WatchReactor*, std::shared_ptr<WatchReactor>> watches_
      ABSL_GUARDED_BY(mutex_);
};

absl::StatusOr<std::unique_ptr<HealthService>> HealthService::Create(
    HealthRegistry& registry, const HealthServiceOptions& options) {
  const absl::Status valid = CheckRange(
      "max_watches", static_cast<double>(options.max_watches), 1, 1e6);
  if (!valid.ok()) return valid;
  return absl::WrapUnique(
      new HealthService(std::make_unique<Impl>(registry, options.max_watches)));
}

HealthService::HealthService(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}

HealthService::~HealthService() = default;

grpc::Service& HealthService::service() { return *impl_; }

void HealthService::EndWatches() { impl_->EndWatches(); }

}  // namespace grpccommon
