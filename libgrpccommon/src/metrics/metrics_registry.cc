// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/metrics/metrics_registry.h"

#include <algorithm>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/stubs/common.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/utf8.h"
#include "grpcpp/grpcpp.h"
#include "metrics/family.h"
#include "metrics/process_metrics.h"
#include "prometheus/collectable.h"
#include "prometheus/text_serializer.h"

namespace grpccommon {

using internal::FamilyOptions;
using internal::FamilyState;
using internal::FamilyStateBase;
using prometheus::MetricType;

namespace {

constexpr std::string_view kLetters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
constexpr std::string_view kDigits = "0123456789";

bool IsName(std::string_view text) {
  return !text.empty() && kLetters.find(text[0]) != std::string_view::npos &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return kLetters.find(c) != std::string_view::npos ||
                  kDigits.find(c) != std::string_view::npos;
         });
}

// prometheus-cpp writes the help text as it is, so it must not break the line
// or read as an escape sequence.
bool IsHelp(std::string_view text) {
  return !text.empty() && text.find('\\') == std::string_view::npos &&
         RepairUtf8(text) == text &&
         std::none_of(text.begin(), text.end(), [](char c) {
           return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
         });
}

// Somebody else's help text, as near to it as can be exposed.
std::string CleanHelp(std::string_view text) {
  if (IsHelp(text)) return std::string(text);
  std::string clean = RepairUtf8(text);
  std::replace_if(
      clean.begin(), clean.end(),
      [](unsigned char c) { return c < 0x20 || c == 0x7F || c == '\\'; }, ' ');
  return clean;
}

absl::Status CheckMetric(const FamilyOptions& options, MetricType type) {
  const auto refuse = [&](auto... parts) {
    return absl::InvalidArgumentError(
        absl::StrCat("metric \"", options.name, "\": ", parts...));
  };
  if (!IsName(options.name)) {
    return refuse(
        "the name must be letters, digits and _, not beginning with a digit");
  }
  const bool counter = type == MetricType::Counter;
  if (options.name.ends_with("_total") != counter) {
    return refuse(counter ? "a counter's name must end in _total"
                          : "only a counter's name may end in _total");
  }
  if (!IsHelp(options.help)) {
    return refuse(
        "the help text must be one line of UTF-8 without backslashes");
  }
  std::set<std::string_view> seen;
  for (const std::string& label : options.labels) {
    if (!IsName(label) || label.starts_with("__")) {
      return refuse("label \"", label,
                    "\" must be letters, digits and _, not beginning with a "
                    "digit or __");
    }
    if (type == MetricType::Histogram && label == "le") {
      return refuse("label \"le\" belongs to the histogram's buckets");
    }
    if (!seen.insert(label).second) {
      return refuse("label \"", label, "\" is there twice");
    }
  }
  if (type == MetricType::Histogram) {
    const absl::Status buckets = CheckBuckets(options.buckets);
    if (!buckets.ok()) return refuse(buckets.message());
  }
  const absl::Status children = CheckRange(
      "max_children", static_cast<double>(options.max_children), 1, 1e6);
  if (!children.ok()) return refuse(children.message());
  return absl::OkStatus();
}

prometheus::MetricFamily BuildInfo(const MetricsRegistryOptions& options) {
  const int protobuf = GOOGLE_PROTOBUF_VERSION;
  prometheus::MetricFamily family;
  family.name = "grpccommon_build_info";
  family.help = "Versions that the process was built with; always 1.";
  family.type = MetricType::Gauge;
  prometheus::ClientMetric& metric = family.metric.emplace_back();
  metric.label = {{"version", GRPCCOMMON_VERSION},
                  {"grpc_version", grpc::Version()},
                  {"protobuf_version",
                   absl::StrCat(protobuf / 1000000, ".", protobuf / 1000 % 1000,
                                ".", protobuf % 1000)},
                  {"compiler", __VERSION__}};
  if (!options.service.empty()) {
    metric.label.push_back({"service", RepairUtf8(options.service)});
  }
  if (!options.service_version.empty()) {
    metric.label.push_back(
        {"service_version", RepairUtf8(options.service_version)});
  }
  metric.gauge.value = 1;
  return family;
}

std::function<std::vector<MetricSample>()> OneSample(
    std::function<double()> read) {
  if (read == nullptr) return nullptr;
  return [read = std::move(read)] {
    return std::vector<MetricSample>{{.label_values = {}, .value = read()}};
  };
}

}  // namespace

struct MetricRegistration::Entry {
  explicit Entry(std::function<std::vector<MetricSample>()> r)
      : read(std::move(r)) {}

  // Calls `use(samples)` unless the callback was taken out. Returns false if it
  // threw.
  template <typename Use>
  bool Run(Use use) {
    {
      const MutexLock lock(mutex);
      if (removed) return true;
      running.push_back(std::this_thread::get_id());
    }
    bool good = true;
    try {
      use(read());
    } catch (...) {
      good = false;
    }
    const MutexLock lock(mutex);
    running.erase(
        std::find(running.begin(), running.end(), std::this_thread::get_id()));
    idle.NotifyAll();
    return good;
  }

  void Remove() {
    const MutexLock lock(mutex);
    removed = true;
    // A callback may take itself out; waiting for it there would never end.
    while (std::any_of(running.begin(), running.end(), [](auto id) {
      return id != std::this_thread::get_id();
    })) {
      idle.Wait(mutex);
    }
  }

  bool Removed() {
    const MutexLock lock(mutex);
    return removed;
  }

  const std::function<std::vector<MetricSample>()> read;
  Mutex mutex;
  CondVar idle;
  bool removed ABSL_GUARDED_BY(mutex) = false;
  std::vector<std::thread::id> running ABSL_GUARDED_BY(mutex);
};

MetricRegistration::MetricRegistration() = default;

MetricRegistration::MetricRegistration(std::shared_ptr<Entry> entry)
    : entry_(std::move(entry)) {}

MetricRegistration::MetricRegistration(MetricRegistration&& other) noexcept =
    default;

MetricRegistration& MetricRegistration::operator=(
    MetricRegistration&& other) noexcept {
  if (this != &other) {
    Remove();
    entry_ = std::move(other.entry_);
  }
  return *this;
}

MetricRegistration::~MetricRegistration() { Remove(); }

void MetricRegistration::Remove() {
  if (entry_ != nullptr) entry_->Remove();
  entry_ = nullptr;
}

struct MetricsRegistry::Impl {
  using Entries = std::vector<std::shared_ptr<MetricRegistration::Entry>>;
  using Samples = std::function<std::vector<MetricSample>()>;

  // One name: a family with its state, or callbacks.
  struct Source {
    MetricType type;
    FamilyOptions options;
    std::shared_ptr<void> family = nullptr;
    const FamilyStateBase* state = nullptr;  // of the family
    Entries callbacks = {};
  };

  explicit Impl(MetricsRegistryOptions o) : options(std::move(o)) {}

  // The source of this name if it is there and the same; null if it is new.
  absl::StatusOr<Source*> Find(const FamilyOptions& wanted, MetricType type,
                               bool callback)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const absl::Status valid = CheckMetric(wanted, type);
    if (!valid.ok()) return valid;
    const auto place = sources.find(wanted.name);
    if (place != sources.end()) {
      Source& source = place->second;
      if (source.type == type && source.options.labels == wanted.labels &&
          (source.state == nullptr) == callback) {
        return &source;
      }
      return absl::AlreadyExistsError(absl::StrCat(
          "metric \"", wanted.name,
          "\" was added before, as another kind or with other labels"));
    }
    for (const std::string& name : Names(wanted.name, type)) {
      if (names.count(name) != 0) {
        return absl::AlreadyExistsError(
            absl::StrCat("metric \"", wanted.name, "\": the name ", name,
                         " is taken by another metric"));
      }
    }
    return nullptr;
  }

  Source& Insert(Source source) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    names.merge(Names(source.options.name, source.type));
    std::string name = source.options.name;
    return sources.emplace(std::move(name), std::move(source)).first->second;
  }

  static std::set<std::string> Names(const std::string& name, MetricType type) {
    switch (type) {
      case MetricType::Histogram:
        return {name, name + "_bucket", name + "_count", name + "_sum"};
      case MetricType::Summary:
        return {name, name + "_count", name + "_sum"};
      default:
        return {name};
    }
  }

  // `Family` is made of `T`s; two of one C++ type are one kind of metric,
  // except that gauges and up-down counters both show as gauges.
  template <typename Family, typename T>
  absl::StatusOr<Family*> Add(FamilyOptions wanted, MetricType type) {
    const MutexLock lock(mutex);
    return AddLocked<Family, T>(std::move(wanted), type);
  }

  template <typename Family, typename T>
  absl::StatusOr<Family*> AddLocked(FamilyOptions wanted, MetricType type)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const absl::StatusOr<Source*> found = Find(wanted, type, false);
    if (!found.ok()) return found.status();
    if (*found != nullptr) {
      if (dynamic_cast<const FamilyState<T>*>((*found)->state) == nullptr) {
        return absl::AlreadyExistsError(
            absl::StrCat("metric \"", wanted.name,
                         "\" was added before, as another kind of gauge"));
      }
      return static_cast<Family*>((*found)->family.get());
    }
    // Null while the family of these counters itself is added.
    if (!wanted.labels.empty() && overflow != nullptr) {
      wanted.overflow = &overflow->With({wanted.name});
    }
    auto state =
        std::make_unique<FamilyState<T>>(wanted, arena, options.logger);
    Source source = {.type = type, .options = std::move(wanted)};
    source.state = state.get();
    auto family = std::make_shared<Family>(std::move(state));
    source.family = family;
    Insert(std::move(source));
    return family.get();
  }

  absl::StatusOr<MetricRegistration> AddCallback(FamilyOptions wanted,
                                                 MetricType type,
                                                 Samples read) {
    if (read == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(
          "metric \"", wanted.name, "\": the callback must not be null"));
    }
    const MutexLock lock(mutex);
    const absl::StatusOr<Source*> found = Find(wanted, type, true);
    if (!found.ok()) return found.status();
    Source& source = *found != nullptr
                         ? **found
                         : Insert({.type = type, .options = std::move(wanted)});
    std::erase_if(source.callbacks,
                  [](const auto& entry) { return entry->Removed(); });
    auto entry = std::make_shared<MetricRegistration::Entry>(std::move(read));
    source.callbacks.push_back(entry);
    return MetricRegistration(std::move(entry));
  }

  prometheus::MetricFamily Call(const Source& source, const Entries& entries) {
    std::map<std::vector<std::string>, double> values;
    for (const auto& entry : entries) {
      bool complete = true;
      const bool good = entry->Run([&](std::vector<MetricSample> samples) {
        for (MetricSample& sample : samples) {
          if (sample.label_values.size() != source.options.labels.size()) {
            complete = false;
            continue;
          }
          for (std::string& value : sample.label_values) {
            value = internal::CleanLabelValue(value);
          }
          values[std::move(sample.label_values)] += sample.value;
        }
      });
      if (!good) Complain(source.options.name, "its callback threw");
      if (!complete) {
        Complain(source.options.name,
                 "its callback reported a wrong number of label values");
      }
    }
    prometheus::MetricFamily family;
    family.name = source.options.name;
    family.help = source.options.help;
    family.type = source.type;
    for (const auto& [labels, value] : values) {
      prometheus::ClientMetric& metric = family.metric.emplace_back();
      for (std::size_t i = 0; i < labels.size(); ++i) {
        metric.label.push_back({source.options.labels[i], labels[i]});
      }
      (source.type == MetricType::Counter ? metric.counter.value
                                          : metric.gauge.value) = value;
    }
    return family;
  }

  std::vector<prometheus::MetricFamily> Collect() {
    std::vector<std::pair<const Source*, Entries>> known;
    std::vector<std::shared_ptr<const prometheus::Collectable>> foreign;
    std::set<std::string> taken;
    {
      const MutexLock lock(mutex);
      for (const auto& [name, source] : sources) {
        known.emplace_back(&source, source.callbacks);
      }
      std::erase_if(collectables, [&](const auto& weak) {
        auto collectable = weak.lock();
        if (collectable == nullptr) return true;
        foreign.push_back(std::move(collectable));
        return false;
      });
      taken = names;
    }

    std::vector<prometheus::MetricFamily> families = {build_info};
    if (options.process_metrics) internal::CollectProcessMetrics(families);
    for (const auto& [source, callbacks] : known) {
      families.push_back(source->state != nullptr ? source->state->Collect()
                                                  : Call(*source, callbacks));
    }
    for (const auto& collectable : foreign) {
      std::vector<prometheus::MetricFamily> collected;
      try {
        collected = collectable->Collect();
      } catch (...) {
        Complain("(a collectable)", "it threw");
      }
      for (prometheus::MetricFamily& family : collected) {
        std::set<std::string> wanted = Names(family.name, family.type);
        if (std::any_of(wanted.begin(), wanted.end(), [&](const auto& name) {
              return taken.count(name) != 0;
            })) {
          Complain(family.name, "a collectable reported a name that is taken");
          continue;
        }
        taken.merge(wanted);
        family.help = CleanHelp(family.help);
        for (prometheus::ClientMetric& metric : family.metric) {
          for (auto& label : metric.label) {
            label.value = internal::CleanLabelValue(label.value);
          }
        }
        families.push_back(std::move(family));
      }
    }
    return families;
  }

  // Once for each name and cause: a scrape comes every few seconds.
  void Complain(const std::string& name, std::string_view cause) {
    {
      const MutexLock lock(mutex);
      if (!complaints.emplace(name, cause).second) return;
    }
    options.logger.Warning("values of a metric are left out of /metrics",
                           {{"metric", name}, {"cause", cause}});
  }

  const MetricsRegistryOptions options;
  internal::CellArena arena;
  CounterFamily* overflow = nullptr;
  const prometheus::MetricFamily build_info = BuildInfo(options);

  Mutex mutex;
  // Sources stay until the registry goes, so their parts but for the callbacks
  // may be read without the lock.
  std::map<std::string, Source, std::less<>> sources ABSL_GUARDED_BY(mutex);
  std::set<std::string> names ABSL_GUARDED_BY(mutex);
  std::vector<std::weak_ptr<const prometheus::Collectable>> collectables
      ABSL_GUARDED_BY(mutex);
  std::set<std::pair<std::string, std::string>> complaints
      ABSL_GUARDED_BY(mutex);
};

MetricsRegistry::MetricsRegistry(MetricsRegistryOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {
  const MutexLock lock(impl_->mutex);
  impl_->names.insert(impl_->build_info.name);
  if (impl_->options.process_metrics) {
    std::vector<prometheus::MetricFamily> process;
    internal::CollectProcessMetrics(process);
    for (const prometheus::MetricFamily& family : process) {
      impl_->names.insert(family.name);
    }
  }
  impl_->overflow = *impl_->AddLocked<CounterFamily, Counter>(
      {.name = "grpccommon_metrics_overflow_total",
       .help = "Look-ups of label values beyond a family's limit, which were "
               "given the child \"other\".",
       .labels = {"family"},
       .max_children = 1'000'000},
      MetricType::Counter);
}

MetricsRegistry::~MetricsRegistry() = default;

absl::StatusOr<CounterFamily*> MetricsRegistry::AddCounter(
    std::string name, std::string help, MetricOptions options) {
  return impl_->Add<CounterFamily, Counter>(
      {.name = std::move(name),
       .help = std::move(help),
       .labels = std::move(options.labels),
       .max_children = options.max_children},
      MetricType::Counter);
}

absl::StatusOr<UpDownCounterFamily*> MetricsRegistry::AddUpDownCounter(
    std::string name, std::string help, MetricOptions options) {
  return impl_->Add<UpDownCounterFamily, UpDownCounter>(
      {.name = std::move(name),
       .help = std::move(help),
       .labels = std::move(options.labels),
       .max_children = options.max_children},
      MetricType::Gauge);
}

absl::StatusOr<GaugeFamily*> MetricsRegistry::AddGauge(std::string name,
                                                       std::string help,
                                                       MetricOptions options) {
  return impl_->Add<GaugeFamily, Gauge>({.name = std::move(name),
                                         .help = std::move(help),
                                         .labels = std::move(options.labels),
                                         .max_children = options.max_children},
                                        MetricType::Gauge);
}

absl::StatusOr<HistogramFamily*> MetricsRegistry::AddHistogram(
    std::string name, std::string help, HistogramOptions options) {
  return impl_->Add<HistogramFamily, Histogram>(
      {.name = std::move(name),
       .help = std::move(help),
       .labels = std::move(options.labels),
       .max_children = options.max_children,
       .buckets = std::move(options.buckets)},
      MetricType::Histogram);
}

absl::StatusOr<MetricRegistration> MetricsRegistry::AddCallbackGauge(
    std::string name, std::string help, std::function<double()> read) {
  return impl_->AddCallback({.name = std::move(name), .help = std::move(help)},
                            MetricType::Gauge, OneSample(std::move(read)));
}

absl::StatusOr<MetricRegistration> MetricsRegistry::AddCallbackGauge(
    std::string name, std::string help, std::vector<std::string> labels,
    std::function<std::vector<MetricSample>()> read) {
  return impl_->AddCallback({.name = std::move(name),
                             .help = std::move(help),
                             .labels = std::move(labels)},
                            MetricType::Gauge, std::move(read));
}

absl::StatusOr<MetricRegistration> MetricsRegistry::AddCallbackCounter(
    std::string name, std::string help, std::function<double()> read) {
  return impl_->AddCallback({.name = std::move(name), .help = std::move(help)},
                            MetricType::Counter, OneSample(std::move(read)));
}

absl::StatusOr<MetricRegistration> MetricsRegistry::AddCallbackCounter(
    std::string name, std::string help, std::vector<std::string> labels,
    std::function<std::vector<MetricSample>()> read) {
  return impl_->AddCallback({.name = std::move(name),
                             .help = std::move(help),
                             .labels = std::move(labels)},
                            MetricType::Counter, std::move(read));
}

void MetricsRegistry::AddCollectable(
    std::weak_ptr<const prometheus::Collectable> collectable) {
  const MutexLock lock(impl_->mutex);
  impl_->collectables.push_back(std::move(collectable));
}

std::string MetricsRegistry::Expose() const {
  std::vector<prometheus::MetricFamily> families = impl_->Collect();
  std::erase_if(families, [](const auto& f) { return f.metric.empty(); });
  std::sort(families.begin(), families.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace grpccommon
