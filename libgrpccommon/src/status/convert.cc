// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/status/convert.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <forward_list>
#include <iterator>
#include <map>
#include <tuple>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/utf8.h"
#include "status/type_url.h"
#include "status/wire.h"

namespace grpccommon {
namespace {

using internal::AppendBytesField;
using internal::AppendBytesHeader;
using internal::AppendVarintField;
using internal::BytesFieldSize;

// The order in which details are sent: what programs act on comes before what
// people read, so that it is the latter that a full header loses.
constexpr std::string_view kByImportance[] = {
    "type.googleapis.com/google.rpc.ErrorInfo",
    "type.googleapis.com/google.rpc.RetryInfo",
    "type.googleapis.com/google.rpc.QuotaFailure",
    "type.googleapis.com/google.rpc.PreconditionFailure",
    "type.googleapis.com/google.rpc.BadRequest",
    "type.googleapis.com/google.rpc.ResourceInfo",
    "type.googleapis.com/google.rpc.RequestInfo",
    "type.googleapis.com/google.rpc.LocalizedMessage",
    "type.googleapis.com/google.rpc.Help"};

// All other types come after these, and debug output is the first to go.
constexpr std::size_t kRankOfOthers = std::size(kByImportance);
constexpr std::string_view kDebugInfo =
    "type.googleapis.com/google.rpc.DebugInfo";

std::size_t RankOf(std::string_view type_url) {
  if (type_url == kDebugInfo) return kRankOfOthers + 1;
  return static_cast<std::size_t>(
      std::find(std::begin(kByImportance), std::end(kByImportance), type_url) -
      std::begin(kByImportance));
}

// A status keeps one payload for each type URL, google.rpc.Status may repeat
// them: the second one of a type is kept under "<type URL>#2", and so on. No
// valid type URL has such an end.
constexpr char kRepeatMark[] = "#";

// absl::Status searches its payloads one by one, so a peer must not choose how
// many there are.
constexpr int kMaxDetails = 128;

struct Detail {
  std::string_view type_url;
  std::size_t rank;
  int repeat = 1;
  absl::Cord value;
};
using Details = absl::InlinedVector<Detail, 4>;

// Sorted, since absl::Status visits its payloads in an order of its own that
// changes from one status to the next. Type URLs other than the constants above
// are kept in `others`: those that a status shows need not outlive the visit.
Details SortedDetails(const absl::Status& status,
                      std::forward_list<std::string>& others) {
  Details details;
  status.ForEachPayload([&](absl::string_view key, const absl::Cord& payload) {
    Detail& detail = details.emplace_back();
    const std::size_t mark = std::min(ToStd(key).find(kRepeatMark), key.size());
    const std::string_view type_url = ToStd(key).substr(0, mark);
    detail.rank = RankOf(type_url);
    detail.type_url = detail.rank < kRankOfOthers
                          ? kByImportance[detail.rank]
                          : others.emplace_front(RepairUtf8(type_url));
    if (mark < key.size()) {
      std::from_chars(key.data() + mark + 1, key.data() + key.size(),
                      detail.repeat);
    }
    detail.value = payload;
  });
  std::sort(details.begin(), details.end(), [](const auto& a, const auto& b) {
    return std::tie(a.rank, a.type_url, a.repeat) <
           std::tie(b.rank, b.type_url, b.repeat);
  });
  return details;
}

// What gRPC's percent-encoding of `grpc-message` makes of a byte.
std::size_t EncodedSize(char byte) {
  return byte >= 0x20 && byte <= 0x7e && byte != '%' ? 1 : 3;
}

// Well-formed UTF-8 that takes at most kMaxMessageBytes on the wire.
std::string FitMessage(std::string_view message) {
  // A byte takes nine at most: as U+FFFD, percent-encoded.
  if (message.size() <= kMaxMessageBytes / 9) return RepairUtf8(message);
  std::string fit;
  std::size_t encoded = 0;
  while (!message.empty()) {
    const std::size_t size = Utf8CharacterSize(message);
    const std::string_view character =
        size != 0 ? message.substr(0, size) : kReplacementCharacter;
    for (const char byte : character) encoded += EncodedSize(byte);
    if (encoded > kMaxMessageBytes) break;
    fit.append(character);
    message.remove_prefix(size != 0 ? size : 1);
  }
  return fit;
}

std::size_t AnySize(const Detail& detail) {
  return BytesFieldSize(detail.type_url.size()) +
         BytesFieldSize(detail.value.size());
}

// Keeps as many of the broken rules as fit into `max_bytes`, for their number
// is the caller's choice; false if not even one does.
bool ShortenBadRequest(std::size_t max_bytes, absl::Cord& value) {
  google::rpc::BadRequest bad_request;
  if (!bad_request.ParseFromString(std::string(value))) return false;
  std::size_t size = 0;
  int kept = 0;
  for (const auto& violation : bad_request.field_violations()) {
    size += BytesFieldSize(violation.ByteSizeLong());
    if (size > max_bytes) break;
    ++kept;
  }
  if (kept == 0) return false;
  auto& violations = *bad_request.mutable_field_violations();
  violations.DeleteSubrange(kept, violations.size() - kept);
  bad_request.DiscardUnknownFields();
  value = absl::Cord(bad_request.SerializeAsString());
  return value.size() <= max_bytes;
}

// A google.rpc.Status.
std::string SerializeDetails(absl::StatusCode code, std::string_view message,
                             Details& details) {
  std::string out;
  out.reserve(512);
  AppendVarintField(1, static_cast<std::uint64_t>(code), out);
  AppendBytesField(2, message, out);
  for (Detail& detail : details) {
    const auto fits = [&out, &detail] {
      return out.size() + BytesFieldSize(AnySize(detail)) <= kMaxDetailsBytes;
    };
    if (!fits()) {
      const std::size_t used =
          out.size() + BytesFieldSize(detail.type_url.size());
      // Four lengths and tags take at most 3 bytes each below kMaxDetailsBytes.
      constexpr std::size_t kOverhead = 12;
      if (detail.type_url !=
              internal::TypeUrl(*google::rpc::BadRequest::descriptor()) ||
          used + kOverhead >= kMaxDetailsBytes ||
          !ShortenBadRequest(kMaxDetailsBytes - used - kOverhead,
                             detail.value) ||
          !fits()) {
        continue;
      }
    }
    AppendBytesHeader(3, AnySize(detail), out);
    AppendBytesField(1, detail.type_url, out);
    AppendBytesHeader(2, detail.value.size(), out);
    for (const absl::string_view chunk : detail.value.Chunks()) {
      out.append(chunk.data(), chunk.size());
    }
  }
  return out;
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  std::string message = FitMessage(ToStd(status.message()));
  std::forward_list<std::string> others;
  Details details = SortedDetails(status, others);
  const auto code = static_cast<grpc::StatusCode>(status.code());
  if (details.empty()) return grpc::Status(code, std::move(message));
  std::string serialized = SerializeDetails(status.code(), message, details);
  return grpc::Status(code, std::move(message), std::move(serialized));
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const int code = status.error_code();
  const bool known = code > 0 && code <= grpc::StatusCode::UNAUTHENTICATED;
  absl::Status result(
      known ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown,
      ToAbsl(status.error_message()));
  google::rpc::Status details;
  if (status.error_details().empty() ||
      !details.ParseFromString(status.error_details())) {
    return result;
  }
  int kept = 0;
  std::map<std::string_view, int> repeats;
  for (const google::protobuf::Any& detail : details.details()) {
    if (detail.type_url().find(kRepeatMark) != std::string::npos) continue;
    if (++kept > kMaxDetails) break;
    const int repeat = ++repeats[detail.type_url()];
    result.SetPayload(
        repeat == 1 ? detail.type_url()
                    : absl::StrCat(detail.type_url(), kRepeatMark, repeat),
        absl::Cord(detail.value()));
  }
  return result;
}

[[gnu::hot]] std::string_view CodeName(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::OK:
      return "OK";
    case grpc::StatusCode::CANCELLED:
      return "CANCELLED";
    case grpc::StatusCode::INVALID_ARGUMENT:
      return "INVALID_ARGUMENT";
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return "DEADLINE_EXCEEDED";
    case grpc::StatusCode::NOT_FOUND:
      return "NOT_FOUND";
    case grpc::StatusCode::ALREADY_EXISTS:
      return "ALREADY_EXISTS";
    case grpc::StatusCode::PERMISSION_DENIED:
      return "PERMISSION_DENIED";
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return "RESOURCE_EXHAUSTED";
    case grpc::StatusCode::FAILED_PRECONDITION:
      return "FAILED_PRECONDITION";
    case grpc::StatusCode::ABORTED:
      return "ABORTED";
    case grpc::StatusCode::OUT_OF_RANGE:
      return "OUT_OF_RANGE";
    case grpc::StatusCode::UNIMPLEMENTED:
      return "UNIMPLEMENTED";
    case grpc::StatusCode::INTERNAL:
      return "INTERNAL";
    case grpc::StatusCode::UNAVAILABLE:
      return "UNAVAILABLE";
    case grpc::StatusCode::DATA_LOSS:
      return "DATA_LOSS";
    case grpc::StatusCode::UNAUTHENTICATED:
      return "UNAUTHENTICATED";
    case grpc::StatusCode::UNKNOWN:
    default:
      return "UNKNOWN";
  }
}

int HttpStatusFromCode(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::OK:
      return 200;
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::OUT_OF_RANGE:
      return 400;
    case grpc::StatusCode::UNAUTHENTICATED:
      return 401;
    case grpc::StatusCode::PERMISSION_DENIED:
      return 403;
    case grpc::StatusCode::NOT_FOUND:
      return 404;
    case grpc::StatusCode::ALREADY_EXISTS:
    case grpc::StatusCode::ABORTED:
      return 409;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return 429;
    case grpc::StatusCode::CANCELLED:
      return 499;
    case grpc::StatusCode::UNIMPLEMENTED:
      return 501;
    case grpc::StatusCode::UNAVAILABLE:
      return 503;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return 504;
    default:
      return 500;
  }
}

grpc::StatusCode CodeFromHttpStatus(int http_status) {
  switch (http_status) {
    case 400:
      return grpc::StatusCode::INTERNAL;
    case 401:
      return grpc::StatusCode::UNAUTHENTICATED;
    case 403:
      return grpc::StatusCode::PERMISSION_DENIED;
    case 404:
      return grpc::StatusCode::UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
      return grpc::StatusCode::UNAVAILABLE;
    default:
      return grpc::StatusCode::UNKNOWN;
  }
}

}  // namespace grpccommon
