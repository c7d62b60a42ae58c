// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "grpccommon/server/server_options.h"

/// The names under which options are configured. Each VisitOptions calls
/// `visit(name, field)` for the plain members of a struct, and
/// `visit.Nested(name, field)` for those that are structs, and
/// `visit.List(name, field)` for lists of structs; members that only code can
/// set are left out.
namespace grpccommon::internal {

template <typename Visitor>
void VisitOptions(TlsOptions& tls, Visitor& visit) {
  visit("certificate_file", tls.certificate_file);
  visit("private_key_file", tls.private_key_file);
  visit("client_ca_file", tls.client_ca_file);
  visit("require_client_certificate", tls.require_client_certificate);
  visit("reload_interval", tls.reload_interval);
}

template <typename Visitor>
void VisitOptions(KeepaliveOptions& keepalive, Visitor& visit) {
  visit("time", keepalive.time);
  visit("timeout", keepalive.timeout);
  visit("minimum_client_interval", keepalive.minimum_client_interval);
  visit("permit_without_calls", keepalive.permit_without_calls);
}

template <typename Visitor>
void VisitOptions(ConnectionOptions& connection, Visitor& visit) {
  visit("max_age", connection.max_age);
  visit("max_age_grace", connection.max_age_grace);
  visit("max_idle", connection.max_idle);
  visit("max_concurrent_calls", connection.max_concurrent_calls);
}

template <typename Visitor>
void VisitOptions(LogSinkOptions& log, Visitor& visit) {
  visit("destination", log.destination);
  visit("rotate_bytes", log.rotate_bytes);
  visit("rotated_files", log.rotated_files);
  visit("batch_interval", log.batch_interval);
  visit("queue_bytes", log.queue_bytes);
}

template <typename Visitor>
void VisitOptions(TracingOptions& tracing, Visitor& visit) {
  visit("sample_ratio", tracing.sample_ratio);
  visit("follow_caller", tracing.follow_caller);
  visit("message_events", tracing.message_events);
}

template <typename Visitor>
void VisitOptions(AccessLogRule& rule, Visitor& visit) {
  visit("share", rule.share);
  visit("level", rule.level);
}

template <typename Visitor>
void VisitOptions(AccessLogPayloads& payloads, Visitor& visit) {
  visit("requests", payloads.requests);
  visit("replies", payloads.replies);
  visit("stream_messages", payloads.stream_messages);
  visit("max_bytes", payloads.max_bytes);
}

template <typename Visitor>
void VisitOptions(AccessLogOptions& log, Visitor& visit) {
  visit.Nested("ok", log.ok);
  visit.Nested("slow", log.slow);
  visit.Nested("refused", log.refused);
  visit.Nested("client_error", log.client_error);
  visit.Nested("unavailable", log.unavailable);
  visit.Nested("server_error", log.server_error);
  visit("slow_threshold", log.slow_threshold);
  visit("max_field_bytes", log.max_field_bytes);
  visit.Nested("payloads", log.payloads);
}

template <typename Visitor>
void VisitOptions(MetricsInterceptorOptions& metrics, Visitor& visit) {
  visit("buckets", metrics.buckets);
}

template <typename Visitor>
void VisitOptions(ConcurrencyOptions& concurrency, Visitor& visit) {
  visit("normal_share", concurrency.normal_share);
  visit("sheddable_share", concurrency.sheddable_share);
  visit("count_streams", concurrency.count_streams);
  visit("retry_delay", concurrency.retry_delay);
}

template <typename Visitor>
void VisitOptions(RateLimitOptions& rate_limit, Visitor& visit) {
  visit("max_keys", rate_limit.max_keys);
}

template <typename Visitor>
void VisitOptions(DeadlineOptions& deadline, Visitor& visit) {
  visit("margin", deadline.margin);
}

template <typename Visitor>
void VisitOptions(TokenIssuerOptions& issuer, Visitor& visit) {
  visit("issuer", issuer.issuer);
  visit("audiences", issuer.audiences);
  visit("any_audience", issuer.any_audience);
  visit("roles", issuer.roles);
  visit("jwks_file", issuer.jwks_file);
  visit("jwks_url", issuer.jwks_url);
  visit("allow_http_jwks", issuer.allow_http_jwks);
}

template <typename Visitor>
void VisitOptions(AuthOptions& auth, Visitor& visit) {
  visit("jwks_file", auth.jwks_file);
  visit("jwks_url", auth.jwks_url);
  visit("allow_http_jwks", auth.allow_http_jwks);
  visit("issuer", auth.issuer);
  visit("audiences", auth.audiences);
  visit("any_audience", auth.any_audience);
  visit("roles", auth.roles);
  visit.List("issuers", auth.issuers);
  visit("api_key_file", auth.api_key_file);
  visit("client_certificates", auth.client_certificates);
  visit("policy_file", auth.policy_file);
}

template <typename Visitor>
void VisitOptions(RegistrationOptions& lease, Visitor& visit) {
  visit("ttl", lease.ttl);
}

template <typename Visitor>
void VisitOptions(AnnounceOptions& announce, Visitor& visit) {
  visit("uri", announce.uri);
  visit("token_file", announce.token_file);
  visit("token_in_plaintext", announce.token_in_plaintext);
  visit("address", announce.address);
  visit("services", announce.services);
  visit("weight", announce.weight);
  visit("zone", announce.zone);
  visit("version", announce.version);
  visit.Nested("lease", announce.lease);
}

template <typename Visitor>
void VisitOptions(ClientsOptions& clients, Visitor& visit) {
  visit("registry", clients.registry);
  visit("token_file", clients.token_file);
  visit("token_in_plaintext", clients.token_in_plaintext);
  visit("tls", clients.tls);
  visit("ca_file", clients.ca_file);
  visit("certificate_file", clients.certificate_file);
  visit("private_key_file", clients.private_key_file);
}

template <typename Visitor>
void VisitOptions(ServerOptions& options, Visitor& visit) {
  visit("name", options.name);
  visit("version", options.version);
  visit("grpc_address", options.grpc_address);
  visit("tls", options.tls);
  visit("plaintext_address", options.plaintext_address);
  visit("http_address", options.http_address);
  visit("max_receive_message_bytes", options.max_receive_message_bytes);
  visit("max_send_message_bytes", options.max_send_message_bytes);
  visit("max_metadata_bytes", options.max_metadata_bytes);
  visit.Nested("keepalive", options.keepalive);
  visit.Nested("connection", options.connection);
  visit("compression", options.compression);
  visit("memory_quota_bytes", options.memory_quota_bytes);
  visit("max_sync_threads", options.max_sync_threads);
  visit("tracing", options.tracing);
  visit("access_log", options.access_log);
  visit("metrics", options.metrics);
  visit("concurrency", options.concurrency);
  visit.Nested("auth", options.auth);
  visit("rate_limit", options.rate_limit);
  visit("validation", options.validation);
  visit("deadline", options.deadline);
  visit("drain_delay", options.drain_delay);
  visit("grace_period", options.grace_period);
  visit("stuck_timeout", options.stuck_timeout);
  visit.Nested("announce", options.announce);
  visit.Nested("clients", options.clients);
  visit("max_health_watches", options.max_health_watches);
  visit("reflection", options.reflection);
  visit("channelz", options.channelz);
  visit.Nested("log", options.log);
  visit("log_level", options.log_level);
  visit("capture_grpc_log", options.capture_grpc_log);
  visit("mutex_deadlock_detection", options.mutex_deadlock_detection);
}

}  // namespace grpccommon::internal
