// SPDX-License-Identifier: Apache-2.0
// gRPC logs through gpr, and protobuf through a handler of its own, or both
// through Abseil, depending on their releases.
#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/grpc_compat.h"
#include "google/protobuf/stubs/common.h"
#include "grpc/support/log.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/log/logger.h"
#include "log/last_words.h"

#if __has_include("absl/log/log_sink_registry.h")
#define GRPCCOMMON_ABSL_LOG 1
#include "absl/base/log_severity.h"
#include "absl/log/globals.h"
#include "absl/log/log_entry.h"
#include "absl/log/log_sink.h"
#include "absl/log/log_sink_registry.h"
#endif
#if GRPCCOMMON_PROTOBUF_LOG
#include "google/protobuf/stubs/logging.h"
#endif

namespace grpccommon {
namespace {

std::atomic<const Logger*> current{nullptr};
// What logs while it writes a line must not come back here.
thread_local bool writing = false;

void Forward(std::string_view library, LogLevel level, std::string_view message,
             std::string_view file, int line) {
  const Logger* const logger = current.load(std::memory_order_acquire);
  if (writing || logger == nullptr) return;
  writing = true;
  logger->Log(level, message,
              {{"logger", library}, {"file", file}, {"line", line}});
  writing = false;
}

void FlushCurrent() {
  const Logger* const logger = current.load(std::memory_order_acquire);
  if (logger != nullptr && logger->sink() != nullptr) logger->sink()->Flush();
}

// Before the process aborts, perhaps with locks of gRPC's held.
void FlushLastWords() {
  if (writing) return;
  const Logger* const logger = current.load(std::memory_order_acquire);
  if (logger != nullptr) internal::FlushLastWords(logger->sink());
}

#if GRPCCOMMON_GRPC_GPR_LOG
void ForwardGpr(gpr_log_func_args* args) {
  LogLevel level = LogLevel::kError;
  if (args->severity == GPR_LOG_SEVERITY_DEBUG) level = LogLevel::kDebug;
  if (args->severity == GPR_LOG_SEVERITY_INFO) level = LogLevel::kInfo;
  Forward("grpc", level, args->message, args->file, args->line);
  // The last words of GPR_ASSERT, which aborts the process next.
  if (level == LogLevel::kError &&
      std::string_view(args->message).starts_with("assertion failed")) {
    FlushLastWords();
  }
}
#endif

#ifdef GRPCCOMMON_ABSL_LOG
class ForwardAbsl : public absl::LogSink {
 public:
  void Send(const absl::LogEntry& entry) override {
    LogLevel level = LogLevel::kError;
    if (entry.log_severity() == absl::LogSeverity::kInfo) {
      level = entry.verbosity() > 0 ? LogLevel::kDebug : LogLevel::kInfo;
    }
    if (entry.log_severity() == absl::LogSeverity::kWarning) {
      level = LogLevel::kWarning;
    }
    Forward("grpc", level, ToStd(entry.text_message()),
            ToStd(entry.source_filename()), entry.source_line());
  }
  // Called before a fatal message aborts the process.
  void Flush() override { FlushLastWords(); }
};
#endif

#if GRPCCOMMON_PROTOBUF_LOG
// A caller who sends text that is no UTF-8 makes protobuf say so.
void ForwardProtobuf(google::protobuf::LogLevel severity, const char* file,
                     int line, const std::string& message) {
  LogLevel level = LogLevel::kError;
  if (severity == google::protobuf::LOGLEVEL_INFO) level = LogLevel::kInfo;
  if (severity == google::protobuf::LOGLEVEL_WARNING) {
    level = LogLevel::kWarning;
  }
  Forward("protobuf", level, message, file, line);
  // It may abort the process next.
  if (severity == google::protobuf::LOGLEVEL_FATAL) FlushLastWords();
}
#endif

}  // namespace

void InstallGrpcLog(const Logger& logger) {
  // Kept for good, since gRPC's threads may be using any of them and outlive
  // main; hence also the flush, which no destructor will do.
  static Mutex& mutex = *new Mutex();
  static auto& installed = *new std::vector<std::unique_ptr<const Logger>>();
  const MutexLock lock(mutex);
  installed.push_back(std::make_unique<const Logger>(logger));
  current.store(installed.back().get(), std::memory_order_release);
  if (installed.size() > 1) return;
  std::atexit(FlushCurrent);
#if GRPCCOMMON_GRPC_GPR_LOG
  gpr_set_log_function(ForwardGpr);
#endif
#if GRPCCOMMON_PROTOBUF_LOG
  google::protobuf::SetLogHandler(ForwardProtobuf);
#endif
#ifdef GRPCCOMMON_ABSL_LOG
  absl::AddLogSink(new ForwardAbsl());
  // Or every message would appear twice. Heeded once the application has called
  // absl::InitializeLog, which we may not, for that is fatal the second time.
  absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
#endif
}

}  // namespace grpccommon
