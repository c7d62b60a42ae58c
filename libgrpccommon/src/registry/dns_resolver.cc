// SPDX-License-Identifier: Apache-2.0
#include "registry/dns_resolver.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#define CARES_NO_DEPRECATED  // what replaces it is not in Debian 12
#include "ares.h"
#include "grpccommon/base/mutex.h"
#include "registry/address.h"

namespace grpccommon::internal {
namespace {

constexpr int kTypeSrv = 33;
constexpr int kClassIn = 1;
constexpr std::uint16_t kDnsPort = 53;
// Asked for at a time, the rest afterwards: hundreds of datagrams at once are
// more than the buffers of sockets hold, and each one lost costs a time-out.
constexpr std::size_t kMaxQuestions = 32;

absl::Status StatusOf(int ares, std::string_view name) {
  const std::string message =
      absl::StrCat("DNS lookup of ", Quoted(name), ": ", ares_strerror(ares));
  return ares == ARES_ENOTFOUND || ares == ARES_ENODATA
             ? absl::NotFoundError(message)
             : absl::UnavailableError(message);
}

std::optional<HostPort> HostOf(const sockaddr* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* bytes = nullptr;
  HostPort host;
  if (address->sa_family == AF_INET) {
    host.kind = HostKind::kIpv4;
    bytes = &reinterpret_cast<const sockaddr_in*>(address)->sin_addr;
  } else if (address->sa_family == AF_INET6) {
    host.kind = HostKind::kIpv6;
    bytes = &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
  } else {
    return std::nullopt;
  }
  if (inet_ntop(address->sa_family, bytes, text.data(), text.size()) ==
      nullptr) {
    return std::nullopt;
  }
  host.host = text.data();
  return host;
}

absl::StatusOr<std::string> NameServerOf(const std::string& text) {
  absl::StatusOr<HostKind> kind = CheckHost(text);
  HostPort server;
  if (kind.ok() && *kind != HostKind::kName) {
    server = {.host = text, .kind = *kind, .port = kDnsPort};
  } else {
    absl::StatusOr<HostPort> parsed = ParseHostPort(text);
    if (!parsed.ok() || parsed->kind == HostKind::kName) {
      return absl::InvalidArgumentError(
          absl::StrCat("name_servers: ", Quoted(text),
                       " must be an IP address, with a port or without"));
    }
    server = *std::move(parsed);
  }
  return JoinHostPort(server);
}

class CaresResolver;

struct Lookup;

// For c-ares.
struct Question {
  Lookup* lookup = nullptr;
  std::string name;
  // Whose target it is, of `resolved`; none asks for the SRV records.
  std::optional<std::size_t> record;
};

// One call of LookUp. Its questions refer to it, so it stays until c-ares has
// answered them all, even if nobody waits any more (`done` is empty then).
struct Lookup {
  CaresResolver* resolver = nullptr;
  DnsTarget target;
  DnsResolver::Done done;
  Clock::TimePoint deadline;
  std::list<Question> questions;
  std::size_t unanswered = 0;
  absl::Status failure;  // the first that is more than a negative answer
  Clock::Duration ttl = Clock::Duration::max();
  // For the addresses of a host, one record that stands for it.
  std::vector<ResolvedSrv> resolved;
};

// c-ares on a thread of its own, which sleeps while nothing is asked. The
// channel lives no longer than the lookups under way, so that each round reads
// /etc/resolv.conf as it is then, and that an idle resolver has no sockets.
class CaresResolver : public DnsResolver {
 public:
  CaresResolver(Clock::Duration timeout, std::string servers, int wake)
      : timeout_(timeout), servers_(std::move(servers)), wake_(wake) {}

  ~CaresResolver() override {
    {
      const MutexLock lock(mutex_);
      stopping_ = true;
    }
    Wake();
    if (thread_.joinable()) thread_.join();
    close(wake_);
  }

  void LookUp(const DnsTarget& target, Done done) override {
    auto lookup = std::make_unique<Lookup>();
    lookup->resolver = this;
    lookup->target = target;
    lookup->done = std::move(done);
    {
      const MutexLock lock(mutex_);
      queue_.push_back(std::move(lookup));
      if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
    }
    Wake();
  }

 private:
  void Wake() const {
    // The counter of an eventfd wakes the thread even if it is full.
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(wake_, &one, sizeof one);
  }

  // The rest runs on the thread.

  void Run() {
    while (true) {
      std::list<std::unique_ptr<Lookup>> fresh;
      {
        const MutexLock lock(mutex_);
        if (stopping_) break;
        fresh.swap(queue_);
      }
      for (std::unique_ptr<Lookup>& lookup : fresh) Begin(std::move(lookup));
      AskWaiting();
      Sweep();
      Poll();
    }
    CloseChannel();
  }

  void Begin(std::unique_ptr<Lookup> owned) {
    if (channel_ == nullptr) {
      if (const int opened = OpenChannel(); opened != ARES_SUCCESS) {
        owned->done(StatusOf(opened, owned->target.text));
        return;
      }
    }
    Lookup& lookup = *owned;
    lookup.deadline = SteadyClock().Now() + timeout_;
    lookups_.push_back(std::move(owned));
    if (lookup.target.srv) {
      Ask(lookup, lookup.target.text, std::nullopt);
    } else {
      lookup.resolved.emplace_back();
      Ask(lookup, lookup.target.host_port.host, 0);
    }
  }

  void Ask(Lookup& lookup, const std::string& name,
           std::optional<std::size_t> record) {
    ++lookup.unanswered;
    waiting_.push_back(
        &lookup.questions.emplace_back(Question{&lookup, name, record}));
  }

  // Not from a callback: c-ares may answer within the call, so that they would
  // nest as deep as there are questions.
  void AskWaiting() {
    while (asked_ < kMaxQuestions && !waiting_.empty()) {
      Question& question = *waiting_.front();
      waiting_.pop_front();
      ++asked_;
      if (!question.record.has_value()) {
        ares_search(channel_, question.name.c_str(), kClassIn, kTypeSrv, OnSrv,
                    &question);
        continue;
      }
      ares_addrinfo_hints hints{};
      hints.ai_family = AF_UNSPEC;
      hints.ai_flags = ARES_AI_NOSORT;  // sorting opens a socket per address
      ares_getaddrinfo(channel_, question.name.c_str(), nullptr, &hints,
                       OnAddresses, &question);
    }
  }

  static void OnSrv(void* argument, int status, int /*timeouts*/,
                    unsigned char* message, int size) {
    Lookup& lookup = *static_cast<Question*>(argument)->lookup;
    CaresResolver& self = *lookup.resolver;
    if (status != ARES_SUCCESS) {
      lookup.failure.Update(StatusOf(status, lookup.target.text));
    } else {
      self.FollowSrv(lookup, std::span<const std::uint8_t>(
                                 message, static_cast<std::size_t>(size)));
    }
    self.Answered(lookup);
  }

  void FollowSrv(Lookup& lookup, std::span<const std::uint8_t> message) {
    absl::StatusOr<SrvAnswer> answer = ParseSrvAnswer(message);
    if (!answer.ok()) {
      const std::string text =
          absl::StrCat("DNS lookup of ", Quoted(lookup.target.text), ": ",
                       answer.status().message());
      lookup.failure.Update(absl::IsNotFound(answer.status())
                                ? absl::NotFoundError(text)
                                : absl::UnavailableError(text));
      return;
    }
    lookup.ttl = answer->ttl;
    for (SrvRecord& record : answer->records) {
      if (record.target.empty()) continue;
      Ask(lookup, record.target, lookup.resolved.size());
      lookup.resolved.push_back({.record = std::move(record)});
    }
  }

  static void OnAddresses(void* argument, int status, int /*timeouts*/,
                          ares_addrinfo* result) {
    const Question& question = *static_cast<Question*>(argument);
    Lookup& lookup = *question.lookup;
    const std::unique_ptr<ares_addrinfo, void (*)(ares_addrinfo*)> owned(
        result, ares_freeaddrinfo);
    if (status != ARES_SUCCESS) {
      const absl::Status failed = StatusOf(status, question.name);
      // A target that has no addresses takes nothing from the others.
      if (!lookup.target.srv || !absl::IsNotFound(failed)) {
        lookup.failure.Update(failed);
      }
    } else {
      for (const ares_addrinfo_cname* alias = owned->cnames; alias != nullptr;
           alias = alias->next) {
        lookup.ttl = std::min(lookup.ttl, TtlOf(alias->ttl));
      }
      for (const ares_addrinfo_node* node = owned->nodes; node != nullptr;
           node = node->ai_next) {
        std::optional<HostPort> host = HostOf(node->ai_addr);
        if (!host.has_value()) continue;
        lookup.ttl = std::min(lookup.ttl, TtlOf(node->ai_ttl));
        lookup.resolved[*question.record].hosts.push_back(*std::move(host));
      }
    }
    lookup.resolver->Answered(lookup);
  }

  // One question less. The lookup itself goes with the next Sweep, since c-ares
  // may be looking at it.
  void Answered(Lookup& lookup) {
    --asked_;
    if (--lookup.unanswered > 0 || !lookup.done || closing_) return;
    const Done done = std::exchange(lookup.done, nullptr);
    if (!lookup.failure.ok()) {
      done(lookup.failure);
      return;
    }
    const bool offered = !lookup.resolved.empty();
    if (!lookup.target.srv) {
      ResolvedSrv& host = lookup.resolved.front();
      host.record.port = lookup.target.host_port.port;
      // Each address has the weight of one, and not a share of it.
      host.record.weight = static_cast<std::uint16_t>(
          std::min<std::size_t>(host.hosts.size(), 1000));
    }
    DnsAnswer answer{.instances = InstancesOf(std::move(lookup.resolved)),
                     .ttl = lookup.ttl == Clock::Duration::max()
                                ? Clock::Duration::zero()
                                : lookup.ttl};
    if (offered && answer.instances.empty()) {
      done(absl::NotFoundError(absl::StrCat("DNS lookup of ",
                                            Quoted(lookup.target.text),
                                            ": no address to call")));
      return;
    }
    done(std::move(answer));
  }

  // Ends what took too long, forgets what has ended, and closes the channel
  // once nobody waits.
  void Sweep() {
    const Clock::TimePoint now = SteadyClock().Now();
    for (const auto& lookup : lookups_) {
      if (!lookup->done || lookup->deadline > now) continue;
      std::exchange(lookup->done, nullptr)(absl::UnavailableError(
          absl::StrCat("DNS lookup of ", Quoted(lookup->target.text),
                       ": no answer in time")));
      // What it has not asked yet nobody needs to know.
      lookup->unanswered -=
          std::erase_if(waiting_, [&lookup](const Question* question) {
            return question->lookup == lookup.get();
          });
    }
    lookups_.remove_if(
        [](const auto& lookup) { return lookup->unanswered == 0; });
    const bool awaited =
        std::any_of(lookups_.begin(), lookups_.end(),
                    [](const auto& lookup) { return lookup->done != nullptr; });
    if (!awaited) CloseChannel();
  }

  void Poll() {
    std::vector<pollfd> sockets = {{.fd = wake_, .events = POLLIN}};
    int timeout_ms = -1;
    if (channel_ != nullptr) {
      for (const auto& [socket, events] : sockets_) {
        sockets.push_back({.fd = socket, .events = events});
      }
      timeout_ms = NextTimeout();
    }
    if (poll(sockets.data(), sockets.size(), timeout_ms) < 0) {
      // Interrupted, or short of memory: look again.
      sockets.clear();
    }
    if (!sockets.empty() && sockets[0].revents != 0) {
      std::uint64_t count = 0;
      [[maybe_unused]] const ssize_t bytes = read(wake_, &count, sizeof count);
    }
    if (channel_ == nullptr) return;
    for (std::size_t i = 1; i < sockets.size(); ++i) {
      const pollfd& ready = sockets[i];
      if (ready.revents == 0) continue;
      const bool write_only = (ready.revents & ~POLLOUT) == 0;
      ares_process_fd(
          channel_, write_only ? ARES_SOCKET_BAD : ready.fd,
          (ready.revents & POLLOUT) != 0 ? ready.fd : ARES_SOCKET_BAD);
    }
    ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);  // time-outs
  }

  int NextTimeout() const {
    Clock::TimePoint next = Clock::TimePoint::max();
    for (const auto& lookup : lookups_) {
      if (lookup->done) next = std::min(next, lookup->deadline);
    }
    const Clock::TimePoint now = SteadyClock().Now();
    // Rounded up, or the last millisecond would be spent polling.
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(next - now).count();
    timeval ares{};
    const timeval* const wait = ares_timeout(channel_, nullptr, &ares);
    const std::int64_t wait_ms =
        wait == nullptr ? left : wait->tv_sec * 1000 + wait->tv_usec / 1000 + 1;
    return static_cast<int>(std::clamp<std::int64_t>(
        std::min<std::int64_t>(left, wait_ms), 0, 60'000));
  }

  int OpenChannel() {
    ares_options options{};
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    // c-ares doubles the time for the second try, so both fit into ours.
    options.timeout = static_cast<int>(
        std::chrono::ceil<std::chrono::milliseconds>(timeout_ / 3).count());
    options.tries = 2;
    options.sock_state_cb = OnSocket;
    options.sock_state_cb_data = this;
    // The search domains are of the system's own name servers.
    if (!servers_.empty()) mask |= ARES_OPT_DOMAINS;
    ares_channel channel = nullptr;
    int status = ares_init_options(&channel, &options, mask);
    if (status != ARES_SUCCESS) return status;
    if (!servers_.empty()) {
      status = ares_set_servers_ports_csv(channel, servers_.c_str());
      if (status != ARES_SUCCESS) {
        ares_destroy(channel);
        return status;
      }
    }
    channel_ = channel;
    return ARES_SUCCESS;
  }

  static void OnSocket(void* argument, ares_socket_t socket, int readable,
                       int writable) {
    auto& sockets = static_cast<CaresResolver*>(argument)->sockets_;
    const int events =
        (readable != 0 ? POLLIN : 0) | (writable != 0 ? POLLOUT : 0);
    if (events == 0) {
      sockets.erase(socket);
    } else {
      sockets[socket] = static_cast<short>(events);  // NOLINT: poll's type
    }
  }

  void CloseChannel() {
    if (channel_ == nullptr) return;
    closing_ = true;
    // Answers all queries under way; nobody waits for them.
    ares_destroy(std::exchange(channel_, nullptr));
    closing_ = false;
    lookups_.clear();
    waiting_.clear();
    sockets_.clear();
  }

  const Clock::Duration timeout_;
  const std::string servers_;  // as c-ares takes them
  const int wake_;

  Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::list<std::unique_ptr<Lookup>> queue_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;

  // Of the thread.
  ares_channel channel_ = nullptr;
  std::map<ares_socket_t, short> sockets_;  // NOLINT: poll's type
  std::list<std::unique_ptr<Lookup>> lookups_;
  std::deque<Question*> waiting_;  // to be asked
  std::size_t asked_ = 0;
  bool closing_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<DnsResolver>> CreateDnsResolver(
    const DnsResolverOptions& options) {
  std::vector<std::string> servers;
  for (const std::string& text : options.name_servers) {
    absl::StatusOr<std::string> server = NameServerOf(text);
    if (!server.ok()) return server.status();
    servers.push_back(*std::move(server));
  }
  // Never undone: gRPC uses c-ares too.
  static const int library = ares_library_init(ARES_LIB_INIT_ALL);
  if (library != ARES_SUCCESS) {
    return absl::UnavailableError(
        absl::StrCat("c-ares: ", ares_strerror(library)));
  }
  const int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake < 0) {
    return absl::UnavailableError(
        absl::StrCat("eventfd: ", std::strerror(errno)));
  }
  return std::make_unique<CaresResolver>(options.timeout,
                                         absl::StrJoin(servers, ","), wake);
}

}  // namespace grpccommon::internal
