// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/status/convert.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "services/common/store_queue.h"

// How a unary handler gets its answer out of a store without blocking:
// ```
// grpc::ServerUnaryReactor* TaskService::GetTask(
//     grpc::CallbackServerContext* context, const GetTaskRequest* request,
//     Task* response) {
//   return ReadAndAnswer(
//       store_, *context,
//       [request](TaskStore& store) { return store.Get(request->id()); },
//       [response](const Task& task) { *response = ToProto(task); });
// }
// ```
namespace platform::common {

/// Ends a unary call with `status`, which may be OK.
inline grpc::ServerUnaryReactor* Finish(grpc::CallbackServerContext& context,
                                        const absl::Status& status) {
  auto* const reactor = context.DefaultReactor();
  reactor->Finish(grpccommon::ToGrpcStatus(status));
  return reactor;
}

/// What a call ends with whose handler threw on a thread of ours, where the
/// library does not see it: INTERNAL, as elsewhere. The text goes to the log.
absl::Status HandlerThrew(const grpc::CallbackServerContext& context,
                          const std::exception& error);

/// Answers a unary call by a job that reads: `read` gets a Store& and returns a
/// StatusOr, whose value `answer` gets if there is one; its error is the
/// call's. Both run on a thread of the queue, unless the call is cancelled
/// before; request and response live until then.
///
/// The call is refused with RESOURCE_EXHAUSTED if too many jobs wait.
template <typename Store, typename Read, typename Answer>
grpc::ServerUnaryReactor* ReadAndAnswer(StoreQueue<Store>& queue,
                                        grpc::CallbackServerContext& context,
                                        Read read, Answer answer) {
  auto* const reactor = context.DefaultReactor();
  const absl::Status added =
      queue.Read([&context, reactor, read = std::move(read),
                  answer = std::move(answer)](Store& store) mutable {
        if (context.IsCancelled()) {  // while it waited
          return reactor->Finish(
              grpccommon::ToGrpcStatus(absl::CancelledError()));
        }
        absl::Status end;
        try {
          auto result = read(store);
          end = result.status();
          if (result.ok()) answer(*std::move(result));
        } catch (const std::exception& error) {
          end = HandlerThrew(context, error);
        }
        reactor->Finish(grpccommon::ToGrpcStatus(end));
      });
  if (!added.ok()) reactor->Finish(grpccommon::ToGrpcStatus(added));
  return reactor;
}

/// Answers a unary call by a job that writes: `write` gets a Store& and returns
/// a StatusOr or a Status, perhaps twice (see StoreQueue); with an error all
/// that it did is undone. `answer` gets the value (of a Status: nothing) once
/// it is committed, on the writing thread, in the order of the commits: the
/// place to tell watchers. It must not block.
///
/// Nothing is written for a call that was cancelled before its turn.
///
/// For a call whose handler has returned `reactor` already: another step, such
/// as a call of another service, came before.
template <typename Store, typename Write, typename Answer>
void WriteAndAnswer(StoreQueue<Store>& queue,
                    grpc::CallbackServerContext& context,
                    grpc::ServerUnaryReactor* reactor, Write write,
                    Answer answer) {
  using Result = std::invoke_result_t<Write&, Store&>;
  constexpr bool kHasValue = !std::is_same_v<Result, absl::Status>;
  const auto result = std::make_shared<Result>(absl::UnknownError("not run"));
  const absl::Status added =
      queue.Write({.run = [&context, result, write = std::move(write)](
                              Store& store) mutable -> absl::Status {
                     if (context.IsCancelled()) {  // while it waited
                       return absl::CancelledError("the client has gone");
                     }
                     try {
                       *result = write(store);
                     } catch (const std::exception& error) {
                       *result = HandlerThrew(context, error);
                     }
                     if constexpr (kHasValue) {
                       return result->status();
                     } else {
                       return *result;
                     }
                   },
                   .done =
                       [&context, reactor, result, answer = std::move(answer)](
                           const absl::Status& committed) mutable {
                         absl::Status end = committed;
                         try {
                           if constexpr (kHasValue) {
                             if (end.ok()) answer(**std::move(result));
                           } else {
                             if (end.ok()) answer();
                           }
                         } catch (const std::exception& error) {
                           end = HandlerThrew(context, error);
                         }
                         reactor->Finish(grpccommon::ToGrpcStatus(end));
                       }});
  if (!added.ok()) reactor->Finish(grpccommon::ToGrpcStatus(added));
}

/// The same as the only step.
template <typename Store, typename Write, typename Answer>
grpc::ServerUnaryReactor* WriteAndAnswer(StoreQueue<Store>& queue,
                                         grpc::CallbackServerContext& context,
                                         Write write, Answer answer) {
  auto* const reactor = context.DefaultReactor();
  WriteAndAnswer(queue, context, reactor, std::move(write), std::move(answer));
  return reactor;
}

}  // namespace platform::common
