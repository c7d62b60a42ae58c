// SPDX-License-Identifier: Apache-2.0
#include "registry/dns_resolver.h"

#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grpccommon/testing/status_matchers.h"
#include "registry/fake_dns_server.h"

namespace grpccommon::internal {
namespace {

using namespace std::chrono_literals;
using ::grpccommon::testing::DnsMessage;
using ::grpccommon::testing::FakeDnsServer;
using ::grpccommon::testing::IsOk;
using ::grpccommon::testing::MessageIs;
using ::grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Question = FakeDnsServer::Question;
using Replies = std::vector<std::string>;

std::unique_ptr<DnsResolver> ResolverAt(const FakeDnsServer& server,
                                        Clock::Duration timeout = 10s) {
  return *CreateDnsResolver(
      {.timeout = timeout, .name_servers = {server.address()}});
}

absl::StatusOr<DnsAnswer> LookUp(DnsResolver& resolver,
                                 const std::string& name) {
  std::promise<absl::StatusOr<DnsAnswer>> promise;
  resolver.LookUp(*ParseDnsTarget(name), [&](absl::StatusOr<DnsAnswer> answer) {
    promise.set_value(std::move(answer));
  });
  return promise.get_future().get();
}

absl::StatusOr<DnsAnswer> LookUpAt(FakeDnsServer::Handler handler,
                                   const std::string& name,
                                   Clock::Duration timeout = 10s) {
  const FakeDnsServer server(std::move(handler));
  return LookUp(*ResolverAt(server, timeout), name);
}

// A host with an address of each kind, whatever its name.
Replies BothAddresses(const Question& question) {
  DnsMessage reply = question.Reply();
  if (question.type == DnsMessage::kA) {
    reply.Answer(DnsMessage::kA, 60, DnsMessage::Ipv4("10.0.0.2"))
        .Answer(DnsMessage::kA, 60, DnsMessage::Ipv4("10.0.0.1"));
  } else if (question.type == DnsMessage::kAaaa) {
    reply.Answer(DnsMessage::kAaaa, 30, DnsMessage::Ipv6("2001:db8::1"));
  }
  return {reply.bytes()};
}

TEST(DnsResolverTest, FindsTheAddressesOfAHost) {
  const auto answer = LookUpAt(BothAddresses, "x.example:80");
  ASSERT_THAT(answer, IsOk());
  EXPECT_THAT(answer->instances,
              ElementsAre(Instance{.address = "10.0.0.1:80"},
                          Instance{.address = "10.0.0.2:80"},
                          Instance{.address = "[2001:db8::1]:80"}));
  EXPECT_EQ(answer->ttl, 30s) << "the shortest";
}

TEST(DnsResolverTest, OneKindOfAddressIsEnough) {
  const auto answer = LookUpAt(
      [](const Question& question) -> Replies {
        DnsMessage reply = question.Reply();
        if (question.type == DnsMessage::kAaaa) return {reply.bytes()};
        reply.Answer(DnsMessage::kA, 60, DnsMessage::Ipv4("10.0.0.1"));
        return {reply.bytes()};
      },
      "x.example:80");
  ASSERT_THAT(answer, IsOk());
  EXPECT_THAT(answer->instances,
              ElementsAre(Instance{.address = "10.0.0.1:80"}));
}

TEST(DnsResolverTest, FollowsAliasesAndMindsTheirTtl) {
  const auto answer = LookUpAt(
      [](const Question& question) -> Replies {
        DnsMessage reply = question.Reply();
        reply.Answer(DnsMessage::kCname, 7, DnsMessage::Name("y.example"));
        if (question.type == DnsMessage::kA) {
          reply.AnswerFor("y.example", DnsMessage::kA, 60,
                          DnsMessage::Ipv4("10.0.0.1"));
        }
        return {reply.bytes()};
      },
      "x.example:80");
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->ttl, 7s);
}

TEST(DnsResolverTest, FindsServicesAndTheirTargets) {
  const auto answer = LookUpAt(
      [](const Question& question) -> Replies {
        DnsMessage reply = question.Reply();
        if (question.type == DnsMessage::kSrv) {
          EXPECT_EQ(question.name, "_grpc._tcp.x.example");
          reply
              .Answer(DnsMessage::kSrv, 20,
                      DnsMessage::Srv(1, 10, 80, "a.example"))
              .Answer(DnsMessage::kSrv, 20,
                      DnsMessage::Srv(1, 30, 81, "b.example"))
              .Answer(DnsMessage::kSrv, 20,
                      DnsMessage::Srv(2, 1, 82, "c.example"));
        } else if (question.type == DnsMessage::kA) {
          reply.Answer(
              DnsMessage::kA, 60,
              DnsMessage::Ipv4(question.name == "a.example"   ? "10.0.0.1"
                               : question.name == "b.example" ? "10.0.0.2"
                                                              : "10.0.0.3"));
        }
        return {reply.bytes()};
      },
      "_grpc._tcp.x.example");
  ASSERT_THAT(answer, IsOk());
  EXPECT_THAT(
      answer->instances,
      ElementsAre(Instance{.address = "10.0.0.1:80", .weight = 10},
                  Instance{.address = "10.0.0.2:81", .weight = 30},
                  Instance{.address = "10.0.0.3:82", .healthy = false}));
  EXPECT_EQ(answer->ttl, 20s);
}

TEST(DnsResolverTest, ATargetWithoutAddressesTakesNothingFromTheOthers) {
  const auto answer = LookUpAt(
      [](const Question& question) -> Replies {
        DnsMessage reply = question.Reply();
        if (question.type == DnsMessage::kSrv) {
          reply
              .Answer(DnsMessage::kSrv, 20,
                      DnsMessage::Srv(1, 1, 80, "gone.example"))
              .Answer(DnsMessage::kSrv, 20,
                      DnsMessage::Srv(2, 1, 80, "b.example"));
        } else if (question.name == "gone.example") {
          reply.Code(3);
        } else if (question.type == DnsMessage::kA) {
          reply.Answer(DnsMessage::kA, 60, DnsMessage::Ipv4("10.0.0.1"));
        }
        return {reply.bytes()};
      },
      "_grpc._tcp.x.example");
  ASSERT_THAT(answer, IsOk());
  EXPECT_THAT(answer->instances,
              ElementsAre(Instance{.address = "10.0.0.1:80"}));
}

TEST(DnsResolverTest, ATargetThatCannotBeAskedForFailsTheWhole) {
  const auto answer = LookUpAt(
      [](const Question& question) -> Replies {
        DnsMessage reply = question.Reply();
        if (question.type == DnsMessage::kSrv) {
          reply
              .Answer(DnsMessage::kSrv, 20,
                      DnsMessage::Srv(1, 1, 80, "a.example"))
              .Answer(DnsMessage::kSrv, 20,
                      DnsMessage::Srv(1, 1, 80, "bad.example"));
        } else if (question.name == "bad.example") {
          reply.Code(2);
        } else if (question.type == DnsMessage::kA) {
          reply.Answer(DnsMessage::kA, 60, DnsMessage::Ipv4("10.0.0.1"));
        }
        return {reply.bytes()};
      },
      "_grpc._tcp.x.example");
  EXPECT_THAT(answer, StatusIs(absl::StatusCode::kUnavailable))
      << "or half of the instances would be gone for a moment";
}

TEST(DnsResolverTest, AServiceThatIsNotOfferedHasNoInstances) {
  const auto answer = LookUpAt(
      [](const Question& question) -> Replies {
        return {question.Reply()
                    .Answer(DnsMessage::kSrv, 20, DnsMessage::Srv(0, 0, 0, ""))
                    .bytes()};
      },
      "_grpc._tcp.x.example");
  ASSERT_THAT(answer, IsOk());
  EXPECT_THAT(answer->instances, IsEmpty());
}

// What a server says in place of an answer, and what is made of it.
struct Refusal {
  const char* what;
  std::function<Replies(const Question&)> handler;
  absl::StatusCode code;
};

class RefusalTest : public ::testing::TestWithParam<Refusal> {};

TEST_P(RefusalTest, OfAddresses) {
  EXPECT_THAT(
      LookUpAt(GetParam().handler, "x.example:80", 300ms),
      AllOf(StatusIs(GetParam().code), MessageIs(HasSubstr("x.example"))));
}

TEST_P(RefusalTest, OfServices) {
  EXPECT_THAT(
      LookUpAt(GetParam().handler, "_grpc._tcp.x.example", 300ms),
      AllOf(StatusIs(GetParam().code), MessageIs(HasSubstr("x.example"))));
}

// Of the kind that was asked for, with data that is right or wrong.
DnsMessage WithRecord(const Question& question, const std::string& data) {
  DnsMessage reply = question.Reply();
  return reply.Answer(question.type, 60, data);
}

// One message for each question.
std::function<Replies(const Question&)> One(
    std::function<DnsMessage(const Question&)> reply) {
  return [reply = std::move(reply)](const Question& question) -> Replies {
    return {reply(question).bytes()};
  };
}

INSTANTIATE_TEST_SUITE_P(
    Negative, RefusalTest,
    ::testing::Values(
        Refusal{"no such name", One([](const Question& question) {
                  return question.Reply().Code(3);
                }),
                absl::StatusCode::kNotFound},
        Refusal{"no such records",
                One([](const Question& question) { return question.Reply(); }),
                absl::StatusCode::kNotFound},
        Refusal{"other records", One([](const Question& question) {
                  return question.Reply().Answer(16, 60,
                                                 std::string("\x01x", 2));
                }),
                absl::StatusCode::kNotFound}));

INSTANTIATE_TEST_SUITE_P(
    Broken, RefusalTest,
    ::testing::Values(
        Refusal{"SERVFAIL", One([](const Question& question) {
                  return question.Reply().Code(2);
                }),
                absl::StatusCode::kUnavailable},
        Refusal{"REFUSED", One([](const Question& question) {
                  return question.Reply().Code(5);
                }),
                absl::StatusCode::kUnavailable},
        Refusal{"no answer", [](const Question&) -> Replies { return {}; },
                absl::StatusCode::kUnavailable},
        Refusal{"an answer to another query", One([](const Question& question) {
                  Question other = question;
                  other.id = static_cast<std::uint16_t>(question.id + 1);
                  return WithRecord(other, DnsMessage::Ipv4("10.0.0.66"));
                }),
                absl::StatusCode::kUnavailable},
        Refusal{"an answer to another question",
                One([](const Question& question) {
                  Question other = question;
                  other.name = "evil.example";
                  return WithRecord(other, DnsMessage::Ipv4("10.0.0.66"));
                }),
                absl::StatusCode::kUnavailable},
        Refusal{"cut within the header", One([](const Question& question) {
                  return question.Reply().Cut(7);
                }),
                absl::StatusCode::kUnavailable},
        Refusal{"cut within a record", One([](const Question& question) {
                  DnsMessage reply =
                      WithRecord(question, DnsMessage::Ipv4("10.0.0.1"));
                  return reply.Cut(reply.bytes().size() - 2);
                }),
                absl::StatusCode::kUnavailable},
        Refusal{"more records announced than there are",
                One([](const Question& question) {
                  return question.Reply().Answers(500);
                }),
                absl::StatusCode::kUnavailable},
        Refusal{"a name that is its own end", One([](const Question& question) {
                  const auto at =
                      static_cast<char>(question.Reply().bytes().size());
                  return question.Reply()
                      .Raw(std::string("\xc0") + at)
                      .Raw(std::string("\0\1\0\1\0\0\0\0\0\0", 10))
                      .Answers(1);
                }),
                absl::StatusCode::kUnavailable},
        // TC says to ask by TCP, where nobody listens.
        Refusal{"truncated, and no TCP", One([](const Question& question) {
                  return question.Reply().Truncated();
                }),
                absl::StatusCode::kUnavailable}),
    [](const auto& refusal) {
      std::string name = refusal.param.what;
      for (char& c : name) {
        if (!isalnum(static_cast<unsigned char>(c))) c = '_';
      }
      return name;
    });

TEST(DnsResolverTest, GarbageBeforeTheAnswerDoesNoHarm) {
  const auto answer = LookUpAt(
      [](const Question& question) -> Replies {
        Question other = question;
        other.id = static_cast<std::uint16_t>(question.id ^ 0x5555);
        Replies replies = BothAddresses(other);
        replies.emplace_back("garbage");
        replies.push_back(BothAddresses(question).front());
        return replies;
      },
      "x.example:80");
  ASSERT_THAT(answer, IsOk());
  EXPECT_THAT(answer->instances, ::testing::SizeIs(3));
}

TEST(DnsResolverTest, AddressesThatNobodyCanCallAreANegativeAnswer) {
  EXPECT_THAT(
      LookUpAt(
          [](const Question& question) -> Replies {
            if (question.type != DnsMessage::kA) {
              return {question.Reply().bytes()};
            }
            return {WithRecord(question, DnsMessage::Ipv4("0.0.0.0")).bytes()};
          },
          "x.example:80"),
      StatusIs(absl::StatusCode::kNotFound));
}

TEST(DnsResolverTest, AsksAgainWhenTheFirstQuestionIsLost) {
  std::atomic<int> asked = 0;
  const auto answer = LookUpAt(
      [&](const Question& question) -> Replies {
        if (asked++ < 2) return {};
        return BothAddresses(question);
      },
      "x.example:80", 3s);
  ASSERT_THAT(answer, IsOk());
}

TEST(DnsResolverTest, AnswersManyAtOnce) {
  const FakeDnsServer server(BothAddresses);
  const auto resolver = ResolverAt(server);
  constexpr int kLookups = 200;
  std::atomic<int> left = kLookups;
  std::promise<void> all;
  for (int i = 0; i < kLookups; ++i) {
    resolver->LookUp(
        *ParseDnsTarget("host-" + std::to_string(i) + ".example:80"),
        [&](const absl::StatusOr<DnsAnswer>& answer) {
          EXPECT_THAT(answer, IsOk());
          if (--left == 0) all.set_value();
        });
  }
  all.get_future().wait();
}

TEST(DnsResolverTest, MayBeAskedFromItsOwnCallback) {
  const FakeDnsServer server(BothAddresses);
  const auto resolver = ResolverAt(server);
  std::promise<void> second;
  resolver->LookUp(
      *ParseDnsTarget("x.example:80"), [&](const absl::StatusOr<DnsAnswer>&) {
        resolver->LookUp(
            *ParseDnsTarget("y.example:80"),
            [&](const absl::StatusOr<DnsAnswer>&) { second.set_value(); });
      });
  second.get_future().wait();
}

TEST(DnsResolverTest, CallsBackNoMoreOnceItIsDestroyed) {
  std::promise<void> asked;
  std::atomic<bool> first = true;
  const FakeDnsServer server([&](const Question&) -> Replies {
    if (first.exchange(false)) asked.set_value();
    return {};
  });
  auto resolver = ResolverAt(server);
  for (const char* name : {"x.example:80", "_grpc._tcp.x.example"}) {
    resolver->LookUp(
        *ParseDnsTarget(name),
        [](const absl::StatusOr<DnsAnswer>&) { ADD_FAILURE() << "called"; });
  }
  asked.get_future().wait();
  resolver.reset();
}

TEST(DnsResolverTest, TakesAddressesOfNameServersWithAndWithoutPort) {
  for (const char* server :
       {"127.0.0.1", "127.0.0.1:5353", "::1", "[::1]:5353"}) {
    EXPECT_THAT(CreateDnsResolver({.name_servers = {server}}), IsOk());
  }
  for (const char* server :
       {"", "localhost", "localhost:53", "127.0.0.1:0", "127.0.0.1:", "[::1]",
        "127.0.0.1,127.0.0.2", "1.2.3"}) {
    EXPECT_THAT(CreateDnsResolver({.name_servers = {server}}),
                AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                      MessageIs(HasSubstr("name_servers"))))
        << server;
  }
}

}  // namespace
}  // namespace grpccommon::internal
