// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace platform::execution {

// What the sandbox and its init, the first process inside, say to each other.
// Both are always of one build, so plain structs do.

// Where init finds its files. 0 and 1 are /dev/null, 2 takes complaints.
inline constexpr int kControlFd = 3;  // packets, both ways
inline constexpr int kSpecFd = 4;     // an InitSpec and what follows it
inline constexpr int kInputFd = 5;    // becomes the program's 0, 1 and 2
inline constexpr int kOutputFd = 6;
inline constexpr int kErrorFd = 7;

inline constexpr char kInitPath[] = "/init";

// What init is to do. Behind it follow, without gaps: argv, the environment
// ("NAME=value") and keep, all of them strings that end in NUL; the files, each
// an InitFile, its path with NUL and its content; the filter's instructions.
struct InitSpec {
  std::uint64_t size;  // of all of it
  // Rlimits of each process; 0 of the last two: as they are.
  std::uint64_t cpu_seconds;
  std::uint64_t file_bytes;
  std::uint64_t open_files;
  std::uint64_t stack_bytes;
  std::uint64_t data_bytes;
  std::uint64_t processes;
  // Of the file system that is written to.
  std::uint64_t disk_bytes;
  std::uint64_t disk_files;
  // What init itself looks after, for want of a cgroup; 0: nothing to look at.
  std::uint64_t poll_interval_ns;
  std::uint64_t polled_cpu_ns;
  std::uint64_t polled_memory_bytes;
  std::uint64_t polled_processes;
  std::uint32_t argv;  // how many there are of each
  std::uint32_t environment;
  std::uint32_t keep;
  std::uint32_t files;
  std::uint32_t filter;
  std::uint32_t unused;
};

struct InitFile {
  std::uint64_t size;
  std::uint32_t executable;
  std::uint32_t path_size;  // with its NUL
};

enum class InitPacket : std::uint32_t {
  // To init.
  kGo,    // the program may start
  kStop,  // end it, then say kEnd
  // From init.
  kHello,    // everything is ready but the program
  kFailed,   // it will not be: why, as text
  kStarted,  // std::int64_t: when, in nanoseconds of CLOCK_MONOTONIC
  kRefused,  // the system would not run the file: why, as text
  kFile,     // the path of a kept file; value says whether it is executable
  kData,     // more of its content
  kEnd,      // InitEnd: the program is over and everything of it is dead
};

// What a packet begins with.
struct InitHeader {
  InitPacket type;
  std::uint32_t value;
};

inline constexpr std::uint32_t kMaxPacketBytes = 64 << 10;

enum class InitLimit : std::uint32_t { kNone, kCpu, kMemory, kProcesses };

struct InitEnd {
  std::int32_t status;  // as of wait()
  InitLimit limit;      // what init ended it for
  std::int64_t ended_ns;
  std::int64_t cpu_ns;       // the program's and its descendants'
  std::int64_t init_cpu_ns;  // init's own meanwhile
  std::int64_t peak_bytes;   // the largest seen, or of the largest process
};

}  // namespace platform::execution
