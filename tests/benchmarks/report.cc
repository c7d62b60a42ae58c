// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/report.h"

#include <sys/utsname.h>

#include <chrono>
#include <thread>

#include "benchmarks/columns.h"
#include "grpcpp/grpcpp.h"

namespace grpccommon::bench {
namespace {

using nlohmann::json;

json AsJson(const Summary& summary) {
  return {{"median", summary.median},
          {"lower_quartile", summary.lower},
          {"upper_quartile", summary.upper}};
}

std::string WithSpread(const Summary& summary, int digits) {
  return Signed(summary.median, digits) + " (" + Signed(summary.lower, digits) +
         " … " + Signed(summary.upper, digits) + ")";
}

}  // namespace

void Report::Add(const Contest& contest) {
  const bool streams = contest.options().load.kind == LoadKind::kList;
  double Sample::*const rate =
      streams ? &Sample::messages_per_second : &Sample::calls_per_second;
  double Sample::*const cpu =
      streams ? &Sample::cpu_per_message : &Sample::cpu_per_call;
  const std::string unit = streams ? "message" : "call";

  std::vector<Row> rows = {{contest.options().title, unit + "s/s", "ratio",
                            "CPU µs/" + unit, "over the first (quartiles)",
                            "p50 µs", "p99 µs"}};
  json contestants = json::array();
  for (std::size_t i = 0; i < contest.contestants().size(); ++i) {
    const Contestant& contestant = contest.contestants()[i];
    rows.push_back({"  " + contestant.name, Grouped(contest.Of(i, rate).median),
                    i == 0 ? "" : Number(contest.Ratio(i, 0, rate).median, 2),
                    Number(contest.Of(i, cpu).median, 2),
                    // How quiet the machine was, by the first one's own.
                    i == 0 ? Spread(contest.Of(0, cpu))
                           : WithSpread(contest.Difference(i, 0, cpu), 2),
                    Grouped(contest.Of(i, &Sample::p50).median),
                    Grouped(contest.Of(i, &Sample::p99).median)});
    json rounds = json::array();
    for (const Sample& sample : contest.samples(i)) {
      rounds.push_back({{"calls_per_second", sample.calls_per_second},
                        {"messages_per_second", sample.messages_per_second},
                        {"cpu_us_per_call", sample.cpu_per_call},
                        {"cpu_us_per_message", sample.cpu_per_message},
                        {"p50_us", sample.p50},
                        {"p99_us", sample.p99}});
    }
    contestants.push_back(
        {{"name", contestant.name},
         {"calls_per_second", AsJson(contest.Of(i, &Sample::calls_per_second))},
         {"messages_per_second",
          AsJson(contest.Of(i, &Sample::messages_per_second))},
         {"cpu_us_per_call", AsJson(contest.Of(i, &Sample::cpu_per_call))},
         {"cpu_us_per_message",
          AsJson(contest.Of(i, &Sample::cpu_per_message))},
         {"cpu_us_over_first", AsJson(contest.Difference(i, 0, cpu))},
         {"p50_us", AsJson(contest.Of(i, &Sample::p50))},
         {"p99_us", AsJson(contest.Of(i, &Sample::p99))},
         {"rounds", std::move(rounds)}});
  }
  out_ << '\n';
  PrintTable(out_, rows);
  out_.flush();
  contests_.push_back(
      {{"title", contest.options().title},
       {"concurrency", contest.options().load.concurrency},
       {"offered_calls_per_second", contest.options().load.calls_per_second},
       {"connections", contest.options().connections},
       {"contestants", std::move(contestants)}});
}

void Report::Judge(const std::string& what, const Summary& measured,
                   const std::string& unit, Bound bound, double limit) {
  const Verdict verdict = {what, measured.median, unit, bound, limit};
  all_kept_ &= verdict.kept();
  out_ << verdict;
  out_.flush();
  verdicts_.push_back(
      {{"what", what},
       {"measured", AsJson(measured)},
       {"unit", unit},
       {"bound", bound == Bound::kAtMost ? "at_most" : "at_least"},
       {"limit", limit},
       {"kept", verdict.kept()}});
}

void Report::Note(const std::string& what, double figure,
                  const std::string& unit) {
  out_ << "         " << Padded(what, 48, false) << ' '
       << Padded(Figure(figure) + " " + unit, 14, true) << '\n';
  out_.flush();
  notes_.push_back({{"what", what}, {"figure", figure}, {"unit", unit}});
}

json Report::ToJson() const {
  utsname system{};
  uname(&system);
  return {{"context",
           {{"date", std::chrono::duration_cast<std::chrono::seconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count()},
            {"cpus", std::thread::hardware_concurrency()},
            {"system", std::string(system.sysname) + " " + system.release},
            {"grpc", grpc::Version()}}},
          {"contests", contests_},
          {"verdicts", verdicts_},
          {"notes", notes_},
          {"all_kept", all_kept_}};
}

}  // namespace grpccommon::bench
