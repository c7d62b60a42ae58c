// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/server_interceptor.h"
#include "grpccommon/testing/fake_call.h"

namespace grpccommon::testing {

/// An interceptor and calls for it.
struct ConformanceCase {
  std::string name;
  /// One whose limits are below a hundred, so that what calls leave behind
  /// shows after that many.
  std::function<std::shared_ptr<ServerInterceptor>()> make;
  /// A call that it admits, however many came before. The request is that of
  /// the call or, of a client stream, each of its messages.
  std::function<FakeCallOptions()> admitted;
  /// A call that it refuses, at its start or with a message, however many came
  /// before; empty for one that refuses nothing.
  std::function<FakeCallOptions()> refused = nullptr;
  /// How many of `admitted` it lets run at the same time; 0: any number.
  int at_once = 0;
};

/// What every ServerInterceptor must do, one by one, without GoogleTest;
/// InterceptorConformanceTest has them all. Each makes interceptors of its own,
/// registers the methods at indices of its own and drives calls as the server
/// does. Returns OK, or kFailedPrecondition with what is wrong.

/// It has a name for metrics and logs, and a stage.
GRPCCOMMON_EXPORT absl::Status CheckName(const ConformanceCase& subject);

/// It registers methods of every kind.
GRPCCOMMON_EXPORT absl::Status CheckRegistration(
    const ConformanceCase& subject);

/// It admits `admitted` and leaves its good status alone.
GRPCCOMMON_EXPORT absl::Status CheckAdmission(const ConformanceCase& subject);

/// It gives back what a call took that ended well.
GRPCCOMMON_EXPORT absl::Status CheckGivesBack(const ConformanceCase& subject);

/// It refuses `refused` with a code and a message.
GRPCCOMMON_EXPORT absl::Status CheckRefusal(const ConformanceCase& subject);

/// Its own refusals neither keep anything nor give back what they never took:
/// after many of them, also amid calls that run, it refuses and admits as
/// before.
GRPCCOMMON_EXPORT absl::Status CheckManyRefusals(
    const ConformanceCase& subject);

/// It admits `at_once` calls at the same time and no more, also after many that
/// it refused for that.
GRPCCOMMON_EXPORT absl::Status CheckAtOnce(const ConformanceCase& subject);

/// It gives back what a call took that another interceptor refused, or the
/// client or the deadline ended, and makes no OK of it.
GRPCCOMMON_EXPORT absl::Status CheckCallsOthersEnded(
    const ConformanceCase& subject);

/// It gives back what a call took whose handler failed or threw, and leaves the
/// error an error.
GRPCCOMMON_EXPORT absl::Status CheckErrors(const ConformanceCase& subject);

/// Messages pass in calls of every kind, as they are and, for methods that are
/// raw or generic, null; it keeps nothing of them. Where the case has no such
/// method, it may refuse the call, but then always.
GRPCCOMMON_EXPORT absl::Status CheckMessages(const ConformanceCase& subject);

/// OnReceived and OnSent of one call at the same time, for ThreadSanitizer.
GRPCCOMMON_EXPORT absl::Status CheckBothWaysAtOnce(
    const ConformanceCase& subject);

/// Calls of several threads at the same time, as above.
GRPCCOMMON_EXPORT absl::Status CheckThreads(const ConformanceCase& subject);

}  // namespace grpccommon::testing
