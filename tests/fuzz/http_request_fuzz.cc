// SPDX-License-Identifier: Apache-2.0
// Any bytes as what a client sends on a connection: the same request, or the
// same refusal, however the bytes arrive, and never more than is allowed.
#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/fuzz.h"
#include "grpccommon/http/message.h"
#include "http/request_parser.h"

namespace {

using grpccommon::HttpRequest;
using grpccommon::fuzz::Require;
using grpccommon::internal::RequestParser;
using Error = boost::beast::http::error;

constexpr std::size_t kMaxHeaderBytes = 512;
constexpr std::size_t kMaxBodyBytes = 256;

struct Outcome {
  HttpRequest request;
  boost::beast::error_code error;
  std::string violation;
  std::string expectation;
  std::size_t used = 0;
  bool done = false;

  // A request is taken, or all the same refused before anyone looks at it.
  bool accepted() const { return done && !error && violation.empty(); }
};

// As a connection does, from pieces of `step` bytes: what the parser leaves of
// them stays before the next.
Outcome Read(std::string_view input, std::size_t step) {
  Outcome outcome;
  RequestParser parser(kMaxHeaderBytes, kMaxBodyBytes, outcome.request);
  std::size_t end = 0;
  const auto put = [&] {
    const std::size_t used = parser.put(
        boost::asio::buffer(input.data() + outcome.used, end - outcome.used),
        outcome.error);
    Require(used <= end - outcome.used);
    outcome.used += used;
    if (outcome.error == Error::need_more) outcome.error = {};
  };
  while (end < input.size() && !outcome.error && !parser.is_done()) {
    end = std::min(end + step, input.size());
    if (!parser.is_header_done()) {
      if (end - outcome.used > 1) put();
      if (outcome.error || !parser.is_header_done()) continue;
      if (parser.violation() != nullptr) break;
      parser.eager(true);
    }
    // The shortest rest of chunks; Beast asserts that it gets as much.
    const std::size_t least = parser.chunked() ? 5 : 1;
    if (!parser.is_done() && end - outcome.used >= least) {
      put();
      if (!parser.is_done() && end - outcome.used > kMaxHeaderBytes) {
        outcome.error = Error::header_limit;
      }
    }
  }
  outcome.done = parser.is_done();
  if (parser.violation() != nullptr) outcome.violation = parser.violation();
  outcome.expectation = parser.expectation();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string_view input = grpccommon::fuzz::AsText(data, size);
  const Outcome whole = Read(input, size + 1);
  const Outcome bytes = Read(input, 1);
  // A line that is too long may be refused a piece earlier.
  Require(whole.accepted() == bytes.accepted());

  for (const Outcome* outcome : {&whole, &bytes}) {
    const HttpRequest& request = outcome->request;
    Require(request.body.size() <= kMaxBodyBytes);
    std::size_t header = request.method.size() + request.target.path.size();
    for (const auto& [name, value] : request.headers.fields()) {
      header += name.size() + value.size();
    }
    // What was one too many may be there, but has ended it.
    Require(header <= kMaxHeaderBytes || outcome->error);
    Require(request.headers.fields().size() <=
            grpccommon::internal::kMaxHeaderFields);
  }
  if (!whole.accepted()) return 0;
  Require(whole.used == bytes.used);
  Require(whole.request.method == bytes.request.method);
  Require(whole.request.target.path == bytes.request.target.path);
  Require(whole.request.headers.fields() == bytes.request.headers.fields());
  Require(whole.request.body == bytes.request.body);
  Require(whole.expectation == bytes.expectation);

  std::size_t lengths = 0;
  std::size_t codings = 0;
  for (const auto& field : whole.request.headers.fields()) {
    // No value contains the end of its line.
    Require(grpccommon::IsValidHeader(field.first, field.second));
    const auto named = [&field](const char* name) {
      return boost::beast::iequals(field.first, name);
    };
    lengths += named("content-length") ? 1 : 0;
    codings += named("transfer-encoding") ? 1 : 0;
  }
  // Where two servers could disagree about the body's end there is no request.
  Require(lengths + codings <= 1);
  return 0;
}
