// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/log/logger.h"

#include <utility>

#include "log/line_fields.h"

namespace grpccommon {
namespace {

constexpr std::string_view kLevelNames[] = {"debug", "info", "warning", "error",
                                            "off"};

}  // namespace

std::string_view LogLevelName(LogLevel level) {
  return kLevelNames[static_cast<std::size_t>(level)];
}

std::optional<LogLevel> ParseLogLevel(std::string_view name) {
  for (std::size_t level = 0; level < std::size(kLevelNames); ++level) {
    if (kLevelNames[level] == name) return static_cast<LogLevel>(level);
  }
  return std::nullopt;
}

Logger::Logger() : Logger(nullptr, "", LogLevel::kOff) {}

Logger::Logger(std::shared_ptr<LogSink> sink, std::string service,
               LogLevel level, const Clock& clock)
    : sink_(std::move(sink)),
      level_(std::make_shared<std::atomic<LogLevel>>(level)),
      prefix_(std::make_shared<const std::string>()),
      clock_(&clock) {
  if (!service.empty()) *this = With({"service", service});
}

Logger Logger::With(const LogField& field) const {
  LogLine line;
  line.Add(field);
  // Without the braces and the line's end.
  const std::string_view rendered = line.Finish();
  std::string prefix = *prefix_;
  prefix.push_back(',');
  prefix.append(rendered.substr(1, rendered.size() - 3));
  Logger logger = *this;
  logger.prefix_ = std::make_shared<const std::string>(std::move(prefix));
  return logger;
}

void Logger::Log(LogLevel level, std::string_view message,
                 std::initializer_list<LogField> fields) const {
  if (!Enabled(level)) return;
  LogLine line;
  Begin(line, level, message);
  for (const LogField& field : fields) line.Add(field);
  Write(line);
}

[[gnu::hot]] void Logger::Begin(LogLine& line, LogLevel level,
                                std::string_view message) const {
  line.AddTime("ts", clock_->WallNow());
  internal::LineFields(line)
      .Word<"level">(LogLevelName(level))
      .Text<"msg">(message)
      .Rendered(*prefix_);
}

[[gnu::hot]] void Logger::Write(LogLine& line) const {
  if (sink_ != nullptr) sink_->Write(line.Finish());
}

}  // namespace grpccommon
