// SPDX-License-Identifier: Apache-2.0
#include "services/execution/program_cache.h"

#include <openssl/sha.h>

#include <filesystem>
#include <iterator>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/utf8.h"
#include "re2/re2.h"

namespace platform::execution {
namespace {

using grpccommon::MutexLock;

// Of what a compiler said, callers get so much.
constexpr std::size_t kMaxOutputBytes = 16 << 10;

std::string KeyOf(const Language& language, const std::string& source) {
  // No language has a zero byte in its id.
  const std::string text =
      absl::StrCat(language.id, std::string(1, '\0'), language.version,
                   std::string(1, '\0'), source);
  std::string key(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(key.data()));
  return key;
}

std::int64_t BytesOf(const SandboxWorkspace* workspace) {
  if (workspace == nullptr) return 0;
  std::int64_t bytes = 0;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator
           file(workspace->folder(), error),
       end;
       !error && file != end; file.increment(error)) {
    std::error_code gone;
    if (file->is_regular_file(gone)) {
      bytes += static_cast<std::int64_t>(file->file_size(gone));
    }
  }
  return bytes;
}

// A compiler quotes the program, so this is somebody's text that others read.
std::string Shorten(std::string_view error, std::string_view output) {
  std::string text(error.substr(0, kMaxOutputBytes));
  text.append(output.substr(0, kMaxOutputBytes - text.size()));
  // What docs/platform_common.md says of texts of several lines.
  static const RE2* const hidden = new RE2(
      R"([\x00-\x08\x0b-\x1f\x7f-\x9f\x{2028}-\x{202e}\x{2066}-\x{2069}])");
  text = grpccommon::RepairUtf8(text);
  RE2::GlobalReplace(&text, *hidden, "?");
  return std::string(grpccommon::TruncateUtf8(text, kMaxOutputBytes));
}

// What a compiler could not say itself.
std::string_view WhyNot(SandboxOutcome outcome) {
  switch (outcome) {
    case SandboxOutcome::kCpuTimeLimit:
    case SandboxOutcome::kWallTimeLimit:
      return "the compiler took too long";
    case SandboxOutcome::kMemoryLimit:
      return "the compiler took too much memory";
    case SandboxOutcome::kOutputLimit:
      return "the compiler wrote too much";
    case SandboxOutcome::kProcessLimit:
      return "the compiler started too many processes";
    case SandboxOutcome::kSignalled:
      return "the compiler crashed";
    default:
      return "";
  }
}

}  // namespace

ProgramCache::ProgramCache(Sandbox& sandbox, const ProgramCacheOptions& options,
                           const ExecutionMetrics& metrics,
                           grpccommon::Logger logger)
    : sandbox_(sandbox),
      options_(options),
      metrics_(metrics),
      logger_(std::move(logger)) {}

ProgramCache::RequestId ProgramCache::Get(const Language& language,
                                          const std::string& source,
                                          Done done) {
  std::string key = KeyOf(language, source);
  std::shared_ptr<const Program> program;
  std::shared_ptr<Build> build;
  RequestId id;
  {
    const MutexLock lock(mutex_);
    id = ++last_request_;
    if (const auto known = known_.find(key); known != known_.end()) {
      built_.splice(built_.begin(), built_, known->second);
      program = known->second->program;
      metrics_.programs.hit->Increment();
    } else {
      std::shared_ptr<Build>& building = builds_[key];
      if (building != nullptr) {
        metrics_.programs.shared->Increment();
      } else {
        metrics_.programs.miss->Increment();
        building = build = std::make_shared<Build>();
        build->key = std::move(key);
      }
      building->waiters.push_back(
          {.id = id, .done = std::exchange(done, nullptr)});
      requests_[id] = building;
    }
  }
  if (done != nullptr) {
    done(std::move(program));
  } else if (build != nullptr) {
    Start(language, source, build, /*again=*/true);
  }
  return id;
}

void ProgramCache::Start(const Language& language, const std::string& source,
                         const std::shared_ptr<Build>& build, bool again) {
  auto workspace = sandbox_.CreateWorkspace();
  if (!workspace.ok()) return Finish(build, workspace.status(), false);
  build->workspace = *std::move(workspace);
  const auto run = sandbox_.Start(
      BuildRequest(language, source, build->workspace),
      [this, build, again, &language, source](const SandboxResult& result) {
        NoteRun(result, "build", metrics_, logger_);
        if (again && result.outcome == SandboxOutcome::kSandboxFailure) {
          return Start(language, source, build, /*again=*/false);
        }
        Finish(build, Judge(*build, result),
               result.outcome == SandboxOutcome::kExited);
      });
  if (!run.ok()) return Finish(build, run.status(), false);
  bool cancelled;
  {
    const MutexLock lock(mutex_);
    build->run = *run;
    cancelled = build->cancelled;
  }
  if (cancelled) sandbox_.Cancel(*run);
}

absl::StatusOr<std::shared_ptr<const Program>> ProgramCache::Judge(
    const Build& build, const SandboxResult& result) const {
  auto program = std::make_shared<Program>();
  program->compiler_output = Shorten(result.error, result.output);
  switch (result.outcome) {
    case SandboxOutcome::kCancelled:
      return absl::CancelledError("the build was cancelled");
    case SandboxOutcome::kSandboxFailure:
      return absl::InternalError(result.message);
    case SandboxOutcome::kExited:
      if (result.exit_code == 126 && !result.message.empty()) {
        return absl::InternalError(result.message);
      }
      if (result.exit_code == 0) program->workspace = build.workspace;
      break;
    default: {
      const std::string_view why = WhyNot(result.outcome);
      program->compiler_output.insert(0, std::string(why) + '\n');
      break;
    }
  }
  return program;
}

void ProgramCache::Finish(
    const std::shared_ptr<Build>& build,
    absl::StatusOr<std::shared_ptr<const Program>> program, bool keep) {
  if (!program.ok() && !absl::IsCancelled(program.status())) {
    logger_.Error("a program could not be built",
                  {{"error", std::string(program.status().message())}});
    program = absl::InternalError("the sandbox failed");
  }
  keep = keep && program.ok();
  const std::int64_t bytes =
      keep ? BytesOf((*program)->workspace.get()) : std::int64_t{0};
  std::vector<Waiter> waiters;
  std::list<Built> evicted;  // whose folders go without the lock
  {
    const MutexLock lock(mutex_);
    waiters.swap(build->waiters);
    for (const Waiter& waiter : waiters) requests_.erase(waiter.id);
    // Nobody waits for a cancelled one, and there may be another by now.
    const auto building = builds_.find(build->key);
    if (building != builds_.end() && building->second == build) {
      builds_.erase(building);
      if (keep) {
        built_.push_front(
            {.key = build->key, .program = *program, .bytes = bytes});
        known_[build->key] = built_.begin();
        bytes_ += bytes;
      }
    }
    while (built_.size() > options_.max_programs ||
           (bytes_ > options_.max_bytes && built_.size() > 1)) {
      bytes_ -= built_.back().bytes;
      known_.erase(built_.back().key);
      evicted.splice(evicted.end(), built_, std::prev(built_.end()));
    }
  }
  build->workspace.reset();
  for (Waiter& waiter : waiters) waiter.done(program);
}

void ProgramCache::Cancel(RequestId request) {
  Done done;
  Sandbox::RunId run = 0;
  {
    const MutexLock lock(mutex_);
    const auto found = requests_.find(request);
    if (found == requests_.end()) return;
    Build& build = *found->second;
    if (build.waiters.size() == 1) {
      // The waiter stays, to be told when nothing of the build is left.
      build.cancelled = true;
      run = build.run;
      const auto building = builds_.find(build.key);
      if (building != builds_.end() && building->second == found->second) {
        builds_.erase(building);
      }
    } else {
      for (auto waiter = build.waiters.begin(); waiter != build.waiters.end();
           ++waiter) {
        if (waiter->id != request) continue;
        done = std::move(waiter->done);
        build.waiters.erase(waiter);
        break;
      }
      requests_.erase(found);
    }
  }
  if (run != 0) sandbox_.Cancel(run);
  if (done != nullptr) done(absl::CancelledError("the build was cancelled"));
}

std::size_t ProgramCache::programs() const {
  const MutexLock lock(mutex_);
  return built_.size();
}

std::int64_t ProgramCache::bytes() const {
  const MutexLock lock(mutex_);
  return bytes_;
}

}  // namespace platform::execution
