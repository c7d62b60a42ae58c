// SPDX-License-Identifier: Apache-2.0
// Any bytes as a request: what a log shows of the message, and what a caller is
// told of bytes that are none.
#include <cstdint>
#include <string>

#include "call/secrets.pb.h"
#include "fuzz/fuzz.h"
#include "grpccommon/base/utf8.h"
#include "grpccommon/call/redact.h"
#include "nlohmann/json.hpp"
#include "server/malformed_request.h"

namespace {

using grpccommon::fuzz::Require;
using grpccommon::test::v1::Account;

constexpr char kSecret[] = "hunter2-correct-horse";

// Secrets wherever the input has a message.
void Hide(Account& account) {
  account.set_password(kSecret);
  account.add_codes(kSecret);
  (*account.mutable_headers())[kSecret] = kSecret;
  account.mutable_hidden()->set_name(kSecret);
  if (account.has_token()) account.set_token(kSecret);
  if (account.has_partner()) Hide(*account.mutable_partner());
  if (account.has_delegate()) Hide(*account.mutable_delegate());
  for (Account& child : *account.mutable_children()) Hide(child);
  for (auto& [name, other] : *account.mutable_by_name()) Hide(other);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  static const auto* const redactor =
      new grpccommon::Redactor(*Account::descriptor());
  const std::string_view bytes = grpccommon::fuzz::AsText(data, size);

  const std::string fault =
      grpccommon::internal::ExplainMalformed(*Account::descriptor(), bytes);
  Require(!fault.empty() && grpccommon::IsUtf8(fault));

  Account account;
  if (!account.ParseFromArray(data, static_cast<int>(size))) return 0;
  // What is no secret may hold it, too.
  if (bytes.find(kSecret) != std::string_view::npos) return 0;
  Hide(account);
  std::string whole;
  if (redactor->AppendJson(account, 1 << 20, whole)) {
    Require(nlohmann::json::accept(whole));
  }
  Require(whole.find(kSecret) == std::string::npos);
  std::string cut = "{";
  const bool fits = redactor->AppendJson(account, 100, cut);
  Require(fits == (whole.size() <= 100) && cut.size() <= 101);
  Require(grpccommon::IsUtf8(cut) && whole.starts_with(cut.substr(1)));
  return 0;
}
