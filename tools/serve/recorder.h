#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "tools/serve/types.h"

namespace sluice::serve {

class ModelRecord;

// What the server counts: statistics of models as the protocols tell them, and the text of /metrics. Label
// values are bounded: models are those that For and CountLoad were told of, other texts those of a fixed set.
// Thread-safe.
class Recorder {
 public:
  Recorder();
  ~Recorder();

  // The record of a version, made when first asked for; ask for models that exist only. It may outlive the
  // recorder.
  std::shared_ptr<ModelRecord> For(const std::string& model, const std::string& version);
  // Its statistics and series end; runs under way still count in what they hold.
  void Forget(const std::string& model, const std::string& version);

  // A load of a model that has ended, well or not, after ns.
  void CountLoad(const std::string& model, bool success, int64_t ns);

  // What a protocol has seen: reading the request and writing the answer took network_ns.
  void CountRequest(std::string_view protocol, std::string_view model, std::string_view outcome,
                    int64_t network_ns);

  // Of the models known; "" means any. Sorted by model, then version as a number.
  std::vector<ModelStatistics> Statistics(std::string_view model, std::string_view version) const;

  // Everything in Prometheus' text format.
  std::string Text() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::serve
