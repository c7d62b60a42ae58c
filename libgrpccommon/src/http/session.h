// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/wait_traits.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "grpccommon/base/mutex.h"
#include "grpccommon/http/http_server.h"
#include "grpccommon/http/router.h"

namespace grpccommon::internal {

namespace net = boost::asio;
using Tcp = net::ip::tcp;
using Strand = net::strand<net::io_context::executor_type>;
using Socket = net::basic_stream_socket<Tcp, Strand>;
using ErrorCode = boost::system::error_code;

class Session;

// What the sessions of one server share. A handler may hold its writer for
// longer than the server lives, so the sessions own this together.
struct HttpCore {
  HttpCore(const HttpServerOptions& server_options, Router server_router)
      : options(server_options),
        router(std::move(server_router)),
        io(options.threads) {}

  enum class Admission { kServe, kRefuse, kDrop };
  // What to do with a connection just accepted.
  Admission Add(const std::shared_ptr<Session>& session);
  // The socket of `from` has moved on to `to`.
  void Replace(const Session& from, const std::shared_ptr<Session>& to);
  void Remove(const Session& session);
  std::vector<std::shared_ptr<Session>> Sessions();

  const HttpServerOptions options;
  const Router router;
  net::io_context io;

  std::atomic<std::int64_t> requests{0};
  std::atomic<std::int64_t> refused{0};
  std::atomic<bool> draining{false};

  Mutex mutex;
  CondVar changed;
  struct Entry {
    std::weak_ptr<Session> session;
    bool refused = false;
  };
  std::unordered_map<const Session*, Entry> sessions ABSL_GUARDED_BY(mutex);
  int refusing ABSL_GUARDED_BY(mutex) = 0;
};

// One open socket: a Connection or a WebSocketSession.
//
// Everything happens on its strand. Handles that applications hold reach it by
// `Run`, which takes nothing more once the session is closed; so when all
// sessions are closed the io_context runs dry and its threads end.
class Session : public std::enable_shared_from_this<Session> {
 public:
  virtual ~Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Both on the strand: finish what runs and close; close now.
  virtual void Drain() = 0;
  virtual void Abort() = 0;

  // Runs `function` on the strand: at once if that is where the caller is.
  // Returns false, having dropped it, if the session is closed.
  template <typename Function>
  bool Run(Function function) {
    if (strand_.running_in_this_thread()) {
      if (closed()) return false;
      function();
      return true;
    }
    const MutexLock lock(mutex_);
    if (closed_) return false;
    net::post(strand_, std::move(function));
    return true;
  }

  const Strand& strand() const { return strand_; }

 protected:
  Session(std::shared_ptr<HttpCore> core, Strand strand)
      : core_(std::move(core)), strand_(std::move(strand)) {}

  bool closed() {
    const MutexLock lock(mutex_);
    return closed_;
  }
  // False if it was closed already.
  bool MarkClosed() {
    const MutexLock lock(mutex_);
    return !std::exchange(closed_, true);
  }

  HttpCore& core() { return *core_; }
  const HttpServerOptions& options() const { return core_->options; }
  const std::shared_ptr<HttpCore>& shared_core() const { return core_; }

  // A callback of the application, fenced.
  template <typename Callback, typename... Arguments>
  void Call(const Callback& callback, Arguments&&... arguments) {
    if (callback == nullptr) return;
    try {
      callback(std::forward<Arguments>(arguments)...);
    } catch (const std::exception& error) {
      options().logger.Error("http callback threw", {{"error", error.what()}});
    } catch (...) {
      options().logger.Error("http callback threw");
    }
  }

 private:
  // First, so that it goes last: sockets and timers refer to its io_context.
  const std::shared_ptr<HttpCore> core_;
  const Strand strand_;
  Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

// A time-out that can be moved. The owner must be alive while it is set, which
// it is as each wait holds it.
class Deadline {
 public:
  explicit Deadline(const Strand& strand) : timer_(strand) {}

  template <typename Owner>
  void Set(std::chrono::nanoseconds after, std::shared_ptr<Owner> owner,
           void (Owner::*on_passed)()) {
    timer_.expires_after(after);
    timer_.async_wait(
        [this, owner = std::move(owner), on_passed](const ErrorCode& error) {
          // A wait that was over before it could be cancelled arrives all the
          // same.
          if (error || timer_.expiry() > std::chrono::steady_clock::now())
            return;
          (owner.get()->*on_passed)();
        });
  }
  void Clear() {
    timer_.expires_at(std::chrono::steady_clock::time_point::max());
  }

 private:
  net::basic_waitable_timer<std::chrono::steady_clock,
                            net::wait_traits<std::chrono::steady_clock>, Strand>
      timer_;
};

}  // namespace grpccommon::internal
