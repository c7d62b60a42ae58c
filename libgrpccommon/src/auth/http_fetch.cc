// SPDX-License-Identifier: Apache-2.0
#include "auth/http_fetch.h"

#include <curl/curl.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "grpccommon/base/string_view.h"

namespace grpccommon::internal {
namespace {

std::string_view Trim(std::string_view text) {
  return ToStd(absl::StripAsciiWhitespace(ToAbsl(text)));
}

// One transfer by libcurl, and what its callbacks collect.
class Transfer {
 public:
  Transfer(const HttpRequest& request, const std::atomic<bool>& stop)
      : request_(request), stop_(stop), curl_(curl_easy_init()) {
    if (curl_ == nullptr) return;
    Set(CURLOPT_URL, request.url.c_str());
    Set(CURLOPT_NOSIGNAL, 1L);
    Set(CURLOPT_FOLLOWLOCATION, 0L);
    Set(CURLOPT_ERRORBUFFER, error_);
    Set(CURLOPT_USERAGENT, "grpccommon");
    const auto timeout = static_cast<long>(
        std::chrono::duration_cast<std::chrono::milliseconds>(request.timeout)
            .count());
    Set(CURLOPT_TIMEOUT_MS, timeout);
    Set(CURLOPT_CONNECTTIMEOUT_MS, timeout);
    const char* const protocols = request.allow_http ? "http,https" : "https";
#if LIBCURL_VERSION_NUM >= 0x075500
    Set(CURLOPT_PROTOCOLS_STR, protocols);
#else
    Set(CURLOPT_PROTOCOLS, request.allow_http
                               ? long{CURLPROTO_HTTP | CURLPROTO_HTTPS}
                               : long{CURLPROTO_HTTPS});
    static_cast<void>(protocols);
#endif
    if (!request.ca_file.empty()) Set(CURLOPT_CAINFO, request.ca_file.c_str());
    if (request.form.has_value()) {
      // Sets the method and the content type, too.
      Set(CURLOPT_POSTFIELDSIZE, static_cast<long>(request.form->size()));
      Set(CURLOPT_POSTFIELDS, request.form->c_str());
    }
    if (!request.user.empty()) {
      Set(CURLOPT_HTTPAUTH, long{CURLAUTH_BASIC});
      Set(CURLOPT_USERNAME, request.user.c_str());
      Set(CURLOPT_PASSWORD, request.password.c_str());
    }
    Set(CURLOPT_WRITEFUNCTION, &OnBody);
    Set(CURLOPT_WRITEDATA, this);
    Set(CURLOPT_HEADERFUNCTION, &OnHeader);
    Set(CURLOPT_HEADERDATA, this);
    Set(CURLOPT_XFERINFOFUNCTION, &OnProgress);
    Set(CURLOPT_XFERINFODATA, this);
    Set(CURLOPT_NOPROGRESS, 0L);
  }
  ~Transfer() { curl_easy_cleanup(curl_); }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  absl::StatusOr<HttpAnswer> Perform() {
    if (curl_ == nullptr) return absl::ResourceExhaustedError("out of memory");
    const CURLcode result = curl_easy_perform(curl_);
    if (too_large_) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the answer is larger than ", request_.max_bytes, " bytes"));
    }
    if (result != CURLE_OK) {
      return absl::UnavailableError(
          error_[0] != '\0' ? error_ : curl_easy_strerror(result));
    }
    long code = 0;
    curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &code);
    HttpAnswer answer{.code = code, .body = std::move(body_)};
    if (const std::optional<std::int64_t> max_age =
            ParseMaxAge(cache_control_)) {
      // A cache on the way has used up `Age` of it.
      answer.lifetime =
          std::chrono::seconds(std::max<std::int64_t>(*max_age - age_, 0));
    }
    return answer;
  }

 private:
  template <typename Value>
  void Set(CURLoption option, Value value) {
    curl_easy_setopt(curl_, option, value);
  }

  static std::size_t OnBody(char* data, std::size_t size, std::size_t count,
                            void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    if (transfer.body_.size() + size * count > transfer.request_.max_bytes) {
      transfer.too_large_ = true;
      return 0;
    }
    transfer.body_.append(data, size * count);
    return size * count;
  }

  static std::size_t OnHeader(char* data, std::size_t size, std::size_t count,
                              void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    const std::string_view line(data, size * count);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return line.size();
    const absl::string_view name = ToAbsl(line.substr(0, colon));
    const std::string_view value = Trim(line.substr(colon + 1));
    if (absl::EqualsIgnoreCase(name, "cache-control")) {
      if (!transfer.cache_control_.empty()) transfer.cache_control_ += ",";
      transfer.cache_control_ += value;
    } else if (absl::EqualsIgnoreCase(name, "age")) {
      if (!absl::SimpleAtoi(ToAbsl(value), &transfer.age_) ||
          transfer.age_ < 0) {
        transfer.age_ = 0;
      }
    }
    return line.size();
  }

  static int OnProgress(void* self, curl_off_t, curl_off_t, curl_off_t,
                        curl_off_t) {
    return static_cast<Transfer*>(self)->stop_.load() ? 1 : 0;
  }

  const HttpRequest& request_;
  const std::atomic<bool>& stop_;
  CURL* const curl_;
  char error_[CURL_ERROR_SIZE] = {};
  std::string body_;
  std::string cache_control_;
  std::int64_t age_ = 0;
  bool too_large_ = false;
};

}  // namespace

std::optional<std::int64_t> ParseMaxAge(std::string_view cache_control) {
  std::optional<std::int64_t> max_age;
  for (const absl::string_view part :
       absl::StrSplit(ToAbsl(cache_control), ',')) {
    absl::string_view directive = absl::StripAsciiWhitespace(part);
    if (absl::EqualsIgnoreCase(directive, "no-store") ||
        absl::EqualsIgnoreCase(directive, "no-cache")) {
      return 0;
    }
    constexpr absl::string_view kMaxAge = "max-age=";
    if (!absl::StartsWithIgnoreCase(directive, kMaxAge)) continue;
    directive.remove_prefix(kMaxAge.size());
    std::int64_t seconds = 0;
    if (!absl::SimpleAtoi(directive, &seconds) || seconds < 0) continue;
    // Beyond a year it makes no difference, and nanoseconds must hold it.
    max_age = std::min(seconds, std::int64_t{366} * 24 * 3600);
  }
  return max_age;
}

absl::Status CheckFetch(std::string_view url, bool allow_http) {
  const bool https = url.starts_with("https://");
  if (!https && !(allow_http && url.starts_with("http://"))) {
    return absl::InvalidArgumentError(
        absl::StrCat("url must begin with https://",
                     allow_http ? " or http://" : " (or set allow_http)"));
  }
  if (url.find('@') != std::string_view::npos) {
    return absl::InvalidArgumentError(
        "url must not hold a user name or password");
  }
  static const CURLcode curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (curl_ready != CURLE_OK) {
    return absl::InternalError("libcurl cannot be initialised");
  }
  return absl::OkStatus();
}

absl::StatusOr<HttpAnswer> Fetch(const HttpRequest& request,
                                 const std::atomic<bool>& stop) {
  return Transfer(request, stop).Perform();
}

}  // namespace grpccommon::internal
