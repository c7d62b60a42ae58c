// SPDX-License-Identifier: Apache-2.0
#include "client/client_chain.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "call/client_call_driver.h"
#include "call/interceptor_fence.h"
#include "grpccommon/base/string_view.h"

namespace grpccommon::internal {
namespace {

absl::StatusOr<ClientHooks> RegisterFenced(ClientInterceptor& interceptor,
                                           const Method& method) {
  try {
    return interceptor.Register(method);
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  } catch (...) {
    return absl::InternalError("not derived from std::exception");
  }
}

}  // namespace

absl::Status MethodChain::Start(ClientCall& call, std::size_t& started) const {
  started = 0;
  for (const Step& step : steps_) {
    ++started;
    if (!step.hooks.start) continue;
    absl::Status status = Fenced(call, *step.interceptor, [&] {
      return step.interceptor->OnStart(call);
    });
    if (!status.ok()) {
      ClientCallDriver::DropAnswer(call);
      ClientCallDriver::set_refused_by(call, step.interceptor.get());
      return status;
    }
    if (call.answered()) break;
  }
  return absl::OkStatus();
}

absl::Status MethodChain::AttemptStart(ClientCall& call, ClientAttempt& attempt,
                                       std::size_t& started) const {
  started = 0;
  if (!wants_attempts_) return absl::OkStatus();
  for (const Step& step : steps_) {
    ++started;
    if (!step.hooks.attempts) continue;
    absl::Status status = Fenced(call, *step.interceptor, [&] {
      return step.interceptor->OnAttemptStart(call, attempt);
    });
    if (!status.ok()) {
      ClientCallDriver::set_refused_by(call, step.interceptor.get());
      return status;
    }
  }
  return absl::OkStatus();
}

void MethodChain::AttemptEnd(ClientCall& call, ClientAttempt& attempt,
                             const grpc::Status& status,
                             std::size_t started) const {
  for (std::size_t i = started; i-- > 0;) {
    const Step& step = steps_[i];
    if (!step.hooks.attempts) continue;
    Fenced(call, *step.interceptor, [&] {
      step.interceptor->OnAttemptEnd(call, attempt, status);
      return absl::OkStatus();
    }).IgnoreError();
  }
}

void MethodChain::MessageSent(ClientCall& call) const {
  if (!wants_messages_) return;
  for (const Step& step : steps_) {
    if (!step.hooks.messages) continue;
    Fenced(call, *step.interceptor, [&] {
      step.interceptor->OnMessageSent(call);
      return absl::OkStatus();
    }).IgnoreError();
  }
}

void MethodChain::MessageReceived(ClientCall& call) const {
  if (!wants_messages_) return;
  for (const Step& step : steps_) {
    if (!step.hooks.messages) continue;
    Fenced(call, *step.interceptor, [&] {
      step.interceptor->OnMessageReceived(call);
      return absl::OkStatus();
    }).IgnoreError();
  }
}

void MethodChain::Finish(ClientCall& call, grpc::Status& status,
                         std::size_t started) const {
  for (std::size_t i = started; i-- > 0;) {
    const Step& step = steps_[i];
    if (!step.hooks.finish) continue;
    const bool failed = !status.ok();
    grpc::Status failure;
    if (failed) failure = status;
    Fenced(call, *step.interceptor, [&] {
      step.interceptor->OnFinish(call, status);
      return absl::OkStatus();
    }).IgnoreError();
    if (failed && status.ok()) status = std::move(failure);
  }
}

void ClientChain::Add(std::shared_ptr<ClientInterceptor> interceptor,
                      Selector selector) {
  const auto place =
      std::upper_bound(used_.begin(), used_.end(), interceptor->stage(),
                       [](Stage stage, const Used& used) {
                         return stage < used.interceptor->stage();
                       });
  used_.insert(place, {std::move(interceptor), std::move(selector)});
}

absl::StatusOr<std::unique_ptr<const MethodChain>> ClientChain::Compile(
    const Method& method) const {
  auto chain = std::make_unique<MethodChain>();
  for (const Used& used : used_) {
    if (!used.selector(method)) continue;
    absl::StatusOr<ClientHooks> hooks =
        RegisterFenced(*used.interceptor, method);
    if (!hooks.ok()) {
      return absl::Status(
          hooks.status().code(),
          absl::StrCat(ToAbsl(used.interceptor->name()), " on ", method.path,
                       ": ", hooks.status().message()));
    }
    if (!hooks->any()) continue;
    MethodChain::Step step;
    step.interceptor = std::exchange(hooks->for_method, nullptr);
    if (step.interceptor == nullptr) step.interceptor = used.interceptor;
    step.hooks = *std::move(hooks);
    chain->wants_attempts_ |= step.hooks.attempts;
    chain->wants_messages_ |= step.hooks.messages;
    chain->steps_.push_back(std::move(step));
  }
  return std::unique_ptr<const MethodChain>(std::move(chain));
}

}  // namespace grpccommon::internal
