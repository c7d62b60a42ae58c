// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/testing/fake_client_call.h"

#include <utility>

#include "call/client_call_driver.h"

namespace grpccommon::testing {
namespace {

using Driver = internal::ClientCallDriver;

std::optional<std::string> LastValue(const MetadataList& metadata,
                                     std::string_view key) {
  for (auto entry = metadata.rbegin(); entry != metadata.rend(); ++entry) {
    if (entry->first == key) return entry->second;
  }
  return std::nullopt;
}

}  // namespace

struct FakeClientCall::State {
  explicit State(FakeClientCallOptions o) : options(std::move(o)) {}

  const FakeClientCallOptions options;
  ClientCall call{Driver::Key()};
  std::string endpoint;
  std::unique_ptr<ClientAttempt> attempt;
};

FakeClientCall::FakeClientCall(FakeClientCallOptions options)
    : state_(std::make_unique<State>(std::move(options))) {
  const FakeClientCallOptions& given = state_->options;
  const Clock& clock = given.clock != nullptr ? *given.clock : SteadyClock();
  Driver::Start(state_->call, given.method, given.target, given.parent, clock,
                given.logger);
  Driver::set_request(state_->call, given.request);
  Driver::set_secure(state_->call, given.secure);
  Driver::set_forward_credentials(state_->call, given.forward_credentials);
  if (given.timeout.has_value()) {
    Driver::set_deadline(state_->call, clock.Now() + *given.timeout);
  }
}

FakeClientCall::~FakeClientCall() = default;

ClientCall& FakeClientCall::operator*() { return state_->call; }

std::optional<std::string> FakeClientCall::metadata(
    std::string_view key) const {
  return LastValue(state_->call.metadata(), key);
}

ClientAttempt& FakeClientCall::StartAttempt(std::string endpoint, bool hedged) {
  state_->endpoint = std::move(endpoint);
  state_->attempt = std::make_unique<ClientAttempt>();
  Driver::StartAttempt(state_->call, *state_->attempt, state_->endpoint, hedged,
                       state_->call.clock().Now());
  return *state_->attempt;
}

std::optional<std::string> FakeClientCall::attempt_metadata(
    std::string_view key) const {
  if (state_->attempt == nullptr) return std::nullopt;
  return LastValue(Driver::metadata(*state_->attempt), key);
}

const google::protobuf::MessageLite* FakeClientCall::answer() const {
  return Driver::answer(state_->call);
}

void FakeClientCall::CountSent() { Driver::CountSent(state_->call); }

void FakeClientCall::CountReceived() { Driver::CountReceived(state_->call); }

void FakeClientCall::SetRefusedBy(const ClientInterceptor* interceptor) {
  Driver::set_refused_by(state_->call, interceptor);
}

void FakeClientCall::SetEndpoint(std::string_view endpoint) {
  Driver::set_endpoint(state_->call, endpoint);
}

}  // namespace grpccommon::testing
