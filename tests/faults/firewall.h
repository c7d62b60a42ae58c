// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace grpccommon::test {

/// Rules of nftables on loopback, in a table of this process alone, which goes
/// with the object.
class Firewall {
 public:
  /// Why it cannot be used here: no nft, or no right to; empty if it can.
  static std::string Unavailable();

  Firewall();
  ~Firewall();
  Firewall(const Firewall&) = delete;
  Firewall& operator=(const Firewall&) = delete;

  /// Packets from and to the port vanish. Returns whether the rule stands.
  bool Drop(int port);
  /// Connections to the port are reset, those that there are included.
  bool Reject(int port);

 private:
  bool Add(const std::string& rule);

  const std::string table_;
};

}  // namespace grpccommon::test
