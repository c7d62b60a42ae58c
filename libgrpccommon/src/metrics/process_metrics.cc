// SPDX-License-Identifier: Apache-2.0
#include "metrics/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>

namespace grpccommon::internal {
namespace {

// Files below /proc have no size to ask for.
std::string ReadProcFile(const char* path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

template <typename Number>
bool Parse(std::string_view text, Number& out) {
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

std::vector<std::string_view> Split(std::string_view text) {
  constexpr std::string_view kSpace = " \n";
  std::vector<std::string_view> words;
  while (true) {
    const std::size_t begin = text.find_first_not_of(kSpace);
    if (begin == std::string_view::npos) return words;
    text.remove_prefix(begin);
    const std::size_t end = std::min(text.find_first_of(kSpace), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

std::optional<double> OpenFiles() {
  std::error_code error;
  double count = 0;
  std::filesystem::directory_iterator entry("/proc/self/fd", error);
  while (!error && entry != std::filesystem::directory_iterator()) {
    ++count;
    entry.increment(error);
  }
  if (error) return std::nullopt;
  return count - 1;  // the one that reads the folder
}

std::optional<double> MaxFiles() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return std::nullopt;
  return static_cast<double>(limit.rlim_cur);
}

}  // namespace

std::optional<ProcessStat> ParseProcessStat(std::string_view text) {
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  // The first of these is the third field, the state.
  const std::vector<std::string_view> fields = Split(text.substr(name_end + 1));
  const auto field = [&](std::size_t number) -> std::string_view {
    return number - 3 < fields.size() ? fields[number - 3] : "";
  };
  ProcessStat stat;
  std::uint64_t user_ticks = 0;
  std::uint64_t system_ticks = 0;
  if (!Parse(field(14), user_ticks) || !Parse(field(15), system_ticks) ||
      !Parse(field(20), stat.threads) || !Parse(field(22), stat.start_ticks) ||
      !Parse(field(23), stat.virtual_bytes) ||
      !Parse(field(24), stat.resident_pages)) {
    return std::nullopt;
  }
  stat.cpu_ticks = user_ticks + system_ticks;
  return stat;
}

std::optional<double> ParseBootTime(std::string_view text) {
  const std::vector<std::string_view> words = Split(text);
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    double seconds = 0;
    if (words[i] == "btime" && Parse(words[i + 1], seconds)) return seconds;
  }
  return std::nullopt;
}

void CollectProcessMetrics(std::vector<prometheus::MetricFamily>& out) {
  const auto add = [&out](const char* name, const char* help,
                          std::optional<double> value, bool counter = false) {
    if (!value.has_value()) return;
    prometheus::MetricFamily& family = out.emplace_back();
    family.name = name;
    family.help = help;
    family.type = counter ? prometheus::MetricType::Counter
                          : prometheus::MetricType::Gauge;
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    (counter ? metric.counter.value : metric.gauge.value) = *value;
  };

  static const double ticks_per_second =
      static_cast<double>(sysconf(_SC_CLK_TCK));
  static const double page_bytes = static_cast<double>(sysconf(_SC_PAGESIZE));
  static const std::optional<double> boot_time =
      ParseBootTime(ReadProcFile("/proc/stat"));

  if (const auto stat = ParseProcessStat(ReadProcFile("/proc/self/stat"))) {
    add("process_cpu_seconds_total",
        "Total user and system CPU time spent in seconds.",
        static_cast<double>(stat->cpu_ticks) / ticks_per_second, true);
    add("process_resident_memory_bytes", "Resident memory size in bytes.",
        static_cast<double>(stat->resident_pages) * page_bytes);
    add("process_virtual_memory_bytes", "Virtual memory size in bytes.",
        static_cast<double>(stat->virtual_bytes));
    add("process_threads", "Number of threads in the process.",
        static_cast<double>(stat->threads));
    if (boot_time.has_value()) {
      add("process_start_time_seconds",
          "Start time of the process since unix epoch in seconds.",
          *boot_time +
              static_cast<double>(stat->start_ticks) / ticks_per_second);
    }
  }
  add("process_open_fds", "Number of open file descriptors.", OpenFiles());
  add("process_max_fds", "Maximum number of open file descriptors.",
      MaxFiles());
}

}  // namespace grpccommon::internal
