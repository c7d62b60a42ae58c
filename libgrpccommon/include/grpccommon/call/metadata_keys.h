// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

/// Every metadata key that the library reads or writes. The prefix `grpc-`
/// belongs to gRPC; binary values end in `-bin`.
namespace grpccommon::metadata {

inline constexpr std::string_view kAuthorization = "authorization";
inline constexpr std::string_view kApiKey = "x-api-key";
inline constexpr std::string_view kRequestId = "x-request-id";
inline constexpr std::string_view kTraceParent = "traceparent";
inline constexpr std::string_view kTraceState = "tracestate";
/// Server pushback (gRFC A6): milliseconds to wait, negative for never.
inline constexpr std::string_view kRetryPushback = "grpc-retry-pushback-ms";
inline constexpr std::string_view kPreviousAttempts =
    "grpc-previous-rpc-attempts";
inline constexpr std::string_view kStatusDetails = "grpc-status-details-bin";
/// With the status of a call that was refused before any handler saw it: "1".
/// It may be tried again, elsewhere or later, whatever it was to do. A handler
/// cannot pass it on by mistake, as it could a status that it got itself.
inline constexpr std::string_view kNotProcessed = "grpccommon-not-processed";

}  // namespace grpccommon::metadata
