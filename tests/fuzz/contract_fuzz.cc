// SPDX-License-Identifier: Apache-2.0
// Any contract of a service and of its method: refused by name, or a policy
// within its ranges, and a service config that gRPC takes.
#include <array>
#include <cstdint>
#include <string>

#include "fuzz/fuzz.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "grpccommon/call/contract.h"
#include "grpccommon/client/service_config.h"
#include "grpccommon/retry/retry_policy.h"
#include "grpccommon/v1/options.pb.h"
#include "grpcpp/support/validate_service_config.h"

namespace grpccommon {
namespace {

using google::protobuf::DescriptorPool;
using grpccommon::fuzz::Require;
using std::chrono::nanoseconds;

template <typename Options, typename Extension>
void SetContract(std::string_view bytes, const Extension& extension,
                 Options& options) {
  grpccommon::v1::MethodContract contract;
  if (!bytes.empty() &&
      contract.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    *options.MutableExtension(extension) = contract;
  }
}

bool Within(nanoseconds least, nanoseconds value) {
  return value >= least && value <= std::chrono::hours(24);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  std::string_view input = fuzz::AsText(data, size);

  google::protobuf::FileDescriptorProto file;
  file.set_name("fuzz.proto");
  file.set_package("fuzz");
  file.add_message_type()->set_name("M");
  auto& service = *file.add_service();
  service.set_name("S");
  SetContract(fuzz::TakeChunk(input), v1::defaults, *service.mutable_options());
  auto& method = *service.add_method();
  method.set_name("Do");
  method.set_input_type(".fuzz.M");
  method.set_output_type(".fuzz.M");
  if (!input.empty() && (input.front() & 1) != 0) {
    method.mutable_options()->set_idempotency_level(
        google::protobuf::MethodOptions::IDEMPOTENT);
  }
  SetContract(input.substr(std::min<std::size_t>(1, input.size())), v1::method,
              *method.mutable_options());
  DescriptorPool pool(DescriptorPool::generated_pool());
  const auto* const built = pool.BuildFile(file);
  Require(built != nullptr);
  const google::protobuf::ServiceDescriptor& type = *built->service(0);

  const auto policy = CompilePolicy(*type.method(0));
  const std::array services = {&type};
  const auto config = ServiceConfigFor(services);
  if (!policy.ok()) {
    Require(policy.status().code() == absl::StatusCode::kInvalidArgument);
    Require(policy.status().message().find("contract of fuzz.S.Do: ") == 0);
    Require(config.status() == policy.status());
    return 0;
  }
  const AccessRule& access = policy->access;
  Require((access.kind == AccessRule::Kind::kAnyOf) ==
          (!access.roles.empty() || !access.scopes.empty()));
  if (policy->rate_limit.has_value()) {
    Require(policy->rate_limit->rate >= 0.001 &&
            policy->rate_limit->rate <= 1e6);
    Require(policy->rate_limit->burst >= 1 &&
            policy->rate_limit->burst <= 1'000'000);
  }
  Require(!policy->timeout.has_value() ||
          Within(nanoseconds(1), *policy->timeout));
  Require(policy->max_request_bytes.value_or(1) > 0);
  if (policy->retry.has_value()) {
    const RetryRule& rule = *policy->retry;
    Require(rule.max_attempts >= 1 && rule.max_attempts <= 10);
    for (const nanoseconds duration :
         {rule.initial_backoff, rule.max_backoff, rule.attempt_timeout}) {
      Require(Within(nanoseconds(0), duration));
    }
    const auto retry = CompileRetryPolicy(rule);
    Require(!retry.ok() || CheckPolicy(*retry).ok());
  }
  if (config.ok()) {
    Require(grpc::experimental::ValidateServiceConfigJSON(*config).empty());
  } else {
    Require(config.status().code() == absl::StatusCode::kInvalidArgument);
  }
  return 0;
}

}  // namespace grpccommon
