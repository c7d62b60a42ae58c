// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/resource.h>

namespace grpccommon {

// The process can open nothing, as one that is at its limit; what is open stays
// so.
class NoFileDescriptors {
 public:
  NoFileDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit none = {.rlim_cur = 0, .rlim_max = before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoFileDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }
  NoFileDescriptors(const NoFileDescriptors&) = delete;
  NoFileDescriptors& operator=(const NoFileDescriptors&) = delete;

 private:
  rlimit before_;
};

}  // namespace grpccommon
