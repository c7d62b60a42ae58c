// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/accesslog/client_access_log.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "accesslog/call_line.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/utf8.h"
#include "grpccommon/call/client_call.h"
#include "grpccommon/status/convert.h"
#include "log/line_fields.h"

namespace grpccommon {

using internal::CallEnd;

struct ClientAccessLog::Impl {
  Impl(const ClientAccessLogOptions& o, const Logger& l, Random r)
      : options(o), logger(l), random(std::move(r)) {}

  const AccessLogRule& RuleFor(const ClientCall& call, CallEnd end,
                               bool slow) const {
    if (end == CallEnd::kOk) return slow ? options.slow : options.ok;
    if (call.refused_by() != nullptr) return options.refused;
    switch (end) {
      case CallEnd::kServerError:
        return options.server_error;
      case CallEnd::kUnavailable:
        return options.unavailable;
      default:
        return options.client_error;
    }
  }

  const ClientAccessLogOptions options;
  const Logger logger;
  const Random random;
  Mutex mutex;
  std::vector<std::weak_ptr<OfMethod>> methods ABSL_GUARDED_BY(mutex);
};

class ClientAccessLog::OfMethod : public ClientInterceptor {
 public:
  OfMethod(std::shared_ptr<Impl> impl, const Method& m)
      : method(m),
        impl_(std::move(impl)),
        identity_(internal::RenderMethodField(Cut(m.path))) {}

  std::string_view name() const override { return "access_log"; }
  Stage stage() const override { return Stage::kObserve; }

  void OnFinish(ClientCall& call, grpc::Status& status) override {
    const ClientAccessLogOptions& options = impl_->options;
    const CallEnd end = internal::CallEndOf(status.error_code());
    const Clock::Duration duration = call.clock().Now() - call.started_at();
    const bool slow = method.kind == CallKind::kUnary &&
                      options.slow_threshold > Clock::Duration::zero() &&
                      duration >= options.slow_threshold;
    const AccessLogRule& rule = impl_->RuleFor(call, end, slow);
    if (!internal::LevelEnabled(level.load(std::memory_order_relaxed),
                                rule.level, impl_->logger)) {
      return;
    }
    if (rule.share < 1 && impl_->random() >= rule.share) return;
    LogLine line;
    impl_->logger.Begin(line, rule.level, "outgoing call");
    Describe(call, status, duration, slow, line);
    impl_->logger.Write(line);
  }

  // A copy: SetLevel may look at it while the last call's goes.
  const Method method;
  // See LevelNumber.
  std::atomic<int> level{-1};

 private:
  std::string_view Cut(std::string_view text) const {
    return TruncateUtf8(text, impl_->options.max_field_bytes);
  }

  void Describe(const ClientCall& call, const grpc::Status& status,
                Clock::Duration duration, bool slow, LogLine& line) const {
    internal::LineFields fields(line);
    fields.Text<"request_id">(Cut(call.request_id()));
    if (call.trace().valid()) {
      fields.Hex<"trace_id">(call.trace().trace_id)
          .Hex<"span_id">(call.trace().span_id);
    }
    fields.Rendered(identity_)
        .Word<"grpc.kind">(CallKindName(method.kind))
        .Word<"grpc.code">(CodeName(status.error_code()))
        .Integer<"duration_us">(internal::Microseconds(duration))
        .Text<"target">(Cut(call.target()));
    if (!call.endpoint().empty()) {
      fields.Text<"endpoint">(Cut(call.endpoint()));
    }
    fields.Integer<"attempts">(call.attempts())
        .Integer<"messages_sent">(call.messages_sent())
        .Integer<"messages_received">(call.messages_received());
    if (call.refused_by() != nullptr) {
      fields.Text<"refused_by">(call.refused_by()->name());
    }
    if (!status.ok()) fields.Text<"error">(Cut(status.error_message()));
    if (slow) fields.Rendered(",\"slow\":true");
  }

  const std::shared_ptr<Impl> impl_;
  // What the lines of all its calls share, as it stands in them.
  const std::string identity_;
};

absl::StatusOr<std::unique_ptr<ClientAccessLog>> ClientAccessLog::Create(
    const ClientAccessLogOptions& options, const Logger& logger,
    Random random) {
  const absl::Status valid = internal::CheckAccessLogRules(
      {{"ok", options.ok},
       {"slow", options.slow},
       {"refused", options.refused},
       {"client_error", options.client_error},
       {"unavailable", options.unavailable},
       {"server_error", options.server_error}},
      options.slow_threshold, options.max_field_bytes);
  if (!valid.ok()) return valid;
  return std::unique_ptr<ClientAccessLog>(new ClientAccessLog(
      std::make_shared<Impl>(options, logger, std::move(random))));
}

ClientAccessLog::ClientAccessLog(std::shared_ptr<Impl> impl)
    : impl_(std::move(impl)) {}

ClientAccessLog::~ClientAccessLog() = default;

void ClientAccessLog::SetLevel(const Selector& methods,
                               std::optional<LogLevel> level) {
  const MutexLock lock(impl_->mutex);
  for (const std::weak_ptr<OfMethod>& entry : impl_->methods) {
    const std::shared_ptr<OfMethod> of_method = entry.lock();
    if (of_method == nullptr || !methods(of_method->method)) continue;
    of_method->level.store(internal::LevelNumber(level),
                           std::memory_order_relaxed);
  }
}

absl::StatusOr<ClientHooks> ClientAccessLog::Register(const Method& method) {
  auto of_method = std::make_shared<OfMethod>(impl_, method);
  const MutexLock lock(impl_->mutex);
  std::erase_if(impl_->methods,
                [](const auto& entry) { return entry.expired(); });
  impl_->methods.push_back(of_method);
  return ClientHooks{.start = false, .for_method = std::move(of_method)};
}

}  // namespace grpccommon
