// SPDX-License-Identifier: Apache-2.0
#include "registry/dns_records.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#define CARES_NO_DEPRECATED  // what replaces it is not in Debian 12
#include "ares.h"
#include "grpccommon/base/string_view.h"

namespace grpccommon::internal {
namespace {

constexpr std::uint16_t kTypeSrv = 33;
constexpr std::uint16_t kClassIn = 1;
constexpr std::size_t kHeaderBytes = 12;

template <typename... Parts>
absl::Status Refuse(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

// A message and how far it has been read. Names are c-ares' to expand, which
// bounds them and their compression loops.
class MessageReader {
 public:
  explicit MessageReader(std::span<const std::uint8_t> message)
      : message_(message) {}

  bool ReadNumber16(std::uint16_t& number) {
    if (message_.size() - at_ < 2) return false;
    number =
        static_cast<std::uint16_t>((message_[at_] << 8) | message_[at_ + 1]);
    at_ += 2;
    return true;
  }

  bool ReadNumber32(std::uint32_t& number) {
    std::uint16_t high = 0;
    std::uint16_t low = 0;
    if (!ReadNumber16(high) || !ReadNumber16(low)) return false;
    number = (std::uint32_t{high} << 16) | low;
    return true;
  }

  bool ReadName(std::string& name) {
    if (at_ >= message_.size()) return false;
    char* expanded = nullptr;
    long bytes = 0;  // NOLINT(google-runtime-int): c-ares' type
    if (ares_expand_name(message_.data() + at_, message_.data(),
                         static_cast<int>(message_.size()), &expanded,
                         &bytes) != ARES_SUCCESS) {
      return false;
    }
    const std::unique_ptr<char, void (*)(void*)> owned(expanded,
                                                       ares_free_string);
    name = expanded;
    return Skip(static_cast<std::size_t>(bytes));
  }

  bool Skip(std::size_t bytes) {
    if (message_.size() - at_ < bytes) return false;
    at_ += bytes;
    return true;
  }

  std::size_t at() const { return at_; }

 private:
  const std::span<const std::uint8_t> message_;
  std::size_t at_ = 0;
};

bool IsUnderscoreLabel(std::string_view label) {
  return label.size() >= 2 && label.size() <= 63 && label.front() == '_' &&
         std::all_of(label.begin() + 1, label.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  (c >= '0' && c <= '9') || c == '-';
         });
}

}  // namespace

absl::StatusOr<DnsTarget> ParseDnsTarget(std::string_view text) {
  DnsTarget target{.text = std::string(text)};
  if (!text.starts_with('_')) {
    absl::StatusOr<HostPort> host_port = ParseHostPort(text);
    if (!host_port.ok()) {
      return Refuse("DNS name ", Quoted(text), ": ",
                    host_port.status().message());
    }
    target.host_port = *std::move(host_port);
    if (target.host_port.kind != HostKind::kName) {
      const absl::Status valid =
          CheckInstance({.address = JoinHostPort(target.host_port)});
      if (!valid.ok()) return valid;
    }
    return target;
  }
  target.srv = true;
  const std::size_t first = text.find('.');
  const std::size_t second =
      first == std::string_view::npos ? first : text.find('.', first + 1);
  if (second == std::string_view::npos || text.size() > 253 ||
      !IsUnderscoreLabel(text.substr(0, first)) ||
      !IsUnderscoreLabel(text.substr(first + 1, second - first - 1))) {
    return Refuse("DNS name ", Quoted(text),
                  ": must be host:port or _service._proto.name");
  }
  const absl::StatusOr<HostKind> name = CheckHost(text.substr(second + 1));
  if (!name.ok() || *name != HostKind::kName) {
    return Refuse(
        "DNS name ", Quoted(text), ": ",
        name.ok() ? "an address has no SRV records" : name.status().message());
  }
  return target;
}

Clock::Duration TtlOf(std::int64_t seconds) {
  // RFC 2181, section 8: with its highest bit set, it is zero.
  if (seconds < 0 || seconds > 0x7fffffff) seconds = 0;
  return std::chrono::seconds(seconds);
}

absl::StatusOr<SrvAnswer> ParseSrvAnswer(
    std::span<const std::uint8_t> message) {
  const auto malformed = [] { return Refuse("a malformed DNS message"); };
  // Its counts are all that matters of the header: the rest was c-ares' to
  // check. What is longer than any DNS message is none.
  if (message.size() < kHeaderBytes || message.size() > 65535) {
    return malformed();
  }
  MessageReader reader(message);
  std::uint16_t questions = 0;
  std::uint16_t answers = 0;
  reader.Skip(4);
  if (!reader.ReadNumber16(questions) || !reader.ReadNumber16(answers) ||
      !reader.Skip(4)) {
    return malformed();
  }
  std::string name;
  for (int i = 0; i < questions; ++i) {
    if (!reader.ReadName(name) || !reader.Skip(4)) return malformed();
  }

  SrvAnswer answer{.ttl = Clock::Duration::max()};
  for (int i = 0; i < answers; ++i) {
    std::uint16_t type = 0;
    std::uint16_t dns_class = 0;
    std::uint32_t ttl = 0;
    std::uint16_t bytes = 0;
    if (!reader.ReadName(name) || !reader.ReadNumber16(type) ||
        !reader.ReadNumber16(dns_class) || !reader.ReadNumber32(ttl) ||
        !reader.ReadNumber16(bytes)) {
      return malformed();
    }
    // Those of aliases on the way count too.
    answer.ttl = std::min(answer.ttl, TtlOf(ttl));
    if (type != kTypeSrv || dns_class != kClassIn) {
      if (!reader.Skip(bytes)) return malformed();
      continue;
    }
    const std::size_t end = reader.at() + bytes;
    SrvRecord record;
    if (!reader.ReadNumber16(record.priority) ||
        !reader.ReadNumber16(record.weight) ||
        !reader.ReadNumber16(record.port) || !reader.ReadName(record.target) ||
        reader.at() != end) {
      return malformed();
    }
    if (!record.target.empty()) {
      const absl::StatusOr<HostKind> host = CheckHost(record.target);
      if (!host.ok() || *host != HostKind::kName || record.port == 0) {
        return Refuse("an SRV record for ", Quoted(record.target), ", port ",
                      record.port, ": no host and port to call");
      }
    }
    if (answer.records.size() == kMaxSrvRecords) {
      return Refuse("more than ", kMaxSrvRecords, " SRV records");
    }
    answer.records.push_back(std::move(record));
  }
  if (answer.records.empty()) {
    return absl::NotFoundError("no SRV records of that name");
  }
  return answer;
}

std::vector<Instance> InstancesOf(std::vector<ResolvedSrv> resolved) {
  std::erase_if(resolved,
                [](const ResolvedSrv& srv) { return srv.hosts.empty(); });
  std::stable_sort(resolved.begin(), resolved.end(),
                   [](const ResolvedSrv& a, const ResolvedSrv& b) {
                     return a.record.priority < b.record.priority;
                   });
  // Weights are relative within a priority; where all are 0, nothing is
  // preferred. Beyond our largest weight they are scaled down together.
  std::map<std::uint16_t, std::uint16_t> heaviest;
  for (const ResolvedSrv& srv : resolved) {
    std::uint16_t& most = heaviest[srv.record.priority];
    most = std::max(most, srv.record.weight);
  }

  std::vector<Instance> instances;
  std::set<std::string> addresses;
  for (const ResolvedSrv& srv : resolved) {
    const double most = heaviest[srv.record.priority];
    const double weight =
        most == 0 ? 1.0 : srv.record.weight * std::min(1.0, 1000.0 / most);
    for (HostPort host : srv.hosts) {
      host.port = srv.record.port;
      Instance instance{
          .address = JoinHostPort(host),
          .weight =
              std::max(0.001, weight / static_cast<double>(srv.hosts.size())),
          .healthy = srv.record.priority == resolved.front().record.priority};
      // Of two records for one place, the one to be preferred.
      if (CheckInstance(instance).ok() &&
          addresses.insert(instance.address).second) {
        instances.push_back(std::move(instance));
      }
    }
  }
  std::sort(instances.begin(), instances.end(),
            [](const Instance& a, const Instance& b) {
              return a.address < b.address;
            });
  return instances;
}

}  // namespace grpccommon::internal
