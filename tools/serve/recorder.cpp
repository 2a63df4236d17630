#include "tools/serve/recorder.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <sstream>

#include "tools/serve/metric_families.h"
#include "tools/serve/model_record.h"

namespace sluice::serve {
namespace {

using Key = std::pair<std::string, std::string>;

// Versions are numbers: "9" before "10".
bool VersionLess(const std::string& a, const std::string& b) {
  const auto number = [](const std::string& text) {
    uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  };
  return std::pair(number(a), a) < std::pair(number(b), b);
}

struct KeyLess {
  bool operator()(const Key& a, const Key& b) const {
    return a.first != b.first ? a.first < b.first : VersionLess(a.second, b.second);
  }
};

}  // namespace

class Recorder::Impl {
 public:
  std::shared_ptr<ModelRecord> For(const std::string& model, const std::string& version) {
    const std::lock_guard lock(mutex_);
    names_.insert(model);
    std::shared_ptr<ModelRecord>& record = records_[{model, version}];
    if (!record) record = std::make_shared<ModelRecord>(model, version);
    return record;
  }

  void Forget(const std::string& model, const std::string& version) {
    const std::lock_guard lock(mutex_);
    records_.erase({model, version});
  }

  void CountLoad(const std::string& model, bool success, int64_t ns) {
    const std::lock_guard lock(mutex_);
    names_.insert(model);
    LoadNumbers& loads = loads_[model];
    ++(success ? loads.succeeded : loads.failed);
    loads.ns += std::max<int64_t>(0, ns);
  }

  void CountRequest(std::string_view protocol, std::string_view model, std::string_view outcome,
                    int64_t network_ns) {
    const std::lock_guard lock(mutex_);
    // Clients choose names; those of models that there are stay apart.
    const auto known = names_.find(model);
    RequestKey key{std::string(protocol), known == names_.end() ? "" : *known, std::string(outcome)};
    constexpr size_t kMostSeries = 100'000;
    if (requests_.size() >= kMostSeries && !requests_.contains(key)) return;
    RequestNumbers& numbers = requests_.try_emplace(std::move(key)).first->second;
    ++numbers.count;
    numbers.network.Add(std::max<int64_t>(0, network_ns));
  }

  std::vector<ModelStatistics> Statistics(std::string_view model, std::string_view version) const {
    const std::lock_guard lock(mutex_);
    std::vector<ModelStatistics> result;
    for (const auto& [key, record] : records_) {
      if ((model.empty() || key.first == model) && (version.empty() || key.second == version))
        result.push_back(record->Read().statistics);
    }
    return result;
  }

  std::string Text() const {
    MetricFamilies families;
    {
      const std::lock_guard lock(mutex_);
      for (const auto& [key, record] : records_) families.AddModel(record->Read());
      for (const auto& [model, loads] : loads_) families.AddLoads(model, loads);
      for (const auto& [key, numbers] : requests_) families.AddRequests(key, numbers);
    }
    families.AddProcess();
    std::ostringstream text;
    prometheus::TextSerializer().Serialize(text, families.Take());
    return std::move(text).str();
  }

 private:
  mutable std::mutex mutex_;
  std::set<std::string, std::less<>> names_;
  std::map<Key, std::shared_ptr<ModelRecord>, KeyLess> records_;
  std::map<std::string, LoadNumbers> loads_;
  std::map<RequestKey, RequestNumbers> requests_;
};

Recorder::Recorder() : impl_(std::make_unique<Impl>()) {}
Recorder::~Recorder() = default;

std::shared_ptr<ModelRecord> Recorder::For(const std::string& model, const std::string& version) {
  return impl_->For(model, version);
}
void Recorder::Forget(const std::string& model, const std::string& version) { impl_->Forget(model, version); }
void Recorder::CountLoad(const std::string& model, bool success, int64_t ns) {
  impl_->CountLoad(model, success, ns);
}
void Recorder::CountRequest(std::string_view protocol, std::string_view model, std::string_view outcome,
                            int64_t network_ns) {
  impl_->CountRequest(protocol, model, outcome, network_ns);
}
std::vector<ModelStatistics> Recorder::Statistics(std::string_view model, std::string_view version) const {
  return impl_->Statistics(model, version);
}
std::string Recorder::Text() const { return impl_->Text(); }

}  // namespace sluice::serve
