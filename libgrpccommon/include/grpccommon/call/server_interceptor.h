// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/method.h"
#include "grpcpp/support/status.h"

namespace google::protobuf {
class Message;
}

namespace grpccommon {

class ServerCall;

/// When an interceptor runs, from the outside in. Within a stage they run in
/// the order in which they were added; finish hooks run in reverse.
enum class Stage {
  /// Sees every call, refused ones included: trace, log, metrics.
  kObserve,
  /// Sheds load before anything costly: concurrency, priorities.
  kProtect,
  /// Finds out who calls.
  kIdentify,
  /// Limits each caller.
  kLimit,
  /// Decides whether this call may run: authorization, validation, deadline.
  kCheck,
  /// The application's own.
  kUser,
};

/// "observe", "protect", "identify", "limit", "check" or "user".
GRPCCOMMON_EXPORT std::string_view StageName(Stage stage);

/// What an interceptor wants to be called for, on one method.
struct Hooks {
  bool start = true;
  bool finish = true;
  /// Each message of a client stream; other requests are in
  /// `ServerCall::request` from the start.
  bool received = false;
  /// Each message of a server stream, and the reply of other calls.
  bool sent = false;

  bool any() const { return start || finish || received || sent; }
  static constexpr Hooks None() { return {false, false, false, false}; }
};

/// Takes part in every call of the methods that it was registered for.
///
/// One object serves all calls, so hooks are called by many threads at once;
/// those of one call never overlap, except `OnReceived` and `OnSent` with each
/// other. Hooks must not block (see AsyncServerInterceptor), not for the end of
/// a call either, for that waits for `OnReceived`: so a stream must not be
/// ended under a lock that an `OnReceived` takes. They must not throw; an
/// exception is treated as INTERNAL.
///
/// `OnFinish` runs exactly once for each call whose `OnStart` ran, also if that
/// or a later one refused it, the handler threw, or the client went away.
class GRPCCOMMON_EXPORT ServerInterceptor {
 public:
  virtual ~ServerInterceptor() = default;

  /// Stable, lower_snake_case; in logs and metrics of refusals.
  virtual std::string_view name() const = 0;
  virtual Stage stage() const = 0;

  /// Called once for each method before the server starts; prepares what the
  /// calls need and says which hooks to run. An error stops the start.
  virtual absl::StatusOr<Hooks> Register(const Method& method);

  /// Admits the call with OK or refuses it: then no further interceptor and no
  /// handler sees it, and the caller gets the status with its details.
  virtual absl::Status OnStart(ServerCall& call);

  /// One message of a client stream, parsed and not yet seen by the handler. An
  /// error refuses the call: the handler's read fails as if the client had gone
  /// and the caller gets this status. Null for a generic service.
  virtual absl::Status OnReceived(ServerCall& call,
                                  const google::protobuf::Message* message);

  /// One message on its way out: of a server stream or, where the handler's
  /// status is OK, the reply of another call, just before `OnFinish`. Null for
  /// a generic service.
  virtual void OnSent(ServerCall& call,
                      const google::protobuf::Message* message);

  /// The call's end. May replace `status`; a reply that was to go with an OK
  /// status is then dropped.
  virtual void OnFinish(ServerCall& call, grpc::Status& status);
};

/// An interceptor whose decision has to wait for something: token
/// introspection, a shared limiter. Never blocks a gRPC thread of a callback
/// service; a synchronous call waits on the thread that it owns.
class GRPCCOMMON_EXPORT AsyncServerInterceptor : public ServerInterceptor {
 public:
  using Done = std::function<void(absl::Status)>;

  /// `done` must be called exactly once, from any thread, at once or later, and
  /// also after the call was cancelled. `call` stays valid until then.
  virtual void OnStartAsync(ServerCall& call, Done done) = 0;

 private:
  absl::Status OnStart(ServerCall& call) final;
};

}  // namespace grpccommon
