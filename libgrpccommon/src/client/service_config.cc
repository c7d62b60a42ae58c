// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/client/service_config.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <utility>

#include "google/protobuf/descriptor.h"
#include "grpccommon/call/contract.h"
#include "grpccommon/retry/retry_policy.h"
#include "grpccommon/status/convert.h"
#include "nlohmann/json.hpp"

namespace grpccommon {
namespace {

using nlohmann::json;

// gRPC would clamp a larger number and log it for each channel.
constexpr int kMaxGrpcAttempts = 5;

// gRPC ends a call by up to two seconds earlier than a config's timeout says
// (grpc/grpc #34547, #40633), a short one at once.
constexpr std::chrono::seconds kTimeoutSlack(2);

// protobuf's JSON form of a Duration. Whole milliseconds, rounded up: gRPC cuts
// the rest off, and refuses a whole config for a backoff of zero.
std::string DurationText(std::chrono::nanoseconds exact) {
  const std::chrono::nanoseconds duration =
      std::chrono::ceil<std::chrono::milliseconds>(exact);
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(duration);
  std::array<char, 40> text;
  const int size =
      std::snprintf(text.data(), text.size(), "%lld.%09llds",
                    static_cast<long long>(seconds.count()),
                    static_cast<long long>((duration - seconds).count()));
  return std::string(text.data(), static_cast<std::size_t>(size));
}

absl::StatusOr<json> RetryConfig(const MethodPolicy& contract) {
  absl::StatusOr<RetryPolicy> retry = RetryPolicy();
  if (contract.retry.has_value()) retry = CompileRetryPolicy(*contract.retry);
  if (!retry.ok()) return retry.status();
  if (retry->max_attempts < 2) return json();
  json codes = json::array();
  for (int code = 1; code <= 16; ++code) {
    const auto grpc_code = static_cast<grpc::StatusCode>(code);
    if (retry->codes.Contains(grpc_code)) codes.push_back(CodeName(grpc_code));
  }
  return json{
      {"maxAttempts", std::min(retry->max_attempts, kMaxGrpcAttempts)},
      {"initialBackoff", DurationText(retry->backoff.initial)},
      {"maxBackoff", DurationText(retry->backoff.max)},
      {"backoffMultiplier", retry->backoff.multiplier},
      {"retryableStatusCodes", std::move(codes)},
  };
}

}  // namespace

absl::StatusOr<std::string> ServiceConfigFor(
    std::span<const google::protobuf::ServiceDescriptor* const> services) {
  json methods = json::array();
  bool retries = false;
  for (const google::protobuf::ServiceDescriptor* const service : services) {
    for (int i = 0; i < service->method_count(); ++i) {
      const google::protobuf::MethodDescriptor& method = *service->method(i);
      const absl::StatusOr<MethodPolicy> contract = CompilePolicy(method);
      if (!contract.ok()) return contract.status();
      json entry;
      if (contract->timeout.has_value()) {
        entry["timeout"] = DurationText(*contract->timeout + kTimeoutSlack);
      }
      if (contract->idempotency != Idempotency::kUnknown) {
        absl::StatusOr<json> retry = RetryConfig(*contract);
        if (!retry.ok()) return retry.status();
        if (!retry->is_null()) {
          entry["retryPolicy"] = *std::move(retry);
          retries = true;
        }
      }
      if (entry.is_null()) continue;
      entry["name"] = json::array(
          {{{"service", service->full_name()}, {"method", method.name()}}});
      methods.push_back(std::move(entry));
    }
  }
  json config = {{"methodConfig", std::move(methods)}};
  if (retries) {
    // The example of gRFC A6 ten times larger, so that a burst of failures
    // right after the start does not use it up.
    config["retryThrottling"] = {{"maxTokens", 100}, {"tokenRatio", 0.1}};
  }
  return config.dump();
}

}  // namespace grpccommon
