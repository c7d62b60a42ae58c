// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/registry/etcd_registry.h"

#include <openssl/rand.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/util/json_util.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/etcd/v1/etcd.pb.h"
#include "grpccommon/registry/registry_proto.h"
#include "grpccommon/status/convert.h"
#include "grpcpp/client_context.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/client_callback.h"
#include "registry/call_group.h"
#include "registry/endpoints.h"
#include "registry/instances.h"
#include "registry/network_registry.h"
#include "registry/unary_call.h"

namespace grpccommon {
namespace {

using internal::CallGroup;
using internal::Endpoints;
using internal::WatchSink;
using internal::WatchUpdate;
namespace v1 = etcd::v1;

// Keys of one Range: a page of the largest instances still is below etcd's and
// our bounds on messages.
constexpr std::int64_t kPage = 2000;
constexpr std::int64_t kKeysPage = 20'000;
// More than any instance needs in JSON; what is larger is none.
constexpr std::size_t kMaxValueBytes = 64 << 10;

// The key after all that begin with `prefix`.
std::string EndOf(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (prefix.empty()) return std::string(1, '\0');  // all there are
  ++prefix.back();
  return prefix;
}

std::string ToHex(std::int64_t id) {
  return absl::StrCat(absl::Hex(static_cast<std::uint64_t>(id)));
}

std::optional<std::int64_t> LeaseIdOf(std::string_view text) {
  std::int64_t id = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), id, 16);
  if (error != std::errc() || end != text.data() + text.size() || id <= 0) {
    return std::nullopt;
  }
  return id;
}

// Who knows it may end the lease, so nobody is to guess it.
std::int64_t RandomLeaseId() {
  std::uint64_t id = 0;
  while (id == 0) {
    if (RAND_bytes(reinterpret_cast<unsigned char*>(&id), sizeof id) != 1) {
      return 0;  // etcd chooses
    }
    id >>= 1;
  }
  return static_cast<std::int64_t>(id);
}

// Where a watch is: in which cluster, and after which revision.
struct Place {
  std::uint64_t cluster = 0;
  std::int64_t revision = 0;

  std::string ToText() const { return absl::StrCat(cluster, ":", revision); }
  static std::optional<Place> Parse(std::string_view text) {
    Place place;
    const char* const end = text.data() + text.size();
    const auto cluster = std::from_chars(text.data(), end, place.cluster);
    if (cluster.ec != std::errc() || cluster.ptr == end ||
        *cluster.ptr != ':') {
      return std::nullopt;
    }
    const auto revision = std::from_chars(cluster.ptr + 1, end, place.revision);
    if (revision.ec != std::errc() || revision.ptr != end) return std::nullopt;
    return place;
  }
};

class EtcdBackend final : public internal::NetworkBackend {
 public:
  EtcdBackend(EtcdRegistryOptions options, Scheduler& scheduler,
              const Random& random, const Logger& logger)
      : options_(std::move(options)),
        logger_(logger),
        endpoints_(options_.connection, scheduler, random, logger) {}

  // A lease, then the key with it: a Put names its lease, and etcd takes both
  // or neither, so this needs no transaction.
  void Register(std::string_view service, const Instance& instance,
                Clock::Duration ttl,
                Done<absl::StatusOr<Granted>> done) override {
    std::string value;
    if (!google::protobuf::util::MessageToJsonString(ToProto(instance), &value)
             .ok()) {
      return done(absl::InvalidArgumentError("the instance is not UTF-8"));
    }
    v1::PutRequest put;
    put.set_key(KeyOf(service) + instance.address);
    put.set_value(std::move(value));
    v1::LeaseGrantRequest grant;
    grant.set_ttl(std::chrono::ceil<std::chrono::seconds>(ttl).count());
    grant.set_id(RandomLeaseId());
    Call<v1::LeaseGrantResponse>(
        "/etcdserverpb.Lease/LeaseGrant", std::move(grant),
        [this, put = std::move(put), done = std::move(done)](
            absl::StatusOr<v1::LeaseGrantResponse*> lease) mutable {
          if (!lease.ok()) return done(lease.status());
          if (!(*lease)->error().empty() || (*lease)->id() <= 0 ||
              (*lease)->ttl() <= 0) {
            return done(absl::UnavailableError(
                absl::StrCat("etcd grants no lease: ", (*lease)->error())));
          }
          Granted granted{.lease_id = ToHex((*lease)->id()),
                          .ttl = Seconds((*lease)->ttl())};
          put.set_lease((*lease)->id());
          Call<v1::PutResponse>(
              "/etcdserverpb.KV/Put", std::move(put),
              [granted = std::move(granted), done = std::move(done)](
                  absl::StatusOr<v1::PutResponse*> response) {
                // Without its key the lease ends by itself.
                if (!response.ok()) return done(response.status());
                done(granted);
              });
        });
  }

  void Renew(std::string_view service, std::string_view lease_id,
             Done<absl::Status> done) override;

  void Deregister(std::string_view /*service*/, std::string_view lease_id,
                  Done<absl::Status> done) override {
    const std::optional<std::int64_t> id = LeaseIdOf(lease_id);
    if (!id.has_value()) return done(absl::OkStatus());
    v1::LeaseRevokeRequest request;
    request.set_id(*id);
    Call<v1::LeaseRevokeResponse>(
        "/etcdserverpb.Lease/LeaseRevoke", std::move(request),
        [done = std::move(done)](
            absl::StatusOr<v1::LeaseRevokeResponse*> response) {
          done(response.status().code() == absl::StatusCode::kNotFound
                   ? absl::OkStatus()
                   : response.status());
        });
  }

  void Lookup(std::string_view service,
              Done<absl::StatusOr<std::vector<Instance>>> done) override {
    Read(std::string(service),
         [done = std::move(done)](absl::StatusOr<Listing> listing) {
           if (!listing.ok()) return done(listing.status());
           internal::CleanInstances(listing->instances);
           done(std::move(listing->instances));
         });
  }

  void List(std::string_view prefix, std::string_view after, std::size_t limit,
            Done<absl::StatusOr<std::vector<Summary>>> done) override {
    struct Counting {
      std::string after;
      std::size_t limit;
      std::map<std::string, std::size_t, std::less<>> services;
    };
    auto counting = std::make_shared<Counting>(
        Counting{.after = std::string(after), .limit = limit, .services = {}});
    const std::string first = options_.prefix + std::string(prefix);
    v1::RangeRequest request;
    request.set_key(first);
    request.set_range_end(EndOf(first));
    request.set_keys_only(true);
    request.set_limit(kKeysPage);
    ReadPages(
        std::move(request),
        [this, counting](const v1::KeyValue& entry) {
          const std::string_view name =
              std::string_view(entry.key()).substr(options_.prefix.size());
          const std::size_t slash = name.find('/');
          const std::string_view service = name.substr(0, slash);
          // Keys are not in the order of names: "a.b/" comes before "a/".
          if (slash == std::string_view::npos || service <= counting->after ||
              !CheckServiceName(service).ok()) {
            return;
          }
          auto place = counting->services.find(service);
          if (place == counting->services.end()) {
            place = counting->services.emplace(service, 0).first;
            if (counting->services.size() > counting->limit) {
              // Beyond the page, and never in it again.
              const auto last = std::prev(counting->services.end());
              const bool itself = last == place;
              counting->services.erase(last);
              if (itself) return;
            }
          }
          ++place->second;
        },
        [counting, done = std::move(done)](absl::StatusOr<Place> place) {
          if (!place.ok()) return done(place.status());
          std::vector<Summary> summaries;
          for (const auto& [service, count] : counting->services) {
            summaries.push_back({.service = service, .instances = count});
          }
          done(std::move(summaries));
        });
  }

  std::shared_ptr<internal::WatchCall> OpenWatch(
      const std::string& service, const std::string& resume_after,
      std::shared_ptr<WatchSink> sink) override;

  void Close() override { calls_.Close(); }

 private:
  class KeepAlive;
  class WatchStream;

  struct Listing {
    std::vector<Instance> instances;
    Place place;
  };

  static Clock::Duration Seconds(std::int64_t seconds) {
    return std::chrono::seconds(std::clamp<std::int64_t>(seconds, 1, 86'400));
  }

  std::string KeyOf(std::string_view service) const {
    return absl::StrCat(options_.prefix, ToAbsl(service), "/");
  }

  // The instance of a key; nothing, and a line in the log, if it is none.
  std::optional<Instance> Parse(const v1::KeyValue& entry,
                                std::string_view address) const {
    registry::v1::Instance proto;
    google::protobuf::util::JsonParseOptions json;
    json.ignore_unknown_fields = true;
    if (entry.value().size() <= kMaxValueBytes &&
        google::protobuf::util::JsonStringToMessage(entry.value(), &proto, json)
            .ok() &&
        proto.address() == address) {
      Instance instance = FromProto(proto);
      if (CheckInstance(instance).ok()) return instance;
    }
    logger_.Warning("left out a key in etcd that is no instance",
                    {{"key_bytes", entry.key().size()},
                     {"value_bytes", entry.value().size()},
                     {"mod_revision", entry.mod_revision()}});
    return std::nullopt;
  }

  // Reads all of a range, at one revision.
  void ReadPages(v1::RangeRequest request,
                 std::function<void(const v1::KeyValue&)> visit,
                 Done<absl::StatusOr<Place>> done) {
    v1::RangeRequest copy = request;
    Call<v1::RangeResponse>(
        "/etcdserverpb.KV/Range", std::move(copy),
        [this, request = std::move(request), visit = std::move(visit),
         done = std::move(done)](
            absl::StatusOr<v1::RangeResponse*> response) mutable {
          if (!response.ok()) return done(response.status());
          v1::RangeResponse& page = **response;
          for (const v1::KeyValue& entry : page.kvs()) {
            // What lies outside nobody has asked for.
            if (entry.key() >= request.key() &&
                (entry.key() < request.range_end() ||
                 request.range_end() == std::string(1, '\0'))) {
              visit(entry);
            }
          }
          if (request.revision() == 0) {
            request.set_revision(page.header().revision());
          }
          if (!page.more() || page.kvs().empty() ||
              page.kvs().rbegin()->key() < request.key()) {
            return done(Place{.cluster = page.header().cluster_id(),
                              .revision = request.revision()});
          }
          request.set_key(page.kvs().rbegin()->key() + '\0');
          ReadPages(std::move(request), std::move(visit), std::move(done));
        });
  }

  void Read(const std::string& service, Done<absl::StatusOr<Listing>> done) {
    const std::string prefix = KeyOf(service);
    v1::RangeRequest request;
    request.set_key(prefix);
    request.set_range_end(EndOf(prefix));
    request.set_limit(kPage);
    auto listing = std::make_shared<Listing>();
    ReadPages(
        std::move(request),
        [this, listing, size = prefix.size()](const v1::KeyValue& entry) {
          // One more than is allowed is enough to tell.
          if (listing->instances.size() > internal::kMaxInstances) return;
          std::optional<Instance> instance =
              Parse(entry, std::string_view(entry.key()).substr(size));
          if (instance.has_value()) {
            listing->instances.push_back(*std::move(instance));
          }
        },
        [listing, done = std::move(done)](absl::StatusOr<Place> place) {
          if (!place.ok()) return done(place.status());
          listing->place = *place;
          done(std::move(*listing));
        });
  }

  // ---------------------------------------------------------------- the calls

  // What calls carry where the cluster wants to know who calls.
  void Prepare(grpc::ClientContext& context) const {
    const MutexLock lock(mutex_);
    if (!token_.empty()) context.AddMetadata("token", token_);
  }

  // Gets a token first, if one is needed and there is none.
  void WithToken(Done<absl::Status> then) {
    bool wanted = !options_.user.empty();
    if (wanted) {
      const MutexLock lock(mutex_);
      wanted = token_.empty();
    }
    if (!wanted) return then(absl::OkStatus());
    v1::AuthenticateRequest request;
    request.set_name(options_.user);
    request.set_password(options_.password);
    internal::CallUnary<v1::AuthenticateRequest, v1::AuthenticateResponse>(
        calls_, endpoints_, "/etcdserverpb.Auth/Authenticate",
        options_.connection.call_timeout, [](grpc::ClientContext&) {},
        std::move(request),
        [this, then = std::move(then)](
            absl::StatusOr<v1::AuthenticateResponse*> response) {
          if (!response.ok()) return then(response.status());
          const std::string& token = (*response)->token();
          const bool sendable =
              !token.empty() &&
              std::all_of(token.begin(), token.end(),
                          [](char c) { return c > 0x20 && c < 0x7f; });
          if (!sendable) {
            return then(absl::UnauthenticatedError("etcd gives no token"));
          }
          {
            const MutexLock lock(mutex_);
            token_ = token;
          }
          then(absl::OkStatus());
        });
  }

  // Tokens end; the next call gets another one.
  void Look(const absl::Status& status) {
    if (status.code() == absl::StatusCode::kUnauthenticated) ForgetToken();
  }
  void ForgetToken() {
    const MutexLock lock(mutex_);
    token_.clear();
  }

  template <typename Response, typename Request>
  void Call(const char* method, Request request,
            std::function<void(absl::StatusOr<Response*>)> then) {
    WithToken([this, method, request = std::move(request),
               then = std::move(then)](const absl::Status& status) mutable {
      if (!status.ok()) return then(status);
      internal::CallUnary<Request, Response>(
          calls_, endpoints_, method, options_.connection.call_timeout,
          [this](grpc::ClientContext& context) { Prepare(context); },
          std::move(request),
          [this, then = std::move(then)](absl::StatusOr<Response*> response) {
            Look(response.status());
            then(response);
          });
    });
  }

  const EtcdRegistryOptions options_;
  const Logger logger_;
  Endpoints endpoints_;
  mutable Mutex mutex_;
  std::string token_ ABSL_GUARDED_BY(mutex_);
  CallGroup calls_;
};

// One message there and one back, on a stream, for that is how etcd has it. A
// stream kept open for all leases would need to be kept alive itself.
class EtcdBackend::KeepAlive final
    : private grpc::ClientBidiReactor<v1::LeaseKeepAliveRequest,
                                      v1::LeaseKeepAliveResponse> {
 public:
  static void Start(EtcdBackend& backend, std::int64_t id,
                    Done<absl::Status> done) {
    auto* const call = new KeepAlive(backend, std::move(done));
    call->request_.set_id(id);
    if (!backend.calls_.Add(*call->context_)) {
      call->done_(absl::CancelledError("the registry's client is closed"));
      delete call;
      return;
    }
    backend.Prepare(*call->context_);
    call->context_->set_deadline(
        std::chrono::system_clock::now() +
        std::chrono::duration_cast<std::chrono::microseconds>(
            backend.options_.connection.call_timeout));
    call->link_ = backend.endpoints_.Current();
    call->stub_ = std::make_unique<Stub>(call->link_.channel);
    call->stub_->PrepareBidiStreamingCall(call->context_.get(),
                                          "/etcdserverpb.Lease/LeaseKeepAlive",
                                          grpc::StubOptions(), call);
    call->hand_over_.Pass();
    call->StartWriteLast(&call->request_, grpc::WriteOptions());
    call->StartRead(&call->response_);
    call->StartCall();
  }

 private:
  using Stub = grpc::TemplatedGenericStub<v1::LeaseKeepAliveRequest,
                                          v1::LeaseKeepAliveResponse>;

  KeepAlive(EtcdBackend& backend, Done<absl::Status> done)
      : backend_(backend), done_(std::move(done)) {}

  void OnReadDone(bool ok) override {
    hand_over_.Take();
    answered_ = ok;
    hand_over_.Pass();
  }

  void OnDone(const grpc::Status& result) override {
    hand_over_.Take();
    absl::Status status = FromGrpcStatus(result);
    if (answered_) {
      status = response_.id() == request_.id() && response_.ttl() > 0
                   ? absl::OkStatus()
                   : absl::NotFoundError("etcd has no such lease any more");
    } else if (status.ok()) {
      status = absl::UnavailableError("etcd does not answer a keep-alive");
    }
    EtcdBackend& backend = backend_;
    backend.endpoints_.Report(
        link_, status.code() == absl::StatusCode::kNotFound ? absl::OkStatus()
                                                            : status);
    backend.Look(status);
    done_(status);
    backend.calls_.Ended(*context_);
    delete this;
    backend.calls_.Leave();
  }

  EtcdBackend& backend_;
  Done<absl::Status> done_;
  internal::HandOver hand_over_;
  Endpoints::Link link_;
  std::unique_ptr<Stub> stub_;
  std::unique_ptr<grpc::ClientContext> context_ =
      std::make_unique<grpc::ClientContext>();
  v1::LeaseKeepAliveRequest request_;
  v1::LeaseKeepAliveResponse response_;
  bool answered_ = false;
};

void EtcdBackend::Renew(std::string_view /*service*/, std::string_view lease_id,
                        Done<absl::Status> done) {
  const std::optional<std::int64_t> id = LeaseIdOf(lease_id);
  if (!id.has_value()) return done(absl::NotFoundError("no lease of etcd"));
  WithToken([this, id, done = std::move(done)](const absl::Status& status) {
    if (!status.ok()) return done(status);
    KeepAlive::Start(*this, *id, done);
  });
}

// Reads what there is, unless it can resume; then follows the changes.
class EtcdBackend::WatchStream final
    : public internal::WatchCall,
      private grpc::ClientBidiReactor<v1::WatchRequest, v1::WatchResponse>,
      public std::enable_shared_from_this<WatchStream> {
 public:
  WatchStream(EtcdBackend& backend, const std::string& service,
              std::shared_ptr<WatchSink> sink)
      : backend_(backend),
        service_(service),
        prefix_(backend.KeyOf(service)),
        sink_(std::move(sink)) {}

  void Start(const std::string& resume_after) {
    if (const std::optional<Place> place = Place::Parse(resume_after)) {
      place_ = *place;
      return Follow();
    }
    backend_.Read(service_,
                  [self = shared_from_this()](absl::StatusOr<Listing> listing) {
                    self->Listed(std::move(listing));
                  });
  }

  void Cancel(absl::Status why) override {
    const MutexLock lock(mutex_);
    if (why_.ok()) why_ = std::move(why);
    // There is one while it follows.
    if (context_ != nullptr) context_->TryCancel();
  }

 private:
  using Stub = grpc::TemplatedGenericStub<v1::WatchRequest, v1::WatchResponse>;

  void Listed(absl::StatusOr<Listing> listing) {
    if (!listing.ok()) return End(listing.status(), false);
    {
      const MutexLock lock(mutex_);
      if (!why_.ok()) listing = why_;
    }
    if (!listing.ok()) return End(listing.status(), false);
    place_ = listing->place;
    sink_->OnUpdate({.snapshot = true,
                     .changed = std::move(listing->instances),
                     .removed = {},
                     .complete = absl::OkStatus(),
                     .position = place_.ToText()});
    Follow();
  }

  void Follow() {
    backend_.WithToken([self = shared_from_this()](absl::Status status) {
      if (!status.ok()) return self->End(std::move(status), true);
      self->Open();
    });
  }

  void Open() {
    v1::WatchCreateRequest& create = *request_.mutable_create();
    create.set_key(prefix_);
    create.set_range_end(EndOf(prefix_));
    create.set_start_revision(place_.revision + 1);
    create.set_fragment(true);
    auto made = std::make_unique<grpc::ClientContext>();
    grpc::ClientContext* const context = made.get();
    absl::Status unwanted;
    {
      const MutexLock lock(mutex_);
      unwanted = why_;
      if (unwanted.ok() && !backend_.calls_.Add(*context)) {
        unwanted = absl::CancelledError("the registry's client is closed");
      }
      if (unwanted.ok()) context_ = std::move(made);
    }
    if (!unwanted.ok()) return End(unwanted, true);
    self_ = shared_from_this();
    backend_.Prepare(*context);
    // A member that lost its cluster ends the watch instead of being silent.
    context->AddMetadata("hasleader", "true");
    link_ = backend_.endpoints_.Current();
    stub_ = std::make_unique<Stub>(link_.channel);
    stub_->PrepareBidiStreamingCall(context, "/etcdserverpb.Watch/Watch",
                                    grpc::StubOptions(), this);
    hand_over_.Pass();
    StartWrite(&request_);
    StartRead(&response_);
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    hand_over_.Take();
    const absl::Status status = Take();
    const bool goes_on = status.ok() && !anew_;
    hand_over_.Pass();
    if (goes_on) {
      StartRead(&response_);
    } else {
      Cancel(status.ok() ? absl::AbortedError("to be read anew") : status);
    }
  }

  absl::Status Take() {
    const v1::ResponseHeader& header = response_.header();
    // Another cluster, or one that has lost what it knew: it would be silent
    // until it is where the old one was.
    if (header.cluster_id() != place_.cluster ||
        (response_.created() && header.revision() < place_.revision)) {
      anew_ = true;
      return absl::OkStatus();
    }
    if (response_.compact_revision() != 0) {
      anew_ = true;
      return absl::OkStatus();
    }
    if (response_.canceled()) {
      // That is also how a watch meets a token that etcd knows no more.
      backend_.ForgetToken();
      return absl::UnavailableError(absl::StrCat("etcd has ended the watch: ",
                                                 response_.cancel_reason()));
    }
    for (const v1::Event& event : response_.events()) {
      const std::string& key = event.kv().key();
      if (!key.starts_with(prefix_)) continue;
      std::string address = key.substr(prefix_.size());
      place_.revision = std::max(place_.revision, event.kv().mod_revision());
      if (event.type() == v1::Event::EVENT_TYPE_DELETE) {
        changes_[std::move(address)] = std::nullopt;
        continue;
      }
      std::optional<Instance> instance = backend_.Parse(event.kv(), address);
      // Nonsense about what is known does not take it away.
      if (instance.has_value()) {
        changes_[std::move(address)] = std::move(instance);
      }
    }
    if (changes_.size() > internal::kMaxInstances) {
      return absl::DataLossError("etcd tells of too many instances");
    }
    // The first one says that the watch stands, and with it all that is known.
    if (response_.fragment() || (changes_.empty() && !response_.created())) {
      return absl::OkStatus();
    }
    WatchUpdate update{.position = place_.ToText()};
    for (auto& [address, instance] : changes_) {
      if (instance.has_value()) {
        update.changed.push_back(*std::move(instance));
      } else {
        update.removed.push_back(address);
      }
    }
    changes_.clear();
    sink_->OnUpdate(std::move(update));
    return absl::OkStatus();
  }

  void OnDone(const grpc::Status& result) override {
    hand_over_.Take();
    absl::Status status = FromGrpcStatus(result);
    std::unique_ptr<grpc::ClientContext> context;
    {
      const MutexLock lock(mutex_);
      context.swap(context_);
      if (!why_.ok()) status = why_;
    }
    if (status.ok()) {
      status = absl::UnavailableError("etcd has ended the watch");
    }
    EtcdBackend& backend = backend_;
    if (anew_) {
      End(absl::OkStatus(), false);
    } else {
      backend.endpoints_.Report(link_, status);
      backend.Look(status);
      End(status, status.code() != absl::StatusCode::kDataLoss);
    }
    backend.calls_.Ended(*context);
    context.reset();
    stub_.reset();
    link_.channel.reset();
    self_.reset();  // perhaps the last one
    backend.calls_.Leave();
  }

  void End(absl::Status status, bool resumable) {
    std::exchange(sink_, nullptr)->OnEnd(std::move(status), resumable);
  }

  EtcdBackend& backend_;
  const std::string service_;
  const std::string prefix_;
  std::shared_ptr<WatchSink> sink_;
  // What was told last; of etcd, all up to there.
  Place place_;
  internal::HandOver hand_over_;
  std::shared_ptr<WatchStream> self_;  // from Open until OnDone
  Endpoints::Link link_;
  std::unique_ptr<Stub> stub_;
  Mutex mutex_;
  std::unique_ptr<grpc::ClientContext> context_ ABSL_GUARDED_BY(mutex_);
  absl::Status why_ ABSL_GUARDED_BY(mutex_);
  v1::WatchRequest request_;
  v1::WatchResponse response_;
  // Of a response in fragments; nothing: deleted.
  std::map<std::string, std::optional<Instance>> changes_;
  bool anew_ = false;
};

std::shared_ptr<internal::WatchCall> EtcdBackend::OpenWatch(
    const std::string& service, const std::string& resume_after,
    std::shared_ptr<WatchSink> sink) {
  auto watch = std::make_shared<WatchStream>(*this, service, std::move(sink));
  watch->Start(resume_after);
  return watch;
}

absl::Status CheckOptions(const EtcdRegistryOptions& options) {
  absl::Status valid = CheckConnection(options.connection);
  const bool printable =
      std::all_of(options.prefix.begin(), options.prefix.end(),
                  [](char c) { return c > 0x20 && c < 0x7f; });
  if (options.prefix.empty() || options.prefix.size() > 255 || !printable) {
    valid.Update(absl::InvalidArgumentError(
        "prefix must have 1 to 255 printable characters"));
  }
  if (!options.user.empty() && options.connection.credentials == nullptr &&
      !options.password_in_plaintext) {
    valid.Update(absl::InvalidArgumentError(
        "password would be sent without TLS: set credentials, or "
        "password_in_plaintext"));
  }
  return valid;
}

}  // namespace

struct EtcdRegistry::Impl : internal::NetworkRegistry {
  using NetworkRegistry::NetworkRegistry;
};

absl::StatusOr<std::unique_ptr<EtcdRegistry>> EtcdRegistry::Create(
    EtcdRegistryOptions options, Scheduler& scheduler, const Logger& logger,
    const Clock& clock, Random random) {
  if (absl::Status valid = CheckOptions(options); !valid.ok()) return valid;
  const RegistryConnectionOptions connection = options.connection;
  auto backend = std::make_unique<EtcdBackend>(std::move(options), scheduler,
                                               random, logger);
  return absl::WrapUnique(new EtcdRegistry(
      std::make_unique<Impl>(std::move(backend), connection, scheduler, logger,
                             clock, std::move(random))));
}

EtcdRegistry::EtcdRegistry(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}
EtcdRegistry::~EtcdRegistry() = default;

absl::StatusOr<std::unique_ptr<Registration>> EtcdRegistry::Register(
    std::string service, Instance instance, RegistrationOptions options) {
  return impl_->Register(std::move(service), std::move(instance), options);
}

absl::StatusOr<std::unique_ptr<InstanceWatch>> EtcdRegistry::Watch(
    std::string service, OnChange on_change) {
  return impl_->Watch(std::move(service), std::move(on_change));
}

LeaseBackend& EtcdRegistry::leases() { return impl_->backend(); }

}  // namespace grpccommon
