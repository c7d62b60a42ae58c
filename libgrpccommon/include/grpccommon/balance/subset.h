// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "grpccommon/base/export.h"

namespace grpccommon {

/// Which of many endpoints a client connects to, when connections of each
/// client to each would be too many: the indices of `size` of `addresses`, in
/// ascending order; of all, if there are no more.
///
/// Depends only on the client's id and the set of addresses, so a client keeps
/// its connections over a restart. When an address goes, only those that had it
/// take another; a new one takes one place each of those that choose it.
/// Clients choose independently: with C clients, an address has on average
/// m = C x size / addresses of them, with a standard deviation of at most
/// sqrt(m).
///
/// `client_id` must differ from client to client and should stay over restarts
/// (a pod's or host's name).
///
/// Source: rendezvous hashing (Thaler and Ravishankar, "Using Name-Based
/// Mappings to Increase Hit Rates", 1998), as in gRFC A68.
GRPCCOMMON_EXPORT std::vector<std::size_t> ChooseSubset(
    std::string_view client_id, std::span<const std::string_view> addresses,
    std::size_t size);

}  // namespace grpccommon
