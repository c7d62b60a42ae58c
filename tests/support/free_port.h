// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace grpccommon::test {

/// A port on loopback that is free just now, for a process that cannot be given
/// port 0. Somebody else may take it before that does: look for another one
/// then.
inline int FreePort() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener, generic, length) != 0 ||
      getsockname(listener, generic, &length) != 0) {
    std::perror("bind");
    std::abort();
  }
  close(listener);
  return ntohs(address.sin_port);
}

}  // namespace grpccommon::test
