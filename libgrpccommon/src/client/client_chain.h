// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/call/client_call.h"
#include "grpccommon/call/client_interceptor.h"
#include "grpccommon/call/selector.h"
#include "grpcpp/support/status.h"

namespace grpccommon::internal {

/// The interceptors of one method, in order. What an interceptor throws is
/// logged: from a start hook it refuses the call with INTERNAL; from the others
/// it changes nothing, for the call has ended as it has.
///
/// Immutable; its hooks may be called by many threads at once, those of one
/// call as ClientInterceptor says. Keeps the interceptors alive.
class MethodChain {
 public:
  bool empty() const { return steps_.empty(); }
  bool wants_attempts() const { return wants_attempts_; }
  bool wants_messages() const { return wants_messages_; }

  /// Runs OnStart from the outside in, up to the first that refuses or answers
  /// the call. `started` says how far it came, for Finish. A refused call has
  /// `refused_by` and no answer; an answered one returns OK.
  absl::Status Start(ClientCall& call, std::size_t& started) const;

  /// The same for OnAttemptStart. The starts of one call's attempts must not
  /// overlap.
  absl::Status AttemptStart(ClientCall& call, ClientAttempt& attempt,
                            std::size_t& started) const;

  /// Runs OnAttemptEnd from the inside out, for those that were started.
  void AttemptEnd(ClientCall& call, ClientAttempt& attempt,
                  const grpc::Status& status, std::size_t started) const;

  void MessageSent(ClientCall& call) const;
  void MessageReceived(ClientCall& call) const;

  /// Runs OnFinish from the inside out, for those that were started. A failure
  /// stays one, whatever an interceptor makes of it.
  void Finish(ClientCall& call, grpc::Status& status,
              std::size_t started) const;

 private:
  friend class ClientChain;
  struct Step {
    std::shared_ptr<ClientInterceptor> interceptor;
    // Without `for_method`, which has taken the interceptor's place.
    ClientHooks hooks;
  };
  std::vector<Step> steps_;
  bool wants_attempts_ = false;
  bool wants_messages_ = false;
};

/// The interceptors of a client or a channel, from which each method's chain is
/// made. Add them all before the first Compile; then Compile is thread-safe.
class ClientChain {
 public:
  void Add(std::shared_ptr<ClientInterceptor> interceptor,
           Selector selector = {});

  bool empty() const { return used_.empty(); }

  /// Registers `method`, which must outlive the chain, with the interceptors
  /// that are for it.
  /// Errors: what an interceptor's Register gives, with its name and the
  /// method's; kInternal if it throws.
  absl::StatusOr<std::unique_ptr<const MethodChain>> Compile(
      const Method& method) const;

 private:
  struct Used {
    std::shared_ptr<ClientInterceptor> interceptor;
    Selector selector;
  };
  // By stage, then in the order of adding.
  std::vector<Used> used_;
};

}  // namespace grpccommon::internal
