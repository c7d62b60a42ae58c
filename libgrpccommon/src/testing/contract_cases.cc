// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/testing/contract_cases.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <memory>
#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "grpccommon/auth/reasons.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/v1/options.pb.h"
#include "testing/field_place.h"
#include "testing/field_values.h"

namespace grpccommon::testing {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::MessageFactory;
using google::protobuf::MethodDescriptor;
using google::protobuf::Reflection;
using internal::Append;
using internal::Broken;
using internal::BrokenValues;
using internal::Field;
using internal::IndexText;
using internal::MessageAt;
using internal::Place;
using internal::PlaceOf;
using internal::Set;
using internal::Underivable;
using internal::ValidValues;
using internal::Value;

// A role that no contract has.
constexpr char kOtherRole[] = "contract-check-stranger";

// Messages within messages that a valid one may need.
constexpr int kMaxDepth = 32;
class Deriver {
 public:
  explicit Deriver(const ContractCaseOptions& options) : options_(options) {}

  absl::Status Derive(const MethodDescriptor& descriptor) {
    absl::StatusOr<MethodPolicy> policy = CompilePolicy(descriptor);
    if (!policy.ok()) return policy.status();
    method_ = MethodOf(descriptor, *std::move(policy));
    AccessRule& access = method_.policy.access;
    if (access.kind == AccessRule::Kind::kDefault) {
      access = options_.default_access;
    }
    prototype_ = MessageFactory::generated_factory()->GetPrototype(
        descriptor.input_type());
    if (prototype_ == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(method_.path, ": its request is not compiled in"));
    }
    const absl::StatusOr<std::unique_ptr<Message>> valid = Valid();
    if (!valid.ok()) return valid.status();
    valid_ = (*valid)->SerializeAsString();

    DeriveAccess();
    if (!method_.client_streams() || !method_.policy.handler_checks_messages) {
      const std::size_t first = result_.cases.size();
      absl::Status status = DeriveFields(
          *descriptor.input_type(), "", false, {descriptor.input_type()},
          [](Message& root) -> absl::StatusOr<Message*> { return &root; });
      if (!status.ok()) return status;
      DeriveTooMany(first);
    } else {
      DeriveTooMany(result_.cases.size());
    }
    if (method_.policy.max_request_bytes.has_value()) DeriveTooLarge();
    return absl::OkStatus();
  }

  ContractCases Take() && { return std::move(result_); }

 private:
  // Makes a message's fields, so that a rule can be broken in one of them.
  using Reach = std::function<absl::StatusOr<Message*>(Message& root)>;

  static Method MethodOf(const MethodDescriptor& descriptor,
                         MethodPolicy policy) {
    Method method;
    method.service = ToStd(descriptor.service()->full_name());
    method.name = ToStd(descriptor.name());
    method.path = "/" + method.service + "/" + method.name;
    method.descriptor = &descriptor;
    method.policy = std::move(policy);
    if (descriptor.client_streaming()) {
      method.kind = descriptor.server_streaming() ? CallKind::kBidiStream
                                                  : CallKind::kClientStream;
    } else if (descriptor.server_streaming()) {
      method.kind = CallKind::kServerStream;
    }
    return method;
  }

  ContractCase Case(ContractCase::Kind kind, std::string name) const {
    const AccessRule& access = method_.policy.access;
    ContractCase one{.kind = kind,
                     .method = method_,
                     .name = std::move(name),
                     .request = valid_,
                     .anonymous = access.kind == AccessRule::Kind::kPublic};
    if (!access.roles.empty()) {
      one.roles = {access.roles.front()};
    } else if (!access.scopes.empty()) {
      one.scopes = {access.scopes.front()};
    }
    return one;
  }

  void DeriveAccess() {
    const AccessRule& access = method_.policy.access;
    using Kind = ContractCase::Kind;
    switch (access.kind) {
      case AccessRule::Kind::kPublic:
        result_.cases.push_back(Case(Kind::kValid, "valid, anonymous"));
        return;
      case AccessRule::Kind::kAnyOf:
        for (const std::string& role : access.roles) {
          ContractCase one = Case(Kind::kValid, "valid, as " + role);
          one.roles = {role};
          result_.cases.push_back(std::move(one));
        }
        for (const std::string& scope : access.scopes) {
          ContractCase one =
              Case(Kind::kValid, "valid, with the scope " + scope);
          one.roles.clear();
          one.scopes = {scope};
          result_.cases.push_back(std::move(one));
        }
        result_.cases.push_back(WrongRole(Kind::kWrongRole, "wrong role"));
        break;
      default:
        result_.cases.push_back(Case(Kind::kValid, "valid"));
        break;
    }
    ContractCase nobody = Case(Kind::kAnonymous, "anonymous");
    nobody.anonymous = true;
    nobody.roles.clear();
    nobody.scopes.clear();
    nobody.code = grpc::StatusCode::UNAUTHENTICATED;
    nobody.reason = auth_reason::kCredentialMissing;
    result_.cases.push_back(std::move(nobody));
  }

  ContractCase WrongRole(ContractCase::Kind kind, std::string name) const {
    ContractCase one = Case(kind, std::move(name));
    one.roles = {kOtherRole};
    one.scopes = {kOtherRole};
    one.code = grpc::StatusCode::PERMISSION_DENIED;
    one.reason = auth_reason::kRoleMissing;
    one.mentions = method_.policy.access.roles;
    one.mentions.insert(one.mentions.end(),
                        method_.policy.access.scopes.begin(),
                        method_.policy.access.scopes.end());
    return one;
  }

  // By calls that are refused for something else, where there is anything: a
  // rate limit counts those as well, and handlers are left alone.
  void DeriveTooMany(std::size_t first_field_case) {
    if (!method_.policy.rate_limit.has_value()) return;
    constexpr char kName[] = "too many";
    ContractCase one = Case(ContractCase::Kind::kTooMany, kName);
    if (method_.policy.access.kind == AccessRule::Kind::kAnyOf) {
      one = WrongRole(ContractCase::Kind::kTooMany, kName);
    } else if (first_field_case < result_.cases.size()) {
      one.request =
          std::min_element(result_.cases.begin() +
                               static_cast<std::ptrdiff_t>(first_field_case),
                           result_.cases.end(),
                           [](const ContractCase& a, const ContractCase& b) {
                             return a.request.size() < b.request.size();
                           })
              ->request;
    }
    one.burst = method_.policy.rate_limit->burst;
    one.code = grpc::StatusCode::RESOURCE_EXHAUSTED;
    one.reason = "RATE_LIMITED";
    one.mentions.clear();
    result_.cases.push_back(std::move(one));
  }

  // By a field that nobody knows, which changes nothing else.
  void DeriveTooLarge() {
    const std::size_t limit = *method_.policy.max_request_bytes;
    ContractCase one = Case(ContractCase::Kind::kTooLarge, "too large");
    // A field of the last number that there is, as few bytes as are too many.
    constexpr std::string_view kTag("\xfa\xff\xff\xff\x0f", 5);
    constexpr std::size_t kMaxVarint = 10;
    std::size_t padding = 1;
    const auto size = [&] {
      return valid_.size() + kTag.size() + Varint(padding).size() + padding;
    };
    if (size() + kMaxVarint <= limit) padding += limit - size() - kMaxVarint;
    while (size() <= limit) ++padding;
    one.request.append(kTag);
    one.request.append(Varint(padding));
    one.request.append(padding, 'x');
    if (one.request.size() > options_.max_receive_message_bytes) {
      // gRPC has the first word, and says this in its own way.
      one.code = grpc::StatusCode::RESOURCE_EXHAUSTED;
    } else {
      one.code = grpc::StatusCode::INVALID_ARGUMENT;
      one.reason = "REQUEST_TOO_LARGE";
    }
    result_.cases.push_back(std::move(one));
  }

  static std::string Varint(std::size_t number) {
    std::string bytes;
    for (; number > 0x7f; number >>= 7) {
      bytes.push_back(static_cast<char>(0x80 | (number & 0x7f)));
    }
    bytes.push_back(static_cast<char>(number));
    return bytes;
  }

  absl::StatusOr<std::unique_ptr<Message>> Valid() const {
    std::unique_ptr<Message> message(prototype_->New());
    absl::Status status = Fill(*message, 0);
    if (!status.ok()) return status;
    return message;
  }

  // Adds what a message needs to be valid.
  absl::Status Fill(Message& message, int depth) const {
    const Descriptor& type = *message.GetDescriptor();
    if (depth > kMaxDepth) {
      return absl::InvalidArgumentError(absl::StrCat(
          ToAbsl(ToStd(type.full_name())), " needs itself without an end"));
    }
    for (int i = 0; i < type.field_count(); ++i) {
      const Field field(*type.field(i));
      if (!field.contract->required() && field.needed() == 0) continue;
      absl::Status status = Provide(message, field, field.needed(), depth);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // Sees to it that `field` is set and valid; a repeated one, with at least
  // `count` elements, all different if need be.
  absl::Status Provide(Message& message, const Field& field, int count,
                       int depth) const {
    const Reflection& reflection = *message.GetReflection();
    if (!field.repeated()) {
      if (reflection.HasField(message, field.descriptor)) {
        return absl::OkStatus();
      }
      count = 1;
    }
    const int is =
        field.repeated() ? reflection.FieldSize(message, field.descriptor) : 0;
    if (is >= count) return absl::OkStatus();
    std::vector<Value> values;
    if (field.message == nullptr) {
      absl::StatusOr<std::vector<Value>> made =
          ValidValues(field, static_cast<std::size_t>(count), ExampleOf(field));
      if (!made.ok()) return made.status();
      values = *std::move(made);
      if (field.contract->items().unique() &&
          values.size() < static_cast<std::size_t>(count)) {
        return Underivable(field, absl::StrCat(count, " different values"));
      }
    }
    for (int i = is; i < count; ++i) {
      if (field.repeated()) Append(message, *field.descriptor, i);
      const Place place = PlaceOf(message, field, i);
      if (field.message == nullptr) {
        Set(place, values[static_cast<std::size_t>(i) % values.size()]);
        continue;
      }
      absl::Status status = Fill(MessageAt(place), depth + 1);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // Null if none was given.
  const std::string* ExampleOf(const Field& field) const {
    const auto example =
        options_.examples.find(std::string(field.descriptor->full_name()));
    return example == options_.examples.end() ? nullptr : &example->second;
  }

  absl::Status DeriveFields(const Descriptor& type, const std::string& prefix,
                            bool secret,
                            const std::set<const Descriptor*>& within,
                            const Reach& reach) {
    for (int i = 0; i < type.field_count(); ++i) {
      const Field field(*type.field(i));
      const std::string path =
          prefix + std::string(ToStd(type.field(i)->name()));
      const bool hidden = secret || field.contract->secret();
      if (HasRequiredSibling(*field.descriptor)) {
        LeaveOut(path, "another field of the same oneof is required");
        continue;
      }
      absl::Status status = DerivePresence(field, path, reach);
      if (status.ok()) status = DeriveItems(field, path, reach);
      if (status.ok()) status = DeriveValues(field, path, hidden, reach);
      if (!status.ok()) return status;
      if (field.message == nullptr || within.contains(field.message)) continue;
      std::set<const Descriptor*> deeper = within;
      deeper.insert(field.message);
      status = DeriveFields(
          *field.message,
          absl::StrCat(path, field.repeated() ? IndexText(field, hidden) : "",
                       "."),
          hidden, deeper,
          [this, &reach, &field](Message& root) -> absl::StatusOr<Message*> {
            const absl::StatusOr<Message*> parent = reach(root);
            if (!parent.ok()) return parent.status();
            const absl::Status made =
                Provide(**parent, field, std::max(1, field.needed()), 0);
            if (!made.ok()) return made;
            return &MessageAt(PlaceOf(**parent, field, 0));
          });
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  static bool HasRequiredSibling(const FieldDescriptor& field) {
    const auto* const oneof = field.real_containing_oneof();
    if (oneof == nullptr) return false;
    for (int i = 0; i < oneof->field_count(); ++i) {
      if (oneof->field(i) != &field &&
          Field(*oneof->field(i)).contract->required()) {
        return true;
      }
    }
    return false;
  }

  absl::Status DerivePresence(const Field& field, const std::string& path,
                              const Reach& reach) {
    if (!field.contract->required()) return absl::OkStatus();
    return Break(path, path, "missing", reach, [&field](Message& message) {
      message.GetReflection()->ClearField(&message, field.descriptor);
      return absl::OkStatus();
    });
  }

  absl::Status DeriveItems(const Field& field, const std::string& path,
                           const Reach& reach) {
    const v1::ItemRules& items = field.contract->items();
    const int minimum = static_cast<int>(items.min());
    absl::Status status;
    if (minimum > (field.contract->required() ? 1 : 0)) {
      status.Update(Break(
          path, path, "too few", reach,
          [this, &field, minimum](Message& message) {
            absl::Status made = Provide(message, field, minimum, 0);
            const Reflection& reflection = *message.GetReflection();
            while (reflection.FieldSize(message, field.descriptor) >= minimum) {
              reflection.RemoveLast(&message, field.descriptor);
            }
            return made;
          }));
    }
    if (items.max() > 0) {
      status.Update(Break(path, path, "too many items", reach,
                          [this, &field, &items](Message& message) {
                            return Provide(message, field,
                                           static_cast<int>(items.max()) + 1,
                                           0);
                          }));
    }
    if (items.unique() && items.max() != 1) {
      status.Update(Break(path, path + "[1]", "repeated", reach,
                          [this, &field](Message& message) -> absl::Status {
                            absl::Status made = Provide(message, field, 2, 0);
                            const absl::StatusOr<std::vector<Value>> values =
                                ValidValues(field, 1, ExampleOf(field));
                            if (!values.ok()) return values.status();
                            for (const int i : {0, 1}) {
                              Set(PlaceOf(message, field, i), values->front());
                            }
                            return made;
                          }));
    }
    return status;
  }

  absl::Status DeriveValues(const Field& field, const std::string& path,
                            bool secret, const Reach& reach) {
    std::vector<std::string> unbreakable;
    const absl::StatusOr<std::vector<Broken>> broken =
        BrokenValues(field, ExampleOf(field), unbreakable);
    if (!broken.ok()) return broken.status();
    const std::string place =
        field.repeated() ? path + IndexText(field, secret) : path;
    for (const std::string& why : unbreakable) LeaveOut(place, why);
    absl::Status status;
    for (const Broken& one : *broken) {
      status.Update(Break(place, place, one.label, reach,
                          [this, &field, &one](Message& message) {
                            absl::Status made = Provide(
                                message, field, std::max(1, field.needed()), 0);
                            if (made.ok()) {
                              Set(PlaceOf(message, field, 0), one.value);
                            }
                            return made;
                          }));
    }
    return status;
  }

  // A case with a message that is valid but for what `change` does to the part
  // of it that `reach` leads to.
  absl::Status Break(const std::string& path, const std::string& violation,
                     const std::string& label, const Reach& reach,
                     const std::function<absl::Status(Message&)>& change) {
    absl::StatusOr<std::unique_ptr<Message>> root = Valid();
    if (!root.ok()) return root.status();
    const absl::StatusOr<Message*> part = reach(**root);
    if (!part.ok()) return part.status();
    absl::Status changed = change(**part);
    if (!changed.ok()) return changed;
    ContractCase one =
        Case(ContractCase::Kind::kField, absl::StrCat(path, ": ", label));
    one.request = (*root)->SerializeAsString();
    const std::size_t limit = method_.policy.max_request_bytes.value_or(
        std::numeric_limits<std::size_t>::max());
    if (one.request.size() >
        std::min(limit, options_.max_receive_message_bytes)) {
      LeaveOut(path, label + " (the request would be too large as a whole)");
      return absl::OkStatus();
    }
    one.code = grpc::StatusCode::INVALID_ARGUMENT;
    one.reason = "INVALID_FIELDS";
    one.field = violation;
    result_.cases.push_back(std::move(one));
    return absl::OkStatus();
  }

  void LeaveOut(const std::string& path, std::string_view why) {
    result_.left_out.push_back(
        absl::StrCat(method_.path, " ", path, ": ", ToAbsl(why)));
  }

  const ContractCaseOptions& options_;
  ContractCases result_;
  // Of the method at hand.
  Method method_;
  const Message* prototype_ = nullptr;
  std::string valid_;
};

}  // namespace

absl::StatusOr<ContractCases> DeriveContractCases(
    const google::protobuf::ServiceDescriptor& service,
    const ContractCaseOptions& options) {
  Deriver deriver(options);
  for (int i = 0; i < service.method_count(); ++i) {
    absl::Status status = deriver.Derive(*service.method(i));
    if (!status.ok()) return status;
  }
  return std::move(deriver).Take();
}

}  // namespace grpccommon::testing
