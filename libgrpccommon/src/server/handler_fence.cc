// SPDX-License-Identifier: Apache-2.0
#include "server/handler_fence.h"

#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <typeinfo>

#include "base/grpc_compat.h"
#include "call/server_call_driver.h"
#include "google/protobuf/message.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/method_handler.h"
#include "grpcpp/support/sync_stream.h"
#include "server/grpc_access.h"
#include GRPCCOMMON_GRPC_CALLBACK_HANDLERS_H

// A handler keeps the application's function in a std::function whose signature
// names the request and reply types, of which it passes pointers only. Here the
// types are not known, and one stand-in serves for all of them: all pointers
// are passed alike, and the layout of these templates does not depend on their
// arguments. The name of the template is checked before it is relied on.
namespace grpccommon::internal {
namespace {

using google::protobuf::Message;
using grpc::ByteBuffer;
using grpc::CallbackServerContext;
using grpc::ServerContext;
using grpc::Status;

// The explicit instantiation of a template may name private members
// ([temp.spec]/6); the friend that it defines hands them out.
template <typename Kind, typename Kind::Member member>
struct Expose {
  friend typename Kind::Member MemberOf(Kind) { return member; }
};

// That the layout does not depend on the types, as far as a compiler can tell.
// clang-tidy takes the two for one.  NOLINTBEGIN(misc-redundant-expression)
template <typename One, typename Other>
constexpr bool kSameLayout = sizeof(One) == sizeof(Other) &&
                             alignof(One) == alignof(Other);
// NOLINTEND(misc-redundant-expression)

struct SyncUnary {
  static constexpr std::string_view kTemplate = "RpcMethodHandler";
  using Handler =
      grpc::internal::RpcMethodHandler<grpc::Service, ByteBuffer, ByteBuffer>;
  using Function = std::function<Status(grpc::Service*, ServerContext*,
                                        const ByteBuffer*, ByteBuffer*)>;
  using Member = Function Handler::*;
  friend Member MemberOf(SyncUnary);
};
template struct Expose<SyncUnary, &SyncUnary::Handler::func_>;
static_assert(
    kSameLayout<SyncUnary::Handler, grpc::internal::RpcMethodHandler<
                                        grpc::Service, Message, Message>>);

struct SyncClientStream {
  static constexpr std::string_view kTemplate = "ClientStreamingHandler";
  using Handler =
      grpc::internal::ClientStreamingHandler<grpc::Service, ByteBuffer,
                                             ByteBuffer>;
  using Function =
      std::function<Status(grpc::Service*, ServerContext*,
                           grpc::ServerReader<ByteBuffer>*, ByteBuffer*)>;
  using Member = Function Handler::*;
  friend Member MemberOf(SyncClientStream);
};
template struct Expose<SyncClientStream, &SyncClientStream::Handler::func_>;
static_assert(kSameLayout<SyncClientStream::Handler,
                          grpc::internal::ClientStreamingHandler<
                              grpc::Service, Message, Message>>);

struct SyncServerStream {
  static constexpr std::string_view kTemplate = "ServerStreamingHandler";
  using Handler =
      grpc::internal::ServerStreamingHandler<grpc::Service, ByteBuffer,
                                             ByteBuffer>;
  using Function =
      std::function<Status(grpc::Service*, ServerContext*, const ByteBuffer*,
                           grpc::ServerWriter<ByteBuffer>*)>;
  using Member = Function Handler::*;
  friend Member MemberOf(SyncServerStream);
};
template struct Expose<SyncServerStream, &SyncServerStream::Handler::func_>;
static_assert(kSameLayout<SyncServerStream::Handler,
                          grpc::internal::ServerStreamingHandler<
                              grpc::Service, Message, Message>>);

struct SyncBidi {
  static constexpr std::string_view kTemplate = "BidiStreamingHandler";
  using Handler = grpc::internal::TemplatedBidiStreamingHandler<
      grpc::ServerReaderWriter<ByteBuffer, ByteBuffer>, false>;
  using Function = std::function<Status(
      ServerContext*, grpc::ServerReaderWriter<ByteBuffer, ByteBuffer>*)>;
  using Member = Function Handler::*;
  friend Member MemberOf(SyncBidi);
};
template struct Expose<SyncBidi, &SyncBidi::Handler::func_>;
static_assert(
    kSameLayout<SyncBidi::Handler, grpc::internal::BidiStreamingHandler<
                                       grpc::Service, Message, Message>>);

struct CallbackUnary {
  static constexpr std::string_view kTemplate = "CallbackUnaryHandler";
  using Handler = grpc::internal::CallbackUnaryHandler<ByteBuffer, ByteBuffer>;
  using Function = std::function<grpc::ServerUnaryReactor*(
      CallbackServerContext*, const ByteBuffer*, ByteBuffer*)>;
  using Member = Function Handler::*;
  friend Member MemberOf(CallbackUnary);
};
template struct Expose<CallbackUnary, &CallbackUnary::Handler::get_reactor_>;
static_assert(
    kSameLayout<CallbackUnary::Handler,
                grpc::internal::CallbackUnaryHandler<Message, Message>>);

struct CallbackClientStream {
  static constexpr std::string_view kTemplate =
      "CallbackClientStreamingHandler";
  using Handler =
      grpc::internal::CallbackClientStreamingHandler<ByteBuffer, ByteBuffer>;
  using Function = std::function<grpc::ServerReadReactor<ByteBuffer>*(
      CallbackServerContext*, ByteBuffer*)>;
  using Member = Function Handler::*;
  friend Member MemberOf(CallbackClientStream);
};
template struct Expose<CallbackClientStream,
                       &CallbackClientStream::Handler::get_reactor_>;
static_assert(
    kSameLayout<
        CallbackClientStream::Handler,
        grpc::internal::CallbackClientStreamingHandler<Message, Message>>);

struct CallbackServerStream {
  static constexpr std::string_view kTemplate =
      "CallbackServerStreamingHandler";
  using Handler =
      grpc::internal::CallbackServerStreamingHandler<ByteBuffer, ByteBuffer>;
  using Function = std::function<grpc::ServerWriteReactor<ByteBuffer>*(
      CallbackServerContext*, const ByteBuffer*)>;
  using Member = Function Handler::*;
  friend Member MemberOf(CallbackServerStream);
};
template struct Expose<CallbackServerStream,
                       &CallbackServerStream::Handler::get_reactor_>;
static_assert(
    kSameLayout<
        CallbackServerStream::Handler,
        grpc::internal::CallbackServerStreamingHandler<Message, Message>>);

struct CallbackBidi {
  static constexpr std::string_view kTemplate = "CallbackBidiHandler";
  using Handler = grpc::internal::CallbackBidiHandler<ByteBuffer, ByteBuffer>;
  using Function =
      std::function<grpc::ServerBidiReactor<ByteBuffer, ByteBuffer>*(
          CallbackServerContext*)>;
  using Member = Function Handler::*;
  friend Member MemberOf(CallbackBidi);
};
template struct Expose<CallbackBidi, &CallbackBidi::Handler::get_reactor_>;
static_assert(
    kSameLayout<CallbackBidi::Handler,
                grpc::internal::CallbackBidiHandler<Message, Message>>);

void NoteException(const grpc::ServerContextBase& context,
                   std::string_view text) {
  ServerCall* const call = ServerCall::Of(context);
  if (call == nullptr) return;
  // Never empty: an empty text means that nothing was thrown.
  ServerCallDriver::set_exception(*call, text.empty() ? "(no text)" : text);
}

// Which of a handler's arguments is the context.
const grpc::ServerContextBase& ContextOf(CallbackServerContext* context, ...) {
  return *context;
}
const grpc::ServerContextBase& ContextOf(ServerContext* context, ...) {
  return *context;
}
template <typename... Rest>
const grpc::ServerContextBase& ContextOf(grpc::Service*, ServerContext* context,
                                         Rest...) {
  return *context;
}

Status Failed(const Status*) {
  return Status(grpc::StatusCode::INTERNAL, "internal error");
}
template <typename Reactor>
Reactor* Failed(Reactor* const*) {
  return nullptr;
}

template <typename Result, typename... Arguments>
struct Fence {
  std::function<Result(Arguments...)> inner;

  Result operator()(Arguments... arguments) const {
    try {
      return inner(arguments...);
    } catch (const std::exception& error) {
      NoteException(ContextOf(arguments...), error.what());
    } catch (...) {
      NoteException(ContextOf(arguments...), "not derived from std::exception");
    }
    return Failed(static_cast<const Result*>(nullptr));
  }
};

template <typename Result, typename... Arguments>
void FenceFunction(std::function<Result(Arguments...)>& function) {
  using Fenced = Fence<Result, Arguments...>;
  if (function.target_type() == typeid(Fenced)) return;
  function = Fenced{std::move(function)};
}

template <typename Kind>
bool TryFence(grpc::internal::MethodHandler& handler) {
  if (!IsInstance(handler, Kind::kTemplate)) return false;
  FenceFunction(static_cast<typename Kind::Handler&>(handler).*
                MemberOf(Kind()));
  return true;
}

template <typename... Kinds>
bool FenceOneOf(grpc::internal::MethodHandler& handler) {
  return (TryFence<Kinds>(handler) || ...);
}

}  // namespace

bool FenceHandler(grpc::internal::RpcServiceMethod& method) {
  return FenceOneOf<SyncUnary, SyncClientStream, SyncServerStream, SyncBidi,
                    CallbackUnary, CallbackClientStream, CallbackServerStream,
                    CallbackBidi>(*method.handler());
}

}  // namespace grpccommon::internal
