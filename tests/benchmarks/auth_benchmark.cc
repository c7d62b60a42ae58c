// SPDX-License-Identifier: Apache-2.0
// What finding out who calls costs: OpenSSL alone, and all that we do.
#include <benchmark/benchmark.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "auth/key_material.h"
#include "auth/openssl.h"
#include "benchmarks/count_allocations.h"
#include "benchmarks/micro_benchmark.h"
#include "benchmarks/summary.h"
#include "grpccommon/auth/authenticator.h"
#include "grpccommon/auth/authorize_interceptor.h"
#include "grpccommon/auth/jwt.h"
#include "grpccommon/auth/jwt_signer.h"
#include "grpccommon/base/base64.h"
#include "grpccommon/testing/fake_call.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;

const JwtSigner& Signer(JwtAlgorithm algorithm) {
  static const auto* const signers = [] {
    auto* all = new std::vector<JwtSigner>();
    for (const JwtAlgorithm each :
         {JwtAlgorithm::kHs256, JwtAlgorithm::kRs256, JwtAlgorithm::kPs256,
          JwtAlgorithm::kEs256, JwtAlgorithm::kEdDsa}) {
      all->push_back(*JwtSigner::Generate(each, "key-1"));
    }
    return all;
  }();
  return (*signers)[static_cast<std::size_t>(algorithm)];
}

std::string Token(JwtAlgorithm algorithm) {
  return *Signer(algorithm).Sign(
      {.subject = "0198c2f1-7b7a-7cc1-9e1d-0f1e2d3c4b5a",
       .issuer = "https://issuer.example",
       .audiences = {"shop"},
       .issued_at = SteadyClock().WallNow(),
       .expires_at = SteadyClock().WallNow() + 1h,
       .roles = {"user", "admin"},
       .scopes = {"orders.read", "orders.write"},
       .attributes = {{"email", "alice@example.com"}}});
}

JwtAuthenticatorOptions Options() {
  return {
      .verifier = {.issuer = "https://issuer.example", .audiences = {"shop"}}};
}

JwtAlgorithm AlgorithmOf(benchmark::State& state) {
  const auto algorithm = static_cast<JwtAlgorithm>(state.range(0));
  state.SetLabel(std::string(JwtAlgorithmName(algorithm)));
  return algorithm;
}

// OpenSSL as one would call it with the key kept, on signing input and decoded
// signature: what no verifier can do without.
class Openssl {
 public:
  Openssl(JwtAlgorithm algorithm, const std::string& token)
      : algorithm_(algorithm),
        message_(token.substr(0, token.rfind('.'))),
        signature_(*Base64UrlDecode(
            std::string_view(token).substr(token.rfind('.') + 1))),
        key_(*internal::KeyFromJwk(
            nlohmann::json::parse(Signer(algorithm).PrivateJwk()),
            internal::KeyUse::kVerify)) {
    if (algorithm != JwtAlgorithm::kEs256) return;
    // To DER once, by OpenSSL.
    ECDSA_SIG* const sig = ECDSA_SIG_new();
    ECDSA_SIG_set0(sig, BN_bin2bn(internal::Bytes(signature_), 32, nullptr),
                   BN_bin2bn(internal::Bytes(signature_) + 32, 32, nullptr));
    unsigned char* der = nullptr;
    const int size = i2d_ECDSA_SIG(sig, &der);
    signature_.assign(reinterpret_cast<char*>(der),
                      static_cast<std::size_t>(size));
    OPENSSL_free(der);
    ECDSA_SIG_free(sig);
  }

  bool Verify() const {
    if (algorithm_ == JwtAlgorithm::kHs256) {
      unsigned char mac[32];
      unsigned int size = 0;
      HMAC(EVP_sha256(), key_.secret.data(),
           static_cast<int>(key_.secret.size()), internal::Bytes(message_),
           message_.size(), mac, &size);
      return CRYPTO_memcmp(mac, signature_.data(), size) == 0;
    }
    const internal::DigestContextPtr context(EVP_MD_CTX_new());
    EVP_PKEY_CTX* parameters = nullptr;
    EVP_DigestVerifyInit(
        context.get(), &parameters,
        algorithm_ == JwtAlgorithm::kEdDsa ? nullptr : EVP_sha256(), nullptr,
        key_.pkey.get());
    if (algorithm_ == JwtAlgorithm::kPs256) {
      EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING);
      EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST);
    }
    return EVP_DigestVerify(context.get(), internal::Bytes(signature_),
                            signature_.size(), internal::Bytes(message_),
                            message_.size()) == 1;
  }

 private:
  const JwtAlgorithm algorithm_;
  const std::string message_;
  std::string signature_;
  const internal::KeyMaterial key_;
};

std::chrono::nanoseconds TimeOf(const std::function<void()>& run) {
  const auto begin = std::chrono::steady_clock::now();
  run();
  return std::chrono::steady_clock::now() - begin;
}

// A token that no cache knows, next to OpenSSL alone: the time is that of both,
// the difference the median of those within each iteration.
void BM_Miss(benchmark::State& state) {
  const JwtAlgorithm algorithm = AlgorithmOf(state);
  const auto keys =
      CreateStaticKeySource(JwkSet({Signer(algorithm).verification_key()}));
  const auto verifier = *JwtVerifier::Create(Options().verifier, *keys);
  const std::string token = Token(algorithm);
  const Openssl openssl(algorithm, token);
  bool good = true;
  std::uint64_t allocations = 0;
  const std::function<void()> ours = [&] {
    const std::uint64_t before = thread_allocations;
    good &= verifier->Verify(token, SteadyClock().WallNow()).ok();
    allocations += thread_allocations - before;
  };
  const std::function<void()> bare = [&] { good &= openssl.Verify(); };
  std::vector<double> more;
  more.reserve(static_cast<std::size_t>(state.max_iterations));
  for (auto _ : state) {
    // Neither is always the one that finds the caches as the other left them.
    const bool ours_first = more.size() % 2 == 0;
    const std::chrono::nanoseconds first = TimeOf(ours_first ? ours : bare);
    const std::chrono::nanoseconds second = TimeOf(ours_first ? bare : ours);
    const auto difference = ours_first ? first - second : second - first;
    more.push_back(static_cast<double>(difference.count()));
  }
  if (!good) state.SkipWithError("not verified");
  state.counters["over_openssl_ns"] = bench::Summarise(std::move(more)).median;
  bench::ReportAllocations(state, allocations);
}
BENCHMARK(BM_Miss)->DenseRange(0, 4);

// A token that comes again: everything that `Authenticate` does.
void BM_Hit(benchmark::State& state) {
  static Authenticator* jwt = nullptr;
  const JwtAlgorithm algorithm = AlgorithmOf(state);
  if (state.thread_index() == 0) {
    jwt = CreateJwtAuthenticator(CreateStaticKeySource(JwkSet(
                                     {Signer(algorithm).verification_key()})),
                                 Options())
              ->release();
  }
  testing::FakeCall call(
      {.metadata = {{"authorization", "Bearer " + Token(algorithm)}}});
  std::uint64_t before = 0;
  for (auto _ : state) {
    if (before == 0) {
      benchmark::DoNotOptimize(jwt->Authenticate(*call));
      before = thread_allocations;
    }
    const auto principal = jwt->Authenticate(*call);
    if (!principal.ok()) state.SkipWithError("not verified");
    benchmark::DoNotOptimize(principal);
  }
  bench::ReportAllocations(state, thread_allocations - before);
  if (state.thread_index() == 0) delete jwt;
}
BENCHMARK(BM_Hit)->Arg(0)->Arg(1)->Arg(3)->Arg(4);
BENCHMARK(BM_Hit)->Arg(1)->Threads(2);

// The lookup of a hit that a million other tokens have pushed out of the
// processor's caches.
void BM_HitAmongMany(benchmark::State& state) {
  const auto cache =
      *TokenCache::Create({.max_entries = 1 << 20, .max_bytes = 4ull << 30});
  const auto principal =
      std::make_shared<const Principal>(Principal{.subject = "alice"});
  const VerifiedToken verified{.principal = principal,
                               .valid_from = Clock::WallTime::min(),
                               .valid_until = Clock::WallTime::max()};
  std::vector<std::string> tokens;
  const std::string token = Token(JwtAlgorithm::kRs256);
  for (int i = 0; i < 65536; ++i) {
    tokens.push_back(token + std::to_string(i));
    cache->Insert(tokens.back(), 0, verified);
  }
  std::size_t i = 0;
  for (auto _ : state) {
    const std::string& next = tokens[(i += 7919) % tokens.size()];
    benchmark::DoNotOptimize(cache->Find(next, 0, SteadyClock().WallNow()));
  }
}
BENCHMARK(BM_HitAmongMany);

void BM_ApiKey(benchmark::State& state) {
  const auto keys = CreateApiKeyAuthenticator(
      *ApiKeySet::Create({{.name = "ci", .sha256 = HashApiKey("the-key")}}));
  testing::FakeCall call({.metadata = {{"x-api-key", "the-key"}}});
  for (auto _ : state) benchmark::DoNotOptimize(keys->Authenticate(*call));
}
BENCHMARK(BM_ApiKey);

void BM_MegabyteToken(benchmark::State& state) {
  const auto jwt = *CreateJwtAuthenticator(
      CreateStaticKeySource(
          JwkSet({Signer(JwtAlgorithm::kHs256).verification_key()})),
      Options());
  testing::FakeCall call(
      {.metadata = {{"authorization", "Bearer " + std::string(1 << 20, 'a')}}});
  for (auto _ : state) benchmark::DoNotOptimize(jwt->Authenticate(*call));
}
BENCHMARK(BM_MegabyteToken);

void Authorize(benchmark::State& state, AccessRule rule) {
  static AuthorizeInterceptor* interceptor = nullptr;
  static const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  Method method;
  method.path = "/shop.v1.OrderService/Refund";
  method.policy.access = std::move(rule);
  if (state.thread_index() == 0) {
    interceptor = AuthorizeInterceptor::Create({}, *scheduler)->release();
    if (!interceptor->Register(method).ok()) state.SkipWithError("register");
  }
  testing::FakeCall call({.method = method});
  call->set_principal(std::make_shared<const Principal>(
      Principal{.subject = "alice", .roles = {"user", "support"}}));
  for (auto _ : state) benchmark::DoNotOptimize(interceptor->OnStart(*call));
  if (state.thread_index() == 0) delete interceptor;
}
void BM_AuthorizeByRole(benchmark::State& state) {
  Authorize(state, {.kind = AccessRule::Kind::kAnyOf, .roles = {"support"}});
}
BENCHMARK(BM_AuthorizeByRole);
BENCHMARK(BM_AuthorizeByRole)->Threads(2);
void BM_AuthorizeRefused(benchmark::State& state) {
  Authorize(state, {.kind = AccessRule::Kind::kAnyOf, .roles = {"admin"}});
}
BENCHMARK(BM_AuthorizeRefused);

const bool kPromised = [] {
  std::vector<bench::Promise> promises;
  for (int i = 0; i <= static_cast<int>(JwtAlgorithm::kEdDsa); ++i) {
    const std::string name(JwtAlgorithmName(static_cast<JwtAlgorithm>(i)));
    const std::string argument = "/" + std::to_string(i);
    promises.push_back({.what = "a cached token of " + name,
                        .benchmark = "BM_Hit" + argument,
                        .at_most = 300});
    promises.push_back({.what = "a new token of " + name + ", over OpenSSL",
                        .benchmark = "BM_Miss" + argument,
                        .at_most = 5000,
                        .counter = "over_openssl_ns"});
  }
  return bench::AddPromises(std::move(promises));
}();

}  // namespace
}  // namespace grpccommon
