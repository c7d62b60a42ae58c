// SPDX-License-Identifier: Apache-2.0
// A client's update: any mask, any message. What the mask may not name stays.
#include <cstdint>
#include <string>

#include "call/secrets.pb.h"
#include "fuzz/fuzz.h"
#include "google/protobuf/field_mask.pb.h"
#include "google/protobuf/util/message_differencer.h"
#include "grpccommon/validate/updatable_fields.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using google::protobuf::util::MessageDifferencer;
  using grpccommon::UpdatableFields;
  using grpccommon::fuzz::Require;
  using grpccommon::test::v1::Account;
  static const auto* const fields =
      new UpdatableFields(*UpdatableFields::Create(
          *Account::descriptor(), {"name", "children", "by_name", "extra",
                                   "partner.name", "partner.partner"}));
  std::string_view input = grpccommon::fuzz::AsText(data, size);

  const std::string_view mask_bytes = grpccommon::fuzz::TakeChunk(input);
  google::protobuf::FieldMask mask;
  Account source;
  if (!mask.ParseFromArray(mask_bytes.data(),
                           static_cast<int>(mask_bytes.size())) ||
      !source.ParseFromArray(input.data(), static_cast<int>(input.size()))) {
    return 0;
  }
  Account before;
  before.set_name("n");
  before.set_password("p");
  before.set_token("t");
  before.add_children()->set_pin(1);
  before.mutable_partner()->set_password("q");
  Account after = before;
  const absl::Status status = fields->Apply(mask, source, after);
  Require(status == fields->Check(mask));
  if (!status.ok()) {
    Require(status.code() == absl::StatusCode::kInvalidArgument);
    Require(MessageDifferencer::Equals(before, after));
    return 0;
  }
  for (Account* const account : {&before, &after}) {
    account->clear_name();
    account->clear_children();
    account->clear_by_name();
    account->clear_extra();
    account->mutable_partner()->clear_name();
    account->mutable_partner()->clear_partner();
  }
  Require(MessageDifferencer::Equals(before, after));
  return 0;
}
