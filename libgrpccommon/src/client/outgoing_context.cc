// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/client/outgoing_context.h"

#include <chrono>
#include <string>

#include "client/call_link.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/call/metadata_keys.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/tracing/traceparent.h"

namespace grpccommon {

const void* internal::CallLink::Tag() {
  static const char tag = 0;
  return &tag;
}

struct OutgoingContext::Link : internal::CallLink {};

absl::StatusOr<std::unique_ptr<OutgoingContext>> OutgoingContext::Create(
    const ServerCall* parent, const OutgoingContextOptions& options) {
  if (absl::Status valid = CheckOptions(options.deadline); !valid.ok()) {
    return valid;
  }
  WantedTime wanted = {.timeout = options.timeout};
  if (parent != nullptr) wanted.parent_remaining = parent->remaining();
  const absl::StatusOr<Clock::Duration> time =
      DeadlineBudget(wanted, options.deadline);
  if (!time.ok()) return time.status();
  std::unique_ptr<OutgoingContext> created(
      new OutgoingContext(parent, options.forward_credentials));
  created->context_->set_deadline(std::chrono::system_clock::now() + *time);
  return created;
}

OutgoingContext::OutgoingContext(const ServerCall* parent,
                                 bool forward_credentials)
    : link_(std::make_unique<Link>()),
      context_(parent == nullptr
                   ? std::make_unique<grpc::ClientContext>()
                   : grpc::ClientContext::FromServerContext(
                         parent->context(),
                         grpc::PropagationOptions()
                             .disable_deadline_propagation()
                             .disable_census_stats_propagation()
                             .disable_census_tracing_propagation())) {
  link_->parent = parent;
  link_->forward_credentials = forward_credentials;
  link_->Attach(*context_);
  std::string request_id(parent == nullptr ? std::string_view()
                                           : parent->request_id());
  if (parent == nullptr) {
    request_id.resize(kUuidLength);
    WriteUuidV7(SteadyClock().WallNow(), request_id.data());
  }
  context_->AddMetadata(std::string(metadata::kRequestId), request_id);
  if (parent == nullptr || !parent->trace().valid()) return;
  context_->AddMetadata(std::string(metadata::kTraceParent),
                        FormatTraceParent(parent->trace()));
  if (!parent->trace().state.empty()) {
    context_->AddMetadata(std::string(metadata::kTraceState),
                          parent->trace().state);
  }
}

OutgoingContext::~OutgoingContext() = default;

}  // namespace grpccommon
