// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/server/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "grpccommon/testing/status_matchers.h"

namespace grpccommon {
namespace {

using grpccommon::testing::IsOk;
using grpccommon::testing::MessageIs;
using grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(ConfigTest, ReadsEveryKindOfValueAndKeepsTheRest) {
  const auto options =
      ApplyJson({.name = "base", .version = "7"},
                R"({"grpc_address": "[::]:1", "grace_period": "1.5s",
          "max_receive_message_bytes": "8MiB", "max_metadata_bytes": 4096,
          "reflection": false, "log_level": "warning", "compression": "gzip",
          "tls": {"certificate_file": "c", "private_key_file": "k"},
          "keepalive": {"time": "5m"}, "app": {"anything": [1]}})");
  ASSERT_THAT(options, IsOk());
  EXPECT_EQ(options->name, "base");
  EXPECT_EQ(options->version, "7");
  EXPECT_EQ(options->grpc_address, "[::]:1");
  EXPECT_EQ(options->grace_period, 1500ms);
  EXPECT_EQ(options->max_receive_message_bytes, 8u << 20);
  EXPECT_EQ(options->max_metadata_bytes, 4096u);
  EXPECT_FALSE(options->reflection);
  EXPECT_EQ(options->log_level, LogLevel::kWarning);
  EXPECT_EQ(options->compression, Compression::kGzip);
  ASSERT_TRUE(options->tls.has_value());
  EXPECT_EQ(options->tls->private_key_file, "k");
  EXPECT_EQ(options->keepalive.time, 5min);
  EXPECT_EQ(options->keepalive.timeout, KeepaliveOptions().timeout);
}

TEST(ConfigTest, NamesAnUnknownMemberAtAnyDepth) {
  EXPECT_THAT(ApplyJson({}, R"({"grpc_adress": "x"})"),
              AllOf(StatusIs(kInvalid),
                    MessageIs(HasSubstr("unknown option grpc_adress"))));
  EXPECT_THAT(ApplyJson({}, R"({"tls": {"cert": "x"}})"),
              MessageIs(HasSubstr("unknown option tls.cert")));
  EXPECT_THAT(ApplyEnvironment({}, {{"GRPCCOMMON_TLS__CERT", "x"}}),
              MessageIs(HasSubstr("unknown option GRPCCOMMON_TLS__CERT")));
}

TEST(ConfigTest, RefusesWhatIsNestedDeeperThanAnyOption) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  const auto refused = AllOf(StatusIs(kInvalid),
                             MessageIs(HasSubstr("is nested deeper than 64")));
  EXPECT_THAT(
      ApplyJson({}, R"({"auth": {"issuers": )" + nested(100'000) + "}}"),
      refused);
  EXPECT_THAT(
      ApplyEnvironment({}, {{"GRPCCOMMON_AUTH__ISSUERS", nested(100'000)}}),
      refused);
  EXPECT_THAT(ApplyJson({}, R"({"app": {"a": )" + nested(62) + "}}"), IsOk());
  EXPECT_THAT(ApplyJson({}, R"({"app": {"a": )" + nested(64) + "}}"), refused);
  // In the midst of what is left out, too, the rest is read.
  EXPECT_THAT(ApplyJson({}, R"({"app": {"a": )" + nested(64) +
                                R"(}, "name": "a", "name": 1})"),
              refused);
}

TEST(ConfigTest, ReadsBeyondAZeroByte) {
  const std::string two("{}\0{\"name\": \"a\"}", 16);
  EXPECT_THAT(ApplyJson({}, two),
              AllOf(StatusIs(kInvalid), MessageIs(HasSubstr("zero byte"))));
}

TEST(ConfigTest, NamesAValueOfTheWrongKind) {
  const auto refused = [](const std::string& json, const std::string& text) {
    EXPECT_THAT(ApplyJson({}, json),
                AllOf(StatusIs(kInvalid), MessageIs(HasSubstr(text))))
        << json;
  };
  refused(R"({"grace_period": 30})", "grace_period must be a duration");
  refused(R"({"grace_period": "30"})", "grace_period must be a duration");
  refused(R"({"grace_period": "30 parsecs"})", "grace_period");
  refused(R"({"grace_period": "1e999s"})", "grace_period");
  refused(R"({"name": 3})", "name must be a text");
  refused(R"({"reflection": "maybe"})", "reflection must be true or false");
  refused(R"({"max_metadata_bytes": -1})", "max_metadata_bytes");
  refused(R"({"max_metadata_bytes": 1.5})", "max_metadata_bytes");
  refused(R"({"max_sync_threads": 1e12})", "max_sync_threads");
  refused(R"({"tls": "on"})", "tls must be an object");
  refused(R"({"log_level": "loud"})", "log_level");
  refused(R"({"compression": "zip"})", "compression");
}

TEST(ConfigTest, RefusesWhatIsNotOneJsonObject) {
  EXPECT_THAT(ApplyJson({}, ""), StatusIs(kInvalid));
  EXPECT_THAT(ApplyJson({}, "{"), StatusIs(kInvalid));
  EXPECT_THAT(ApplyJson({}, "[]"), StatusIs(kInvalid));
  EXPECT_THAT(ApplyJson({}, R"({"name": "a", "name": "b"})"),
              MessageIs(HasSubstr("\"name\" twice")));
}

TEST(ConfigTest, NamesTheVariableThatSaysTheSameAsAnother) {
  EXPECT_THAT(ApplyEnvironment(
                  {}, {{"GRPCCOMMON_ACCESS_LOG__PAYLOADS", "{}"},
                       {"GRPCCOMMON_ACCESS_LOG__PAYLOADS__REQUESTS", "true"}}),
              MessageIs(AllOf(
                  HasSubstr("GRPCCOMMON_ACCESS_LOG__PAYLOADS__REQUESTS is set"),
                  HasSubstr("for all of GRPCCOMMON_ACCESS_LOG__PAYLOADS"))));
}

TEST(ConfigTest, EnvironmentVariablesSayTheSame) {
  const auto options = ApplyEnvironment(
      {.name = "base"}, {{"GRPCCOMMON_GRPC_ADDRESS", "0.0.0.0:1"},
                         {"GRPCCOMMON_DRAIN_DELAY", "0s"},
                         {"GRPCCOMMON_REFLECTION", "false"},
                         {"GRPCCOMMON_MAX_METADATA_BYTES", "32KiB"},
                         {"GRPCCOMMON_TLS__CERTIFICATE_FILE", "c"},
                         {"GRPCCOMMON_APP_ANYTHING", "1"},
                         {"GRPCCOMMON_CONFIG", "/nowhere"},
                         {"PATH", "/bin"}});
  ASSERT_THAT(options, IsOk());
  EXPECT_EQ(options->grpc_address, "0.0.0.0:1");
  EXPECT_EQ(options->drain_delay, 0s);
  EXPECT_FALSE(options->reflection);
  EXPECT_EQ(options->max_metadata_bytes, 32u << 10);
  EXPECT_EQ(options->tls->certificate_file, "c");
}

TEST(ConfigTest, AListInAVariableIsSeparatedByCommasOrJson) {
  const auto audiences = [](const std::string& text) {
    auto options = ApplyEnvironment({}, {{"GRPCCOMMON_AUTH__AUDIENCES", text}});
    EXPECT_THAT(options, IsOk()) << text;
    return options.ok() ? options->auth.audiences : std::vector<std::string>();
  };
  EXPECT_THAT(audiences("a, b"), ElementsAre("a", "b"));
  EXPECT_THAT(audiences(R"(["a", "b,c"])"), ElementsAre("a", "b,c"));
  EXPECT_THAT(audiences(" [\"a\"]"), ElementsAre("a"));
  EXPECT_THAT(audiences("[]"), IsEmpty());
  EXPECT_THAT(audiences(""), IsEmpty());
  for (const char* const broken : {"[a,b]", "[\"a\"", "[\"a\"],b", "[1]"}) {
    EXPECT_THAT(ApplyEnvironment({}, {{"GRPCCOMMON_AUTH__AUDIENCES", broken}}),
                AllOf(StatusIs(kInvalid),
                      MessageIs(HasSubstr("GRPCCOMMON_AUTH__AUDIENCES must be "
                                          "a list of texts"))))
        << broken;
  }
  for (const char* const numbers : {"0.1, 1", "[0.1, 1]"}) {
    const auto options =
        ApplyEnvironment({}, {{"GRPCCOMMON_METRICS__BUCKETS", numbers}});
    ASSERT_THAT(options, IsOk()) << numbers;
    EXPECT_THAT(options->metrics->buckets, ElementsAre(0.1, 1));
  }
  EXPECT_THAT(ApplyEnvironment({}, {{"GRPCCOMMON_METRICS__BUCKETS", "[true]"}}),
              MessageIs(HasSubstr("BUCKETS must be a list of numbers")));
}

TEST(ConfigTest, TheApplicationsPartIsAnObjectInAFileAndNoVariable) {
  EXPECT_THAT(ApplyJson({}, R"({"app": {}})"), IsOk());
  EXPECT_THAT(
      ApplyJson({}, R"({"app": 5})"),
      AllOf(StatusIs(kInvalid), MessageIs(HasSubstr("app must be an object"))));
  EXPECT_THAT(ApplyEnvironment({}, {{"GRPCCOMMON_APP", "x"}}),
              AllOf(StatusIs(kInvalid),
                    MessageIs(HasSubstr("unknown option GRPCCOMMON_APP"))));
}

TEST(ConfigTest, ReadsAListOfObjects) {
  const std::string issuers =
      R"([{"issuer": "users", "audiences": ["a", "b"],
           "roles": ["user", "admin"], "jwks_url": "https://user/keys"},
          {"issuer": "programs", "jwks_file": "keys.json",
           "any_audience": true}])";
  const ServerOptions base{
      .auth = {.issuers = {{.issuer = "replaced"}, {}, {}}}};
  for (const auto& options :
       {ApplyJson(base, R"({"auth": {"issuers": )" + issuers + "}}"),
        ApplyEnvironment(base, {{"GRPCCOMMON_AUTH__ISSUERS", issuers}})}) {
    ASSERT_THAT(options, IsOk());
    ASSERT_EQ(options->auth.issuers.size(), 2u);
    EXPECT_EQ(options->auth.issuers[0].issuer, "users");
    EXPECT_EQ(options->auth.issuers[0].audiences.size(), 2u);
    EXPECT_EQ(options->auth.issuers[0].roles,
              (std::vector<std::string>{"user", "admin"}));
    EXPECT_TRUE(options->auth.issuers[1].roles.empty());
    EXPECT_EQ(options->auth.issuers[0].jwks_url, "https://user/keys");
    EXPECT_EQ(options->auth.issuers[1].jwks_file, "keys.json");
    EXPECT_TRUE(options->auth.issuers[1].any_audience);
  }
}

TEST(ConfigTest, NamesWhatIsWrongInAListOfObjects) {
  const auto refused = [](const std::string& issuers, const std::string& text) {
    EXPECT_THAT(ApplyEnvironment({}, {{"GRPCCOMMON_AUTH__ISSUERS", issuers}}),
                AllOf(StatusIs(kInvalid), MessageIs(HasSubstr(text))))
        << issuers;
  };
  refused("users", "GRPCCOMMON_AUTH__ISSUERS is not JSON");
  refused("{}", "GRPCCOMMON_AUTH__ISSUERS must be a list");
  refused("[7]", "GRPCCOMMON_AUTH__ISSUERS[0] must be an object");
  refused(R"([{}, {"isuer": "x"}])",
          "unknown option GRPCCOMMON_AUTH__ISSUERS[1]__ISUER");
  refused(R"([{"issuer": "a", "issuer": "b"}])", "\"issuer\" twice");
  refused(R"([{"issuer": 7}])", "GRPCCOMMON_AUTH__ISSUERS[0]__ISSUER must be");
  EXPECT_THAT(ApplyJson({}, R"({"auth": {"issuers": "x"}})"),
              StatusIs(kInvalid));
}

TEST(ConfigTest, SaysHowTheServerIsAnnounced) {
  const auto options =
      ApplyJson({}, R"({"announce": {"uri": "registry://r:1", "zone": "a",
          "version": "7", "services": ["x"], "lease": {"ttl": "30s"}}})");
  ASSERT_THAT(options, IsOk());
  EXPECT_EQ(options->announce.uri, "registry://r:1");
  EXPECT_EQ(options->announce.zone, "a");
  EXPECT_EQ(options->announce.version, "7");
  EXPECT_EQ(options->announce.lease.ttl, 30s);
}

TEST(ConfigTest, AVariableIsWrittenInCapitals) {
  // It would be one option with GRPCCOMMON_NAME, and either might win.
  EXPECT_THAT(ApplyEnvironment({}, {{"GRPCCOMMON_name", "x"}}),
              AllOf(StatusIs(kInvalid),
                    MessageIs(HasSubstr("unknown option GRPCCOMMON_name"))));
}

TEST(ConfigTest, AVariableForAnObjectAndOneInItAreRefused) {
  EXPECT_THAT(ApplyEnvironment({}, {{"GRPCCOMMON_TLS", "x"},
                                    {"GRPCCOMMON_TLS__CERTIFICATE_FILE", "c"}}),
              StatusIs(kInvalid));
}

}  // namespace
}  // namespace grpccommon
