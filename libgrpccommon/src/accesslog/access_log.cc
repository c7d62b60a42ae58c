// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/accesslog/access_log.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <utility>

#include "accesslog/call_line.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/utf8.h"
#include "grpccommon/call/metadata_keys.h"
#include "grpccommon/call/redact.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/status/convert.h"
#include "log/line_fields.h"

namespace grpccommon {
namespace {

using internal::CallEnd;
using internal::Microseconds;

// A message as the log shows it.
struct Payload {
  std::string json;
  // Otherwise only the beginning, which is not JSON.
  bool whole = false;
};

// What the call's line will show once the call has ended.
struct CallPayloads {
  Payload request;
  Payload reply;
};

Payload Render(const Redactor& redactor,
               const google::protobuf::Message& message,
               std::size_t max_bytes) {
  Payload payload;
  payload.whole = redactor.AppendJson(message, max_bytes, payload.json);
  return payload;
}

// Returns whether it was cut.
bool AddPayload(std::string_view name, const Payload& payload, LogLine& line) {
  if (payload.json.empty()) return false;
  if (payload.whole) {
    line.AddJson(name, payload.json);
  } else {
    line.Add(name, payload.json);
  }
  return !payload.whole;
}

// A client that retries says how often it has tried before.
std::int64_t AttemptOf(const ServerCall& call) {
  const std::string_view text = call.metadata(metadata::kPreviousAttempts);
  std::uint16_t previous = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), previous);
  if (error != std::errc() || end != text.data() + text.size()) return 1;
  return std::int64_t{previous} + 1;
}

}  // namespace

struct AccessLog::MethodState {
  MethodState(const Method& m, std::string i)
      : method(m), identity(std::move(i)) {}

  const Method& method;
  // What the lines of all its calls share, as it stands in them.
  const std::string identity;
  // -1: the logger's own.
  std::atomic<int> level{-1};
  // Null: not logged.
  std::unique_ptr<const Redactor> request;
  std::unique_ptr<const Redactor> reply;
};

absl::StatusOr<std::unique_ptr<AccessLog>> AccessLog::Create(
    AccessLogOptions options, Logger logger, Random random) {
  absl::Status valid = internal::CheckAccessLogRules(
      {{"ok", options.ok},
       {"slow", options.slow},
       {"refused", options.refused},
       {"client_error", options.client_error},
       {"unavailable", options.unavailable},
       {"server_error", options.server_error}},
      options.slow_threshold, options.max_field_bytes);
  valid.Update(CheckRange("payloads.max_bytes",
                          static_cast<double>(options.payloads.max_bytes), 16,
                          1 << 20));
  if (!valid.ok()) return valid;
  return std::unique_ptr<AccessLog>(
      new AccessLog(std::move(options), std::move(logger), std::move(random)));
}

AccessLog::AccessLog(AccessLogOptions options, Logger logger, Random random)
    : options_(std::move(options)),
      logger_(std::move(logger)),
      random_(std::move(random)) {}

AccessLog::~AccessLog() = default;

void AccessLog::SetLevel(const Selector& methods,
                         std::optional<LogLevel> level) {
  for (const auto& state : methods_) {
    if (state == nullptr || !methods(state->method)) continue;
    state->level.store(internal::LevelNumber(level), std::memory_order_relaxed);
  }
}

absl::StatusOr<Hooks> AccessLog::Register(const Method& method) {
  if (methods_.size() <= method.index) methods_.resize(method.index + 1);
  auto state = std::make_unique<MethodState>(
      method, internal::RenderMethodField(Cut(method.path)));
  const AccessLogPayloads& payloads = options_.payloads;
  Hooks hooks = {.start = false};
  if (method.descriptor != nullptr && payloads.methods(method)) {
    const auto make = [](const google::protobuf::Descriptor* type) {
      return std::make_unique<const Redactor>(*type);
    };
    if (method.client_streams() ? payloads.stream_messages
                                : payloads.requests) {
      state->request = make(method.descriptor->input_type());
    }
    if (method.server_streams() ? payloads.stream_messages : payloads.replies) {
      state->reply = make(method.descriptor->output_type());
    }
    hooks.start = (state->request != nullptr && !method.client_streams()) ||
                  (state->reply != nullptr && !method.server_streams());
    hooks.received = state->request != nullptr && method.client_streams();
    hooks.sent = state->reply != nullptr;
  }
  methods_[method.index] = std::move(state);
  return hooks;
}

bool AccessLog::Enabled(const MethodState& method, LogLevel level) const {
  return internal::LevelEnabled(method.level.load(std::memory_order_relaxed),
                                level, logger_);
}

std::string_view AccessLog::Cut(std::string_view text) const {
  return TruncateUtf8(text, options_.max_field_bytes);
}

[[gnu::hot]] void AccessLog::AddIdentity(const ServerCall& call,
                                         const MethodState& method,
                                         internal::LineFields& fields) const {
  fields.Text<"request_id">(Cut(call.request_id()));
  if (call.trace().valid()) {
    fields.Hex<"trace_id">(call.trace().trace_id)
        .Hex<"span_id">(call.trace().span_id);
  }
  // Only a generic service's calls have a path of their own.
  if (call.path().data() == method.method.path.data()) {
    fields.Rendered(method.identity);
  } else {
    fields.Text<"grpc.method">(Cut(call.path()));
  }
}

absl::Status AccessLog::OnStart(ServerCall& call) {
  const MethodState& method = *methods_[call.method().index];
  auto& payloads = call.values().Set(CallPayloads());
  if (method.request != nullptr && call.request() != nullptr) {
    payloads.request =
        Render(*method.request, *call.request(), options_.payloads.max_bytes);
  }
  return absl::OkStatus();
}

absl::Status AccessLog::OnReceived(ServerCall& call,
                                   const google::protobuf::Message* message) {
  LogMessage(call, "received", call.messages_received(), message);
  return absl::OkStatus();
}

void AccessLog::OnSent(ServerCall& call,
                       const google::protobuf::Message* message) {
  if (call.method().server_streams()) {
    LogMessage(call, "sent", call.messages_sent() + 1, message);
    return;
  }
  auto* const payloads = call.values().Get<CallPayloads>();
  if (payloads == nullptr || message == nullptr) return;
  payloads->reply = Render(*methods_[call.method().index]->reply, *message,
                           options_.payloads.max_bytes);
}

void AccessLog::LogMessage(const ServerCall& call, std::string_view direction,
                           std::uint64_t number,
                           const google::protobuf::Message* message) {
  const MethodState& method = *methods_[call.method().index];
  if (message == nullptr || !Enabled(method, options_.ok.level)) return;
  const Redactor& redactor =
      direction == "sent" ? *method.reply : *method.request;
  LogLine line;
  logger_.Begin(line, options_.ok.level, "message");
  {
    internal::LineFields fields(line);
    AddIdentity(call, method, fields);
    fields.Word<"direction">(direction).Integer<"number">(number);
  }
  const Payload payload =
      Render(redactor, *message, options_.payloads.max_bytes);
  if (AddPayload("message", payload, line)) line.Add({"truncated", true});
  logger_.Write(line);
}

const AccessLogRule& AccessLog::RuleFor(const ServerCall& call,
                                        const grpc::Status& status,
                                        bool slow) const {
  const CallEnd end = internal::CallEndOf(status.error_code());
  if (end == CallEnd::kOk) return slow ? options_.slow : options_.ok;
  if (end == CallEnd::kServerError || !call.exception().empty()) {
    return options_.server_error;
  }
  if (call.refused_by() != nullptr) return options_.refused;
  return end == CallEnd::kUnavailable ? options_.unavailable
                                      : options_.client_error;
}

[[gnu::hot]] void AccessLog::AddOutcome(const ServerCall& call,
                                        const MethodState& method,
                                        const grpc::Status& status,
                                        Clock::Duration duration, bool slow,
                                        internal::LineFields& fields) const {
  AddIdentity(call, method, fields);
  fields.Word<"grpc.kind">(CallKindName(method.method.kind))
      .Word<"grpc.code">(CodeName(status.error_code()))
      .Integer<"duration_us">(Microseconds(duration))
      .Integer<"admission_us">(Microseconds(call.admission_time()))
      .Text<"peer">(Cut(call.peer()));
  if (!call.principal().anonymous()) {
    fields.Text<"principal">(Cut(call.principal().subject));
  }
  fields.Integer<"bytes_received">(call.bytes_received())
      .Integer<"bytes_sent">(call.bytes_sent())
      .Integer<"messages_received">(call.messages_received())
      .Integer<"messages_sent">(call.messages_sent())
      .Integer<"attempt">(AttemptOf(call));
  if (const ServerInterceptor* const refused_by = call.refused_by();
      refused_by != nullptr) {
    fields.Text<"refused_by">(refused_by->name());
  }
  if (!status.ok()) {
    fields.Text<"error">(Cut(status.error_message()));
    // A cancelled call never ends in OK. Of a refused one it says nothing, and
    // to ask takes a lock.
    if (call.refused_by() == nullptr && call.cancelled())
      fields.Rendered(",\"cancelled\":true");
  }
  if (!call.exception().empty()) {
    fields.Text<"exception">(Cut(call.exception()));
  }
  if (slow) fields.Rendered(",\"slow\":true");
}

[[gnu::hot]] void AccessLog::OnFinish(ServerCall& call, grpc::Status& status) {
  const Method& method = call.method();
  const Clock::Duration duration = call.duration();
  const bool slow = method.kind == CallKind::kUnary &&
                    options_.slow_threshold > Clock::Duration::zero() &&
                    duration >= options_.slow_threshold;
  const AccessLogRule& rule = RuleFor(call, status, slow);
  const MethodState& state = *methods_[method.index];
  if (!Enabled(state, rule.level)) return;
  if (rule.share < 1 && random_() >= rule.share) return;

  LogLine line;
  logger_.Begin(line, rule.level, "call");
  {
    internal::LineFields fields(line);
    AddOutcome(call, state, status, duration, slow, fields);
  }
  if (const auto* const payloads = call.values().Get<CallPayloads>();
      payloads != nullptr) {
    bool cut = AddPayload("request", payloads->request, line);
    // A reply that an interceptor has turned into an error is not sent.
    if (status.ok()) cut |= AddPayload("reply", payloads->reply, line);
    // One member for both: strict readers refuse a line that has it twice.
    if (cut) line.Add({"truncated", true});
  }
  logger_.Write(line);
}

}  // namespace grpccommon
