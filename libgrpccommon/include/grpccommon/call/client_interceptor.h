// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/method.h"
#include "grpccommon/call/server_interceptor.h"

namespace grpc {
class Status;
}

namespace grpccommon {

class ClientAttempt;
class ClientCall;
class ClientInterceptor;

/// What an interceptor wants to be called for, on one method.
struct ClientHooks {
  bool start = true;
  bool finish = true;
  /// Each attempt's start and end.
  bool attempts = false;
  /// Each message of a stream, each way.
  bool messages = false;
  /// Serves the method in place of the interceptor that was asked, with what
  /// was prepared for it at hand: unlike on a server, methods come while calls
  /// of others run, and no call shall look anything up. Null: that one itself.
  std::shared_ptr<ClientInterceptor> for_method = nullptr;

  bool any() const { return start || finish || attempts || messages; }
  static ClientHooks None() {
    return {
        .start = false, .finish = false, .attempts = false, .messages = false};
  }
};

/// Takes part in every outgoing call of the methods that it was registered for:
/// those of a Client, and those on a channel by CreateChannel, where each call
/// has one attempt.
///
/// One object serves all calls, so hooks are called by many threads at once.
/// Those of one call never overlap, except that attempts of a hedged call run
/// beside each other, and the two directions of a stream. Hooks must not block
/// and must not throw; an exception is treated as INTERNAL.
///
/// `OnFinish` runs exactly once for each call whose `OnStart` ran, and
/// `OnAttemptEnd` once for each OnAttemptStart, before the OnFinish, but for a
/// hedged attempt that was superseded, whose end may come later.
class GRPCCOMMON_EXPORT ClientInterceptor {
 public:
  virtual ~ClientInterceptor() = default;

  /// Stable, lower_snake_case; in logs and metrics of refusals.
  virtual std::string_view name() const = 0;
  /// From the outside in, as on the server: trace, log and metrics observe,
  /// credentials identify.
  virtual Stage stage() const = 0;

  /// Called for each method of each client and channel before the first call,
  /// maybe while calls of other methods run; prepares what the calls need and
  /// says which hooks to run. `method` lives as long as its calls. An error
  /// fails the calls of the method.
  virtual absl::StatusOr<ClientHooks> Register(const Method& method);

  /// Lets the call go on with OK, or refuses it: then nothing is sent and the
  /// caller gets the status. It may also answer the call itself, by
  /// `ClientCall::Answer` and OK. Either way no further interceptor sees it.
  virtual absl::Status OnStart(ClientCall& call);

  /// Before an attempt is sent. An error ends the call with this status.
  virtual absl::Status OnAttemptStart(ClientCall& call, ClientAttempt& attempt);
  virtual void OnAttemptEnd(ClientCall& call, ClientAttempt& attempt,
                            const grpc::Status& status);

  virtual void OnMessageSent(ClientCall& call);
  virtual void OnMessageReceived(ClientCall& call);

  /// The call's end. May replace `status`, but not turn a failure into success:
  /// there is no response then.
  virtual void OnFinish(ClientCall& call, grpc::Status& status);
};

}  // namespace grpccommon
