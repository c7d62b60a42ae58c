// SPDX-License-Identifier: Apache-2.0
#include "log/transport.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "spdlog/details/file_helper.h"
#include "spdlog/details/log_msg.h"
#include "spdlog/pattern_formatter.h"
#include "spdlog/sinks/basic_file_sink.h"
#include "spdlog/sinks/sink.h"
#include "spdlog/sinks/stdout_sinks.h"

namespace grpccommon::internal {
namespace {

constexpr std::chrono::seconds kLookInterval{1};

void Send(spdlog::sinks::sink& sink, std::string_view lines) {
  sink.log(spdlog::details::log_msg(
      spdlog::string_view_t(), spdlog::level::info,
      spdlog::string_view_t(lines.data(), lines.size())));
  sink.flush();
}

void WriteAsIs(spdlog::sinks::sink& sink) {
  sink.set_formatter(std::make_unique<spdlog::pattern_formatter>(
      "%v", spdlog::pattern_time_type::utc, /*eol=*/""));
}

class StandardStream : public LogTransport {
 public:
  StandardStream(std::FILE* stream, std::unique_ptr<spdlog::sinks::sink> sink)
      : stream_(stream), sink_(std::move(sink)) {
    WriteAsIs(*sink_);
  }

  bool Write(std::string_view lines) override {
    if (cut_ && !WriteAll("\n")) return false;
    cut_ = !WriteAll(lines);
    return !cut_;
  }

 private:
  bool WriteAll(std::string_view lines) {
    try {
      Send(*sink_, lines);
    } catch (const std::exception&) {
      return false;
    }
    // spdlog passes over failed writes to these streams.
    const bool failed = std::ferror(stream_) != 0;
    std::clearerr(stream_);
    return !failed;
  }

  std::FILE* const stream_;
  const std::unique_ptr<spdlog::sinks::sink> sink_;
  bool cut_ = false;  // the last line may lack its end
};

class File : public LogTransport {
 public:
  File(const LogSinkOptions& options, const Clock& clock)
      : path_(options.destination),
        rotate_bytes_(options.rotate_bytes),
        rotated_files_(options.rotated_files),
        clock_(clock) {}

  // Throws spdlog::spdlog_ex.
  void Open() {
    sink_ = std::make_unique<spdlog::sinks::basic_file_sink_st>(path_);
    WriteAsIs(*sink_);
    struct stat info;
    regular_ = stat(path_.c_str(), &info) == 0 && S_ISREG(info.st_mode);
    bytes_ = regular_ ? static_cast<std::size_t>(info.st_size) : 0;
    identity_ = Identify();
    looked_at_ = clock_.Now();
    // The last line lacks its end if a disk filled up or a process was killed
    // in the middle of it.
    if (LastByteIsNot('\n')) Send(*sink_, "\n");
  }

  bool Write(std::string_view lines) override {
    try {
      if (regular_ && clock_.Now() - looked_at_ >= kLookInterval) {
        looked_at_ = clock_.Now();
        if (Identify() != identity_) sink_.reset();
      }
      if (sink_ == nullptr) Open();
      if (regular_ && rotate_bytes_ != 0 && bytes_ != 0 &&
          bytes_ + lines.size() > rotate_bytes_ &&
          clock_.Now() >= may_rotate_at_) {
        Rotate();
      }
      Send(*sink_, lines);
      bytes_ += lines.size();
      return true;
    } catch (const std::exception&) {
      // With it goes what stdio has kept back, which would be written later. A
      // pipe is kept, for opening one waits until somebody reads it.
      if (regular_) sink_.reset();
      return false;
    }
  }

  std::size_t piece_bytes() const override {
    // Files are rotated between two pieces, so large ones waste their end.
    return rotate_bytes_ == 0
               ? LogTransport::piece_bytes()
               : std::min(LogTransport::piece_bytes(), rotate_bytes_ / 16);
  }

 private:
  // Not spdlog's, which empties a file that it cannot rename; ours grows on
  // then, as where no other can be opened, and is tried again a while later.
  void Rotate() {
    const int spare = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool renamed = spare >= 0 && Rename();
    if (spare >= 0) close(spare);
    if (renamed) {
      Open();
    } else {
      may_rotate_at_ = clock_.Now() + kLookInterval;
    }
  }

  bool Rename() const {
    // Up to the first gap, and so once if the path itself stays where it is.
    std::size_t last = 1;
    while (last < rotated_files_ &&
           access(RotatedPath(last).c_str(), F_OK) == 0) {
      ++last;
    }
    for (std::size_t number = last; number > 0; --number) {
      const std::string from = RotatedPath(number - 1);
      if (std::rename(from.c_str(), RotatedPath(number).c_str()) != 0) {
        return false;
      }
    }
    return true;
  }

  // "app.2.log" for "app.log"; the path itself for 0.
  std::string RotatedPath(std::size_t number) const {
    if (number == 0) return path_;
    const auto [stem, extension] =
        spdlog::details::file_helper::split_by_extension(path_);
    return absl::StrCat(stem, ".", number, extension);
  }

  // Which file the path leads to; none if it was removed or renamed.
  std::optional<std::pair<dev_t, ino_t>> Identify() const {
    struct stat info;
    if (stat(path_.c_str(), &info) != 0) return std::nullopt;
    return std::pair(info.st_dev, info.st_ino);
  }

  bool LastByteIsNot(char wanted) const {
    struct stat info;
    if (!regular_ || stat(path_.c_str(), &info) != 0 || info.st_size == 0) {
      return false;
    }
    const int file = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    char last = wanted;
    const bool read = pread(file, &last, 1, info.st_size - 1) == 1;
    close(file);
    return read && last != wanted;
  }

  const std::string path_;
  const std::size_t rotate_bytes_;
  const std::size_t rotated_files_;
  const Clock& clock_;
  std::unique_ptr<spdlog::sinks::sink> sink_;
  bool regular_ = false;
  std::size_t bytes_ = 0;  // in the file
  std::optional<std::pair<dev_t, ino_t>> identity_;
  Clock::TimePoint looked_at_;
  Clock::TimePoint may_rotate_at_{};
};

}  // namespace

absl::StatusOr<std::unique_ptr<LogTransport>> OpenLogTransport(
    const LogSinkOptions& options, const Clock& clock) {
  if (options.destination == "stderr") {
    return std::make_unique<StandardStream>(
        stderr, std::make_unique<spdlog::sinks::stderr_sink_st>());
  }
  if (options.destination == "stdout") {
    return std::make_unique<StandardStream>(
        stdout, std::make_unique<spdlog::sinks::stdout_sink_st>());
  }
  auto file = std::make_unique<File>(options, clock);
  try {
    file->Open();
  } catch (const std::exception& error) {
    return absl::UnavailableError(absl::StrCat("destination: ", error.what()));
  }
  return file;
}

}  // namespace grpccommon::internal
