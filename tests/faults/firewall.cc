// SPDX-License-Identifier: Apache-2.0
#include "faults/firewall.h"

#include <unistd.h>

#include <cstdlib>

namespace grpccommon::test {
namespace {

bool Nft(const std::string& command) {
  return std::system(
             ("PATH=$PATH:/usr/sbin nft '" + command + "' >/dev/null 2>&1")
                 .c_str()) == 0;
}

}  // namespace

std::string Firewall::Unavailable() {
  if (geteuid() != 0) return "not root";
  // Asks for the kernel's side, too.
  const std::string probe = "inet grpccommon_probe_" + std::to_string(getpid());
  if (!Nft("add table " + probe)) return "nft is missing, or may not be used";
  Nft("delete table " + probe);
  return "";
}

Firewall::Firewall()
    : table_("inet grpccommon_faults_" + std::to_string(getpid())) {
  Nft("add table " + table_);
  Nft("add chain " + table_ +
      " input { type filter hook input priority 0; policy accept; }");
}

Firewall::~Firewall() { Nft("delete table " + table_); }

bool Firewall::Drop(int port) {
  const std::string number = std::to_string(port);
  return Add("tcp dport " + number + " drop") &&
         Add("tcp sport " + number + " drop");
}

bool Firewall::Reject(int port) {
  return Add("tcp dport " + std::to_string(port) + " reject with tcp reset");
}

bool Firewall::Add(const std::string& rule) {
  return Nft("add rule " + table_ + " input iif lo " + rule);
}

}  // namespace grpccommon::test
