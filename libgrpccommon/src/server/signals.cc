// SPDX-License-Identifier: Apache-2.0
#include "server/signals.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>

namespace grpccommon::internal {
namespace {

constexpr char kSignal = 's';
constexpr char kInterrupt = 'i';

// What a signal handler can reach: the ends of a pipe, and who was there
// before.
int pipe_ends[2] = {-1, -1};
struct sigaction old_term;
struct sigaction old_int;

void WriteByte(char byte) {
  const int saved = errno;
  // A full pipe holds more signals than anyone waits for.
  [[maybe_unused]] const ssize_t written = write(pipe_ends[1], &byte, 1);
  errno = saved;
}

void OnSignal(int /*signal*/) { WriteByte(kSignal); }

}  // namespace

StopSignals::StopSignals() {
  assert(pipe_ends[0] < 0 && "one at a time");
  [[maybe_unused]] const int made = pipe2(pipe_ends, O_CLOEXEC);
  assert(made == 0);
  fcntl(pipe_ends[1], F_SETFL, O_NONBLOCK);
  struct sigaction action {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGTERM, &action, &old_term);
  sigaction(SIGINT, &action, &old_int);
}

StopSignals::~StopSignals() {
  sigaction(SIGTERM, &old_term, nullptr);
  sigaction(SIGINT, &old_int, nullptr);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
  pipe_ends[0] = pipe_ends[1] = -1;
}

bool StopSignals::Wait() {
  // ThreadSanitizer runs a handler while its thread is in poll(), but keeps it
  // back for as long as it is in read().
  pollfd readable{.fd = pipe_ends[0], .events = POLLIN, .revents = 0};
  while (poll(&readable, 1, -1) < 0 && errno == EINTR) {
  }
  char byte = kInterrupt;
  while (read(pipe_ends[0], &byte, 1) < 0 && errno == EINTR) {
  }
  return byte == kSignal;
}

void StopSignals::Interrupt() { WriteByte(kInterrupt); }

}  // namespace grpccommon::internal
