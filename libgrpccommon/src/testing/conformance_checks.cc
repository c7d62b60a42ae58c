// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/testing/conformance_checks.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <exception>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/message.h"
#include "google/protobuf/wrappers.pb.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/status/convert.h"
#include "grpcpp/support/status.h"

namespace grpccommon::testing {
namespace {

using google::protobuf::Message;
using google::protobuf::MethodDescriptor;
using grpc::StatusCode;

// More than any limit of a case; fewer where there are many ways.
constexpr int kCalls = 1000;
constexpr int kFewerCalls = 100;
constexpr int kMessages = 3;

constexpr std::array kKinds = {CallKind::kUnary, CallKind::kClientStream,
                               CallKind::kServerStream, CallKind::kBidiStream};

template <typename... Parts>
absl::Status Wrong(const Parts&... parts) {
  return absl::FailedPreconditionError(absl::StrCat(parts...));
}

// An interceptor is somebody else's code.
template <typename Check>
absl::Status Fenced(const Check& check) {
  try {
    return check();
  } catch (const std::exception& error) {
    return Wrong("a hook throws: ", error.what());
  } catch (...) {
    return Wrong("a hook throws");
  }
}

// Refuses calls that the one under test has let through.
class Another : public ServerInterceptor {
 public:
  std::string_view name() const override { return "another"; }
  Stage stage() const override { return Stage::kUser; }
};

// How a call ends that the interceptor under test has let through.
struct End {
  enum class By {
    kHandler,
    kAnother,           // at the start
    kAnotherAtMessage,  // at the second, where there are any
    kAnotherAtFinish,   // of an OK, after the reply
    kClient,            // goes away amid the messages
    kThrow,
  };
  std::string_view what = "ended well";
  By by = By::kHandler;
  StatusCode code = StatusCode::OK;
};

struct Outcome {
  // The interceptor's own, of the start or of a message.
  absl::Status verdict;
  // What it makes of the call's.
  grpc::Status status;
};

// One call, driven as the server does.
class DrivenCall {
 public:
  DrivenCall(ServerInterceptor& interceptor, const Hooks& hooks,
             FakeCallOptions options)
      : interceptor_(interceptor),
        hooks_(hooks),
        streams_in_(options.method.client_streams()),
        streams_out_(options.method.server_streams()),
        received_(options.request) {
    // Who gets no message of the one kind gets none of the other.
    if (options.method.descriptor != nullptr && received_ != nullptr) {
      sent_ =
          google::protobuf::MessageFactory::generated_factory()->GetPrototype(
              options.method.descriptor->output_type());
    }
    if (streams_in_) options.request = nullptr;
    call_.emplace(std::move(options));
  }

  absl::Status Start() {
    if (!streams_in_) call_->CountReceived(SizeOf(received_));
    if (hooks_.start) Judge(interceptor_.OnStart(**call_));
    return verdict_;
  }

  absl::Status Receive() {
    call_->CountReceived(SizeOf(received_));
    if (hooks_.received) Judge(interceptor_.OnReceived(**call_, received_));
    return verdict_;
  }

  void Send() {
    if (hooks_.sent) interceptor_.OnSent(**call_, sent_);
    call_->CountSent(SizeOf(sent_));
  }

  Outcome Finish(const End& end = {}) {
    Outcome outcome = {.verdict = verdict_};
    if (!verdict_.ok()) {
      outcome.status = ToGrpcStatus(call_->Sent(verdict_));
    } else if (end.code != StatusCode::OK) {
      outcome.status = grpc::Status(end.code, std::string(end.what));
    }
    if (hooks_.finish) interceptor_.OnFinish(**call_, outcome.status);
    return outcome;
  }

  // All of it.
  Outcome Run(const End& end) {
    if (Start().ok()) PassMessages(end);
    return Finish(end);
  }

 private:
  static std::size_t SizeOf(const Message* message) {
    return message != nullptr ? message->ByteSizeLong() : 1;
  }

  void Judge(absl::Status verdict) {
    verdict_ = std::move(verdict);
    if (!verdict_.ok()) call_->SetRefusedBy(&interceptor_);
  }

  void PassMessages(const End& end) {
    static const Another another;
    using By = End::By;
    bool going = end.by != By::kAnother;
    for (int i = 0; going && i < kMessages; ++i) {
      if (streams_in_ && !Receive().ok()) return;
      if (streams_out_) Send();
      going =
          i == 0 || (end.by != By::kAnotherAtMessage && end.by != By::kClient);
    }
    const bool replied =
        end.code == StatusCode::OK || end.by == By::kAnotherAtFinish;
    if (!streams_out_ && replied) Send();
    switch (end.by) {
      case By::kAnother:
      case By::kAnotherAtMessage:
        call_->SetRefusedBy(&another);
        break;
      case By::kClient:
        call_->Cancel();
        break;
      case By::kThrow:
        call_->SetException("thrown by a handler");
        break;
      case By::kHandler:
      case By::kAnotherAtFinish:
        break;
    }
  }

  ServerInterceptor& interceptor_;
  const Hooks hooks_;
  const bool streams_in_;
  const bool streams_out_;
  const Message* const received_;
  const Message* sent_ = nullptr;
  std::optional<FakeCall> call_;
  absl::Status verdict_;
};

// A new interceptor of a case, and the methods that it has registered.
class Subject {
 public:
  explicit Subject(const ConformanceCase& one) : interceptor_(one.make()) {}

  ServerInterceptor& interceptor() { return *interceptor_; }
  bool made() const { return interceptor_ != nullptr; }

  // Each at the next index, also if it is there already: the calls of a case
  // may differ in nothing but the contract.
  absl::Status Register(Method method) {
    method.index = methods_.size();
    // Interceptors may refer to it.
    methods_.push_back(std::make_unique<const Method>(std::move(method)));
    absl::StatusOr<Hooks> hooks = interceptor_->Register(*methods_.back());
    hooks_.push_back(hooks.value_or(Hooks::None()));
    if (hooks.ok()) return absl::OkStatus();
    return Wrong("it does not register ", methods_.back()->path, " of kind ",
                 ToAbsl(CallKindName(methods_.back()->kind)), ": ",
                 hooks.status().ToString());
  }

  const Hooks& hooks(std::size_t index) const { return hooks_[index]; }

  std::unique_ptr<DrivenCall> Call(std::size_t index, FakeCallOptions options) {
    options.method.index = index;
    return std::make_unique<DrivenCall>(*interceptor_, hooks_[index],
                                        std::move(options));
  }

  Outcome Run(std::size_t index, FakeCallOptions options, const End& end = {}) {
    return Call(index, std::move(options))->Run(end);
  }

 private:
  std::vector<std::unique_ptr<const Method>> methods_;
  std::vector<Hooks> hooks_;
  const std::shared_ptr<ServerInterceptor> interceptor_;
};

constexpr std::size_t kAdmitted = 0;
constexpr std::size_t kRefused = 1;

// Runs `check` with a new interceptor that has registered the case's methods.
template <typename Check>
absl::Status With(const ConformanceCase& one, const Check& check) {
  return Fenced([&]() -> absl::Status {
    Subject subject(one);
    if (!subject.made()) return Wrong("`make` makes nothing");
    absl::Status registered = subject.Register(one.admitted().method);
    if (one.refused) {
      registered.Update(subject.Register(one.refused().method));
    }
    return registered.ok() ? check(subject) : registered;
  });
}

// The call was admitted, and ended as `end`.
absl::Status Admitted(const Outcome& outcome, std::string_view when,
                      const End& end = {}) {
  if (!outcome.verdict.ok()) {
    return Wrong("it refuses an admitted call, ", ToAbsl(when), ": ",
                 outcome.verdict.ToString());
  }
  if (end.code == StatusCode::OK) {
    if (outcome.status.ok()) return absl::OkStatus();
    return Wrong("it makes an error of a call that ended well: ",
                 outcome.status.error_message());
  }
  if (!outcome.status.ok()) return absl::OkStatus();
  return Wrong("it makes an OK of a call that ", ToAbsl(end.what));
}

absl::Status Refused(const Outcome& outcome, std::string_view when) {
  if (outcome.verdict.ok()) {
    return Wrong("it admits a refused call, ", ToAbsl(when));
  }
  if (!outcome.status.ok()) return absl::OkStatus();
  return Wrong("it makes an OK of a call that it refused itself");
}

// Of each of `ends`, `calls` calls that end so, and one that ends well.
absl::Status CheckEnds(const ConformanceCase& one, const std::vector<End>& ends,
                       int calls) {
  for (const End& end : ends) {
    absl::Status status = With(one, [&](Subject& subject) {
      const std::string when =
          absl::StrCat("after some that ", ToAbsl(end.what));
      absl::Status kept;
      for (int i = 0; kept.ok() && i < calls; ++i) {
        kept = Admitted(subject.Run(kAdmitted, one.admitted(), end),
                        i == 0 ? "the first" : when, end);
      }
      if (!kept.ok()) return kept;
      return Admitted(subject.Run(kAdmitted, one.admitted()), when);
    });
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// A service of one method of each kind, whose messages are StringValue.
const MethodDescriptor& StandIn(CallKind kind) {
  static const google::protobuf::ServiceDescriptor* const service = [] {
    using google::protobuf::DescriptorPool;
    const auto* const text = google::protobuf::StringValue::descriptor();
    google::protobuf::FileDescriptorProto file;
    file.set_name("grpccommon/testing/conformance.proto");
    file.set_package("conformance.v1");
    file.set_syntax("proto3");
    file.add_dependency(text->file()->name());
    auto* const described = file.add_service();
    described->set_name("Service");
    for (const CallKind each : kKinds) {
      auto* const method = described->add_method();
      method->set_name(std::string(CallKindName(each)));
      method->set_input_type(
          absl::StrCat(".", ToAbsl(ToStd(text->full_name()))));
      method->set_output_type(
          absl::StrCat(".", ToAbsl(ToStd(text->full_name()))));
      method->set_client_streaming(each == CallKind::kClientStream ||
                                   each == CallKind::kBidiStream);
      method->set_server_streaming(each == CallKind::kServerStream ||
                                   each == CallKind::kBidiStream);
    }
    auto* const pool = new DescriptorPool(DescriptorPool::generated_pool());
    return pool->BuildFile(file)->service(0);
  }();
  return *service->method(static_cast<int>(kind));
}

// What the methods of a case are made to be.
enum class Shape {
  kOwn,      // as they are
  kTyped,    // with a descriptor and messages that have nothing to do with it
  kRaw,      // with the descriptor, but null messages
  kGeneric,  // without either
};

std::string_view ShapeName(Shape shape) {
  switch (shape) {
    case Shape::kOwn:
      return "its own";
    case Shape::kTyped:
      return "StringValue";
    case Shape::kRaw:
      return "raw";
    case Shape::kGeneric:
      break;
  }
  return "generic";
}

FakeCallOptions Shaped(FakeCallOptions options, CallKind kind, Shape shape) {
  if (shape == Shape::kOwn) return options;
  if (shape == Shape::kGeneric) {
    options.method.descriptor = nullptr;
  } else if (shape == Shape::kTyped || options.method.descriptor == nullptr ||
             kind != options.method.kind) {
    options.method.descriptor = &StandIn(kind);
  }
  options.method.kind = kind;
  options.request = shape == Shape::kTyped
                        ? &google::protobuf::StringValue::default_instance()
                        : nullptr;
  return options;
}

// Whether the case says what becomes of such calls.
bool Promised(const ConformanceCase& one, CallKind kind, Shape shape) {
  return shape == Shape::kOwn && one.admitted().method.kind == kind;
}

// Runs `check(subject, options)` for calls of every shape that `kinds` have,
// with an interceptor that has registered their method. One that serves no such
// method may say so, unless the case has it.
template <typename Check>
absl::Status WithEveryShape(const ConformanceCase& one,
                            const std::vector<CallKind>& kinds,
                            const Check& check) {
  for (const CallKind kind : kinds) {
    for (const Shape shape :
         {Shape::kOwn, Shape::kTyped, Shape::kRaw, Shape::kGeneric}) {
      const bool promised = Promised(one, kind, shape);
      if (shape == Shape::kOwn && !promised) continue;
      const auto options = [&] { return Shaped(one.admitted(), kind, shape); };
      const absl::Status status = Fenced([&]() -> absl::Status {
        Subject subject(one);
        if (!subject.made()) return Wrong("`make` makes nothing");
        const absl::Status registered = subject.Register(options().method);
        if (!registered.ok() && !promised) return absl::OkStatus();
        return registered.ok() ? check(subject, options, promised) : registered;
      });
      if (!status.ok()) {
        return Wrong("calls of kind ", ToAbsl(CallKindName(kind)),
                     ", messages ", ToAbsl(ShapeName(shape)), ": ",
                     status.message());
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckName(const ConformanceCase& subject) {
  return With(subject, [](Subject& made) {
    const std::string name(made.interceptor().name());
    if (name.empty()) return Wrong("its name is empty");
    for (const char c : name) {
      if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_') {
        return Wrong("its name, ", name, ", is not lower_snake_case");
      }
    }
    if (made.interceptor().name() != name) return Wrong("its name changes");
    if (StageName(made.interceptor().stage()) == "unknown") {
      return Wrong("its stage is none");
    }
    return absl::OkStatus();
  });
}

absl::Status CheckRegistration(const ConformanceCase& subject) {
  return Fenced([&]() -> absl::Status {
    Subject made(subject);
    if (!made.made()) return Wrong("`make` makes nothing");
    absl::Status status;
    for (const CallKind kind : kKinds) {
      Method method;
      method.path =
          "/conformance.v1.Service/" + std::string(CallKindName(kind));
      method.service = "conformance.v1.Service";
      method.name = CallKindName(kind);
      method.kind = kind;
      status.Update(made.Register(std::move(method)));
    }
    return status;
  });
}

absl::Status CheckAdmission(const ConformanceCase& subject) {
  return With(subject, [&](Subject& made) {
    return Admitted(made.Run(kAdmitted, subject.admitted()), "the first");
  });
}

absl::Status CheckGivesBack(const ConformanceCase& subject) {
  return With(subject, [&](Subject& made) {
    absl::Status status;
    for (int i = 0; status.ok() && i < 10 * kCalls; ++i) {
      status = Admitted(made.Run(kAdmitted, subject.admitted()),
                        absl::StrCat("after ", i, " that ended well"));
    }
    return status;
  });
}

absl::Status CheckRefusal(const ConformanceCase& subject) {
  if (!subject.refused) return absl::OkStatus();
  return With(subject, [&](Subject& made) {
    const Outcome outcome = made.Run(kRefused, subject.refused());
    absl::Status status = Refused(outcome, "the first");
    if (!status.ok()) return status;
    if (outcome.status.error_message().empty()) {
      return Wrong("its refusal has no message");
    }
    if (outcome.status.error_code() == StatusCode::UNKNOWN) {
      return Wrong("its refusal is UNKNOWN");
    }
    return status;
  });
}

absl::Status CheckManyRefusals(const ConformanceCase& subject) {
  if (!subject.refused) return absl::OkStatus();
  return With(subject, [&](Subject& made) {
    constexpr std::string_view kAfter = "after many refused ones";
    constexpr std::string_view kAmid = "amid refused and admitted ones";
    absl::Status status;
    for (int i = 0; status.ok() && i < kCalls; ++i) {
      status = Refused(made.Run(kRefused, subject.refused()),
                       i == 0 ? "the first" : kAfter);
    }
    if (!status.ok()) return status;
    status = Admitted(made.Run(kAdmitted, subject.admitted()), kAfter);
    for (int i = 0; status.ok() && i < kCalls; ++i) {
      const auto running = made.Call(kAdmitted, subject.admitted());
      running->Start().IgnoreError();
      status = Refused(made.Run(kRefused, subject.refused()), kAmid);
      status.Update(Admitted(running->Finish(), kAmid));
    }
    return status;
  });
}

absl::Status CheckAtOnce(const ConformanceCase& subject) {
  if (subject.at_once <= 0) return absl::OkStatus();
  return With(subject, [&](Subject& made) {
    std::vector<std::unique_ptr<DrivenCall>> running;
    const auto start = [&] {
      running.push_back(made.Call(kAdmitted, subject.admitted()));
      return running.back()->Start();
    };
    const auto finish = [&] {
      Outcome outcome = running.back()->Finish();
      running.pop_back();
      return outcome;
    };
    for (int round = 0; round < 3; ++round) {
      const std::string_view when =
          round == 0 ? "the first" : "after many that were one too many";
      while (static_cast<int>(running.size()) < subject.at_once) {
        if (!start().ok()) {
          return Wrong("it refuses a call while ", running.size() - 1, " of ",
                       subject.at_once, " run, ", ToAbsl(when));
        }
      }
      for (int i = 0; i < kCalls; ++i) {
        if (start().ok()) {
          return Wrong("it admits more than ", subject.at_once,
                       " calls at once, ", ToAbsl(i == 0 ? when : "in time"));
        }
        absl::Status refused = Refused(finish(), when);
        if (!refused.ok()) return refused;
      }
      // One leaves, then all.
      for (int i = 0; i < (round == 0 ? 1 : subject.at_once); ++i) {
        absl::Status ended = Admitted(finish(), when);
        if (!ended.ok()) return ended;
      }
    }
    return absl::OkStatus();
  });
}

absl::Status CheckCallsOthersEnded(const ConformanceCase& subject) {
  return CheckEnds(
      subject,
      {{"another interceptor refused", End::By::kAnother,
        StatusCode::PERMISSION_DENIED},
       {"another interceptor refused with a message",
        End::By::kAnotherAtMessage, StatusCode::INVALID_ARGUMENT},
       {"another interceptor made an error of", End::By::kAnotherAtFinish,
        StatusCode::UNAVAILABLE},
       {"the client cancelled", End::By::kClient, StatusCode::CANCELLED},
       {"the deadline ended", End::By::kClient, StatusCode::DEADLINE_EXCEEDED}},
      kCalls);
}

absl::Status CheckErrors(const ConformanceCase& subject) {
  std::vector<End> ends = {{"threw", End::By::kThrow, StatusCode::INTERNAL}};
  std::vector<std::string> texts;
  constexpr int kCodes = 16;
  texts.reserve(kCodes);
  for (int code = 1; code <= kCodes; ++code) {
    const auto failed = static_cast<StatusCode>(code);
    texts.push_back(absl::StrCat("ended with ", ToAbsl(CodeName(failed))));
    ends.push_back({texts.back(), End::By::kHandler, failed});
  }
  return CheckEnds(subject, ends, kFewerCalls);
}

absl::Status CheckMessages(const ConformanceCase& subject) {
  static constexpr std::array kEnds = {
      End{},
      End{"the handler failed", End::By::kHandler, StatusCode::NOT_FOUND},
      End{"another interceptor refused with a message",
          End::By::kAnotherAtMessage, StatusCode::INVALID_ARGUMENT},
      End{"the client cancelled", End::By::kClient, StatusCode::CANCELLED}};
  return WithEveryShape(
      subject, {kKinds.begin(), kKinds.end()},
      [](Subject& made, const auto& options, bool promised) -> absl::Status {
        absl::Status first;
        for (int i = 0; i < 4 * kFewerCalls; ++i) {
          const End& end = kEnds[static_cast<std::size_t>(i) % kEnds.size()];
          const Outcome outcome = made.Run(0, options(), end);
          if (i == 0) first = outcome.verdict;
          const std::string_view when =
              i == 0 ? "the first" : "after some that ended in various ways";
          absl::Status status = first.ok() || promised
                                    ? Admitted(outcome, when, end)
                                    : Refused(outcome, when);
          if (!status.ok()) return status;
        }
        return absl::OkStatus();
      });
}

absl::Status CheckBothWaysAtOnce(const ConformanceCase& subject) {
  return WithEveryShape(
      subject, {CallKind::kBidiStream},
      [](Subject& made, const auto& options, bool promised) -> absl::Status {
        if (!made.hooks(0).received || !made.hooks(0).sent) {
          return absl::OkStatus();
        }
        for (int i = 0; i < 20; ++i) {
          const auto call = made.Call(0, options());
          absl::Status fence;
          if (call->Start().ok()) {
            std::thread receiver([&] {
              fence = Fenced([&] {
                for (int n = 0; n < 20 && call->Receive().ok(); ++n) {
                }
                return absl::OkStatus();
              });
            });
            const absl::Status sent = Fenced([&] {
              for (int n = 0; n < 20; ++n) call->Send();
              return absl::OkStatus();
            });
            receiver.join();
            fence.Update(sent);
          }
          const Outcome outcome = call->Finish();
          if (promised || outcome.verdict.ok()) {
            fence.Update(Admitted(outcome, "both ways at once"));
          }
          if (!fence.ok()) return fence;
        }
        return absl::OkStatus();
      });
}

absl::Status CheckThreads(const ConformanceCase& subject) {
  return With(subject, [&](Subject& made) {
    Mutex mutex;
    absl::Status status;
    const auto run = [&] {
      absl::Status mine;
      for (int i = 0; mine.ok() && i < kCalls; ++i) {
        mine = Fenced([&] {
          return Admitted(made.Run(kAdmitted, subject.admitted()),
                          "with several threads");
        });
        if (!subject.refused) continue;
        mine.Update(Fenced([&] {
          return Refused(made.Run(kRefused, subject.refused()),
                         "with several threads");
        }));
      }
      const MutexLock lock(mutex);
      status.Update(mine);
    };
    const int count = subject.at_once > 0 ? std::min(subject.at_once, 4) : 4;
    std::vector<std::thread> threads;
    threads.reserve(static_cast<std::size_t>(count));
    for (int t = 0; t < count; ++t) threads.emplace_back(run);
    for (std::thread& thread : threads) thread.join();
    return status;
  });
}

}  // namespace grpccommon::testing
