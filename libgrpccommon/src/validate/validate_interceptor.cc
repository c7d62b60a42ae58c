// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/validate/validate_interceptor.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/status/details.h"

namespace grpccommon {
namespace {

// What a stream had sent when its last message was checked.
struct CheckedBytes {
  std::uint64_t total = 0;
};

absl::Status CheckSize(std::uint64_t bytes, std::uint64_t max_bytes) {
  if (bytes <= max_bytes) return absl::OkStatus();
  return WithReason(absl::InvalidArgumentError(absl::StrCat(
                        "the request has ", bytes, " bytes, more than the ",
                        max_bytes, " allowed")),
                    "REQUEST_TOO_LARGE", kErrorDomain);
}

}  // namespace

ValidateInterceptor::ValidateInterceptor() = default;
ValidateInterceptor::~ValidateInterceptor() = default;

absl::StatusOr<Hooks> ValidateInterceptor::Register(const Method& method) {
  if (methods_.size() <= method.index) methods_.resize(method.index + 1);
  PerMethod& mine = methods_[method.index];
  mine.max_bytes = method.policy.max_request_bytes;
  const bool skip_rules =
      method.client_streams() && method.policy.handler_checks_messages;
  if (method.descriptor != nullptr && !skip_rules) {
    const google::protobuf::Descriptor* const type =
        method.descriptor->input_type();
    std::unique_ptr<Validator>& validator = validators_[type];
    if (validator == nullptr) {
      absl::StatusOr<std::unique_ptr<Validator>> compiled =
          Validator::Create(*type);
      if (!compiled.ok()) return compiled.status();
      validator = *std::move(compiled);
    }
    if (validator->has_rules()) mine.validator = validator.get();
  }
  if (mine.validator == nullptr && !mine.max_bytes.has_value()) {
    return Hooks::None();
  }
  const bool streams = method.client_streams();
  return Hooks{.start = !streams || mine.max_bytes.has_value(),
               .finish = false,
               .received = streams,
               .sent = false};
}

[[gnu::hot]] absl::Status ValidateInterceptor::OnStart(ServerCall& call) {
  const PerMethod& mine = methods_[call.method().index];
  if (call.method().client_streams()) {
    call.values().Set(CheckedBytes());
    return absl::OkStatus();
  }
  if (mine.max_bytes.has_value()) {
    absl::Status size = CheckSize(call.bytes_received(), *mine.max_bytes);
    if (!size.ok()) return size;
  }
  if (mine.validator == nullptr || call.request() == nullptr) {
    return absl::OkStatus();
  }
  return mine.validator->Validate(*call.request());
}

absl::Status ValidateInterceptor::OnReceived(
    ServerCall& call, const google::protobuf::Message* message) {
  const PerMethod& mine = methods_[call.method().index];
  if (mine.max_bytes.has_value()) {
    auto* const checked = call.values().Get<CheckedBytes>();
    const std::uint64_t total = call.bytes_received();
    absl::Status size = CheckSize(total - std::exchange(checked->total, total),
                                  *mine.max_bytes);
    if (!size.ok()) return size;
  }
  if (mine.validator == nullptr || message == nullptr) return absl::OkStatus();
  return mine.validator->Validate(*message);
}

}  // namespace grpccommon
