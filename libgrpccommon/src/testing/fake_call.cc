// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/testing/fake_call.h"

#include "call/server_call_driver.h"
#include "grpccommon/status/convert.h"
#include "grpcpp/server_context.h"
#include "grpcpp/test/server_context_test_spouse.h"

namespace grpccommon::testing {

struct FakeCall::State {
  explicit State(FakeCallOptions o) : options(std::move(o)) {}

  const FakeCallOptions options;
  grpc::ServerContext context;
  grpc::testing::ServerContextTestSpouse spouse{&context};
  ServerCall call{internal::ServerCallDriver::Key()};
};

FakeCall::FakeCall(FakeCallOptions options)
    : state_(std::make_unique<State>(std::move(options))) {
  for (const auto& [key, value] : state_->options.metadata) {
    state_->spouse.AddClientMetadata(key, value);
  }
  const Clock& clock =
      state_->options.clock != nullptr ? *state_->options.clock : SteadyClock();
  internal::ServerCallDriver::Bind(state_->call, state_->context, state_.get());
  internal::ServerCallDriver::set_peer(state_->call, state_->options.peer);
  internal::ServerCallDriver::Start(
      state_->call, state_->options.method, state_->options.method.path,
      state_->options.request, clock, state_->options.logger);
  if (state_->options.timeout.has_value()) {
    internal::ServerCallDriver::set_deadline(
        state_->call, clock.Now() + *state_->options.timeout);
  }
}

FakeCall::~FakeCall() { internal::ServerCallDriver::Unbind(state_->call); }

ServerCall& FakeCall::operator*() { return state_->call; }

std::multimap<std::string, std::string> FakeCall::trailing_metadata() const {
  return state_->spouse.GetTrailingMetadata();
}

std::multimap<std::string, std::string> FakeCall::initial_metadata() const {
  return state_->spouse.GetInitialMetadata();
}

absl::Status FakeCall::Sent(const absl::Status& status) const {
  return FromGrpcStatus(
      internal::ServerCallDriver::StatusOfRefusal(state_->call, status));
}

void FakeCall::CountReceived(std::uint64_t bytes) {
  internal::ServerCallDriver::CountReceived(state_->call, bytes);
}

void FakeCall::CountSent(std::uint64_t bytes) {
  internal::ServerCallDriver::CountSent(state_->call, bytes);
}

void FakeCall::SetRefusedBy(const ServerInterceptor* interceptor) {
  internal::ServerCallDriver::set_refused_by(state_->call, interceptor);
}

void FakeCall::SetException(std::string_view text) {
  internal::ServerCallDriver::set_exception(state_->call, text);
}

void FakeCall::Cancel() {
  internal::ServerCallDriver::set_cancelled(state_->call);
}

}  // namespace grpccommon::testing
