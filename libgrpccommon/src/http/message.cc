// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/http/message.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/status/convert.h"

namespace grpccommon {
namespace {

bool SameName(std::string_view left, std::string_view right) {
  return absl::EqualsIgnoreCase(ToAbsl(left), ToAbsl(right));
}

// RFC 9110, section 5.6.2.
bool IsTokenCharacter(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
         (c >= 'A' && c <= 'Z') ||
         (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) !=
                           std::string_view::npos);
}

// A detail as protobuf's JSON for google.protobuf.Any; null if its type is not
// linked into this program or its bytes do not parse.
nlohmann::ordered_json DetailJson(absl::string_view type_url,
                                  const absl::Cord& value) {
  google::protobuf::Any any;
  any.set_type_url(std::string(type_url));
  any.set_value(std::string(value));
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(any, &text).ok()) {
    return nullptr;
  }
  return nlohmann::ordered_json::parse(text, nullptr,
                                       /*allow_exceptions=*/false);
}

}  // namespace

void HttpHeaders::Add(std::string_view name, std::string_view value) {
  fields_.emplace_back(name, value);
}

void HttpHeaders::Set(std::string_view name, std::string_view value) {
  Remove(name);
  Add(name, value);
}

void HttpHeaders::Remove(std::string_view name) {
  std::erase_if(fields_, [name](const Field& field) {
    return SameName(field.first, name);
  });
}

std::optional<std::string_view> HttpHeaders::Get(std::string_view name) const {
  for (const auto& [field, value] : fields_) {
    if (SameName(field, name)) return value;
  }
  return std::nullopt;
}

bool IsValidHeader(std::string_view name, std::string_view value) {
  return !name.empty() &&
         std::all_of(name.begin(), name.end(), IsTokenCharacter) &&
         std::all_of(value.begin(), value.end(), [](char c) {
           return c == '\t' ||
                  (static_cast<std::uint8_t>(c) >= 0x20 && c != 0x7f);
         });
}

std::string_view HttpRequest::Capture(std::string_view name) const {
  for (const auto& [capture, value] : captures) {
    if (capture == name) return value;
  }
  return {};
}

std::optional<std::string_view> HttpRequest::Query(
    std::string_view name) const {
  for (const auto& [parameter, value] : target.query) {
    if (parameter == name) return value;
  }
  return std::nullopt;
}

HttpResponse TextResponse(std::string body) {
  return {.headers = {{"content-type", "text/plain; charset=utf-8"}},
          .body = std::move(body)};
}

HttpResponse JsonResponse(std::string json, int status) {
  return {.status = status,
          .headers = {{"content-type", "application/json"}},
          .body = std::move(json)};
}

HttpResponse ErrorResponse(const absl::Status& error) {
  return ErrorResponse(
      error,
      HttpStatusFromCode(static_cast<grpc::StatusCode>(error.raw_code())));
}

HttpResponse ErrorResponse(const absl::Status& error, int http_status) {
  assert(!error.ok());
  nlohmann::ordered_json json = {{"code", error.raw_code()},
                                 {"message", std::string(error.message())},
                                 {"details", nlohmann::ordered_json::array()}};
  error.ForEachPayload(
      [&json](absl::string_view type_url, const absl::Cord& value) {
        nlohmann::ordered_json detail = DetailJson(type_url, value);
        if (detail.is_object()) json["details"].push_back(std::move(detail));
      });
  // Messages come from anywhere; invalid UTF-8 must not throw here.
  return JsonResponse(
      json.dump(-1, ' ', false,
                nlohmann::ordered_json::error_handler_t::replace),
      http_status);
}

}  // namespace grpccommon
