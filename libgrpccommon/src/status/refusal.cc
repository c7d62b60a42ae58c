// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/status/refusal.h"

#include <utility>

#include "google/rpc/error_details.pb.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "status/type_url.h"
#include "status/wire.h"

namespace grpccommon {
namespace {

using internal::AppendBytesField;
using internal::AppendBytesHeader;
using internal::BytesFieldSize;
using std::chrono::nanoseconds;

// A RetryInfo as ToGrpcStatus writes it into a google.rpc.Status.
[[gnu::hot]] void AppendRetryInfo(nanoseconds delay, std::string& out) {
  static const std::string* const type_field = [] {
    auto* const field = new std::string();
    AppendBytesField(
        1, internal::TypeUrl(*google::rpc::RetryInfo::descriptor()), *field);
    return field;
  }();
  const std::string info = internal::SerializeRetryInfo(delay);
  AppendBytesHeader(3, type_field->size() + BytesFieldSize(info.size()), out);
  out.append(*type_field);
  AppendBytesField(2, info, out);
}

}  // namespace

Refusal::Refusal(absl::Status status) : status_(std::move(status)) {
  // The longest one, so that what fits beside it fits beside all.
  constexpr nanoseconds kLongest = nanoseconds::max();
  const grpc::Status sample = ToGrpcStatus(WithRetryDelay(status_, kLongest));
  code_ = sample.error_code();
  message_ = sample.error_message();
  details_before_ = sample.error_details();
  std::string retry_info;
  AppendRetryInfo(kLongest, retry_info);
  const std::size_t place = details_before_.find(retry_info);
  // Behind an ErrorInfo that leaves no room there is none.
  has_delay_ = place != std::string::npos;
  if (!has_delay_) return;
  details_after_ = details_before_.substr(place + retry_info.size());
  details_before_.resize(place);
}

[[gnu::hot]] grpc::Status Refusal::After(nanoseconds delay) const {
  if (!has_delay_) return grpc::Status(code_, message_, details_before_);
  constexpr std::size_t kRoomForRetryInfo = 80;
  std::string details;
  details.reserve(details_before_.size() + kRoomForRetryInfo +
                  details_after_.size());
  details.append(details_before_);
  AppendRetryInfo(delay, details);
  details.append(details_after_);
  return grpc::Status(code_, message_, details);
}

}  // namespace grpccommon
