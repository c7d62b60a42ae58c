// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <cstddef>
#include <cstdint>
#include <string>

#include "grpccommon/http/message.h"

namespace grpccommon::internal {

namespace beast = boost::beast;

inline constexpr std::size_t kMaxHeaderFields = 128;

// Beast's parser, made strict where proxies and servers have disagreed, and
// filling our own request.
class RequestParser : public beast::http::basic_parser<true> {
 public:
  RequestParser(std::size_t max_header_bytes, std::size_t max_body_bytes,
                HttpRequest& request)
      : max_header_bytes_(max_header_bytes), request_(request) {
    header_limit(static_cast<std::uint32_t>(max_header_bytes));
    body_limit(max_body_bytes);
  }

  // "100-continue", another expectation, or empty.
  const std::string& expectation() const { return expectation_; }
  bool http11() const { return version_ == 11; }
  // Why a header that is well-formed is refused all the same; else null.
  const char* violation() const { return violation_; }

 private:
  using Verb = beast::http::verb;
  using FieldName = beast::http::field;
  using Text = beast::string_view;
  using Error = beast::error_code;

  void on_request_impl(Verb /*verb*/, Text method, Text target, int version,
                       Error& error) override {
    request_.method.assign(method.data(), method.size());
    request_.target.path.assign(target.data(), target.size());
    version_ = version;
    Count(method.size() + target.size() + 12, error);
  }

  void on_response_impl(int /*status*/, Text /*reason*/, int /*version*/,
                        Error& /*error*/) override {}

  void on_field_impl(FieldName field, Text name, Text value,
                     Error& error) override {
    Count(name.size() + value.size() + 4, error);
    // A trailer is not a header: a proxy in front has not looked at it.
    if (error || header_done_) return;
    if (request_.headers.fields().size() == kMaxHeaderFields) {
      error = beast::http::error::header_limit;
      return;
    }
    request_.headers.Add({name.data(), name.size()},
                         {value.data(), value.size()});
    switch (field) {
      case FieldName::content_length:
        // A list is what a proxy makes of two; Beast takes one that agrees.
        if (++lengths_ > 1 || value.find(',') != Text::npos) {
          violation_ = "more than one content-length";
        }
        break;
      case FieldName::transfer_encoding:
        ++codings_;
        if (!beast::iequals(value, "chunked")) {
          violation_ = "a transfer-encoding other than chunked";
        }
        break;
      case FieldName::host:
        ++hosts_;
        break;
      case FieldName::expect:
        expectation_.assign(value.data(), value.size());
        break;
      default:
        break;
    }
  }

  void on_header_impl(Error& /*error*/) override {
    header_done_ = true;
    if (codings_ > 1) violation_ = "more than one transfer-encoding";
    if (codings_ > 0 && lengths_ > 0) {
      violation_ = "both content-length and transfer-encoding";
    }
    if (codings_ > 0 && !http11()) {
      violation_ = "a transfer-encoding in HTTP/1.0";
    }
    if (hosts_ > 1 || (hosts_ == 0 && http11())) {
      violation_ = "not exactly one host";
    }
  }

  void on_body_init_impl(const boost::optional<std::uint64_t>& /*length*/,
                         Error& /*error*/) override {}

  std::size_t on_body_impl(Text body, Error& /*error*/) override {
    request_.body.append(body.data(), body.size());
    return body.size();
  }

  void on_chunk_header_impl(std::uint64_t /*size*/, Text extensions,
                            Error& error) override {
    // Beast takes a bare LF within quotes, where others see the line's end.
    for (const char c : extensions) {
      const auto byte = static_cast<unsigned char>(c);
      if ((byte < 0x20 && byte != '\t') || byte == 0x7f) {
        error = beast::http::error::bad_chunk_extension;
        return;
      }
    }
    // Each chunk may bring an extension; together they count as header.
    Count(extensions.size(), error);
  }

  std::size_t on_chunk_body_impl(std::uint64_t /*remain*/, Text body,
                                 Error& /*error*/) override {
    request_.body.append(body.data(), body.size());
    return body.size();
  }

  void on_finish_impl(Error& /*error*/) override {}

  void Count(std::size_t bytes, Error& error) {
    header_bytes_ += bytes;
    if (header_bytes_ > max_header_bytes_) {
      error = beast::http::error::header_limit;
    }
  }

  const std::size_t max_header_bytes_;
  HttpRequest& request_;
  std::string expectation_;
  const char* violation_ = nullptr;
  std::size_t header_bytes_ = 0;
  int version_ = 11;
  int lengths_ = 0;
  int codings_ = 0;
  int hosts_ = 0;
  bool header_done_ = false;
};

}  // namespace grpccommon::internal
