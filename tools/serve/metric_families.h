#pragma once

#include <prometheus/metric_family.h>

#include <compare>
#include <map>
#include <string>
#include <vector>

#include "tools/serve/model_record.h"

namespace sluice::serve {

struct LoadNumbers {
  uint64_t succeeded = 0, failed = 0;
  int64_t ns = 0;
};

struct RequestKey {
  std::string protocol, model, outcome;
  auto operator<=>(const RequestKey&) const = default;
};
struct RequestNumbers {
  uint64_t count = 0;
  LatencyHistogram network{kLatencyBounds};
};

// Gathers series under the names that /metrics has, in the order of their first mention.
class MetricFamilies {
 public:
  void AddModel(const ModelRecord::Numbers& numbers);
  void AddLoads(const std::string& model, const LoadNumbers& loads);
  void AddRequests(const RequestKey& key, const RequestNumbers& numbers);
  // Memory, processor time and open files of this process, under the names that every client library uses.
  void AddProcess();

  std::vector<prometheus::MetricFamily> Take() { return std::move(families_); }

 private:
  using Labels = std::vector<prometheus::ClientMetric::Label>;

  prometheus::ClientMetric& Add(const char* name, const char* help, prometheus::MetricType type,
                                const Labels& labels);
  void AddCounter(const char* name, const char* help, const Labels& labels, double value);
  void AddGauge(const char* name, const char* help, const Labels& labels, double value);
  // The sum and the bounds are multiplied with `unit`.
  template <size_t N>
  void AddHistogram(const char* name, const char* help, const Labels& labels, const Histogram<N>& histogram,
                    double unit);

  std::vector<prometheus::MetricFamily> families_;
  std::map<std::string, size_t> places_;
};

}  // namespace sluice::serve
