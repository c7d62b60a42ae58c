// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/client/deadline_budget.h"
#include "grpcpp/client_context.h"

namespace grpccommon {

class ServerCall;

struct OutgoingContextOptions {
  /// In (0, 24 h]; none: `deadline.default_timeout`. Never beyond the parent's
  /// deadline less the reserve. Where the channel knows the contract
  /// (ChannelOptions::services), its timeout holds as well.
  std::optional<Clock::Duration> timeout;
  /// Passes the parent's own credentials on, by the CredentialsInterceptor of
  /// the channel.
  bool forward_credentials = false;
  DeadlineBudgetOptions deadline;
};

/// The ClientContext of a call that is made on a stock stub, mostly for the
/// sake of another call:
///
///   auto context = OutgoingContext::Create(ServerCall::Of(*server_context));
///   if (!context.ok()) return ToGrpcStatus(context.status());
///   stub->GetUser((*context)->get(), request, &response);
///
/// It has a deadline, the parent's request id and its place in the trace, and
/// is cancelled when the parent is. Interceptors of the channel see the parent
/// (`ClientCall::parent`).
///
/// For one call, and must live as long as that; start the call before the
/// parent has ended. Not thread-safe.
class GRPCCOMMON_EXPORT OutgoingContext {
 public:
  /// `parent` may be null, and is borrowed until the call has ended.
  /// Errors: as DeadlineBudget: nothing is to be sent then.
  static absl::StatusOr<std::unique_ptr<OutgoingContext>> Create(
      const ServerCall* parent, const OutgoingContextOptions& options = {});
  ~OutgoingContext();

  /// Stubs take it as it is; metadata may be added, the deadline be brought
  /// forward.
  grpc::ClientContext* get() { return context_.get(); }
  grpc::ClientContext* operator->() { return context_.get(); }

 private:
  struct Link;
  OutgoingContext(const ServerCall* parent, bool forward_credentials);
  // Outlives the context, which points to it.
  const std::unique_ptr<Link> link_;
  const std::unique_ptr<grpc::ClientContext> context_;
};

}  // namespace grpccommon
