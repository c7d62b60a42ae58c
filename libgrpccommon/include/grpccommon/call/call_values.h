// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "grpccommon/base/export.h"

namespace grpccommon {

/// A few values by type, one of each: wrap common types in a struct of your
/// own. Writers during OnStart only; readers then on any thread.
class GRPCCOMMON_EXPORT CallValues {
 public:
  CallValues() = default;
  CallValues(const CallValues&) = delete;
  CallValues& operator=(const CallValues&) = delete;

  /// Replaces an earlier value of the same type.
  template <typename T>
  T& Set(T value) {
    auto owned = std::make_unique<Holder<T>>(std::move(value));
    T& reference = owned->value;
    for (Entry& entry : entries_) {
      if (entry.type == TypeTag<T>()) {
        entry.holder = std::move(owned);
        return reference;
      }
    }
    entries_.push_back({TypeTag<T>(), std::move(owned)});
    return reference;
  }

  /// Null if there is none.
  template <typename T>
  T* Get() const {
    for (const Entry& entry : entries_) {
      if (entry.type == TypeTag<T>()) {
        return &static_cast<Holder<T>*>(entry.holder.get())->value;
      }
    }
    return nullptr;
  }

 private:
  struct HolderBase {
    virtual ~HolderBase() = default;
  };
  template <typename T>
  struct Holder : HolderBase {
    explicit Holder(T v) : value(std::move(v)) {}
    T value;
  };
  struct Entry {
    const void* type;
    std::unique_ptr<HolderBase> holder;
  };

  // The address of a function-local static of default visibility is one per
  // type in the whole process, across shared libraries.
  template <typename T>
  GRPCCOMMON_EXPORT static const void* TypeTag() {
    static const char tag = 0;
    return &tag;
  }

  std::vector<Entry> entries_;
};

}  // namespace grpccommon
