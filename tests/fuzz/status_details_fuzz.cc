// SPDX-License-Identifier: Apache-2.0
// A peer's status, details and message, through both conversions.
#include <algorithm>
#include <cstdint>
#include <string>

#include "fuzz/fuzz.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpccommon/base/utf8.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using grpccommon::FromGrpcStatus;
  using grpccommon::ToGrpcStatus;
  using grpccommon::fuzz::Require;
  if (size < 2) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data + 2), size - 2);
  const std::size_t message_size = std::min<std::size_t>(data[1], bytes.size());
  const grpc::Status received(static_cast<grpc::StatusCode>(data[0] % 20 - 1),
                              bytes.substr(0, message_size),
                              bytes.substr(message_size));

  const absl::Status status = FromGrpcStatus(received);
  grpccommon::ReasonOf(status);
  grpccommon::RetryDelayOf(status);
  google::rpc::BadRequest bad_request;
  grpccommon::GetDetail(status, bad_request);

  const grpc::Status sent = ToGrpcStatus(status);
  Require(sent.error_message().size() <= grpccommon::kMaxMessageBytes);
  Require(grpccommon::RepairUtf8(sent.error_message()) == sent.error_message());
  Require(sent.error_details().size() <= grpccommon::kMaxDetailsBytes);
  google::rpc::Status details;
  Require(details.ParseFromString(sent.error_details()));
  // What has been through once goes through unchanged.
  const grpc::Status again = ToGrpcStatus(FromGrpcStatus(sent));
  Require(again.error_code() == sent.error_code());
  Require(again.error_message() == sent.error_message());
  Require(again.error_details() == sent.error_details());
  return 0;
}
