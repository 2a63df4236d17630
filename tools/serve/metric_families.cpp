#include "tools/serve/metric_families.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <limits>
#include <memory>

namespace sluice::serve {
namespace {

constexpr double kUs = 1e-3, kSeconds = 1e-9;  // of nanoseconds

}  // namespace

prometheus::ClientMetric& MetricFamilies::Add(const char* name, const char* help, prometheus::MetricType type,
                                              const Labels& labels) {
  const auto [place, is_new] = places_.try_emplace(name, families_.size());
  if (is_new) families_.push_back({name, help, type, {}});
  prometheus::ClientMetric metric;
  metric.label = labels;
  return families_[place->second].metric.emplace_back(std::move(metric));
}

void MetricFamilies::AddCounter(const char* name, const char* help, const Labels& labels, double value) {
  Add(name, help, prometheus::MetricType::Counter, labels).counter.value = value;
}

void MetricFamilies::AddGauge(const char* name, const char* help, const Labels& labels, double value) {
  Add(name, help, prometheus::MetricType::Gauge, labels).gauge.value = value;
}

template <size_t N>
void MetricFamilies::AddHistogram(const char* name, const char* help, const Labels& labels,
                                  const Histogram<N>& histogram, double unit) {
  auto& dst = Add(name, help, prometheus::MetricType::Histogram, labels).histogram;
  for (size_t i = 0; i <= N; ++i) {
    dst.sample_count += histogram.counts()[i];
    dst.bucket.push_back({dst.sample_count, i < N ? static_cast<double>(histogram.bounds()[i]) * unit
                                                  : std::numeric_limits<double>::infinity()});
  }
  dst.sample_sum = static_cast<double>(histogram.sum()) * unit;
}

void MetricFamilies::AddModel(const ModelRecord::Numbers& numbers) {
  const ModelStatistics& statistics = numbers.statistics;
  const Labels labels = {{"model", statistics.name}, {"version", statistics.version}};
  const auto counter = [&](const char* name, const char* help, double value) {
    AddCounter(name, help, labels, value);
  };
  counter("sluice_inference_request_success", "Requests answered with outputs",
          static_cast<double>(statistics.success.count));
  for (size_t i = 0; i < kReasons; ++i) {
    Labels with_reason = labels;
    with_reason.push_back({"reason", ReasonName(static_cast<Reason>(i))});
    // Those that every alert asks for are there from the start.
    const auto reason = static_cast<Reason>(i);
    const bool always = reason == Reason::kInvalid || reason == Reason::kTimeout ||
                        reason == Reason::kCancelled || reason == Reason::kOverloaded ||
                        reason == Reason::kInternal;
    if (always || numbers.failures[i] > 0) {
      AddCounter("sluice_inference_request_failure", "Requests answered with an error", with_reason,
                 static_cast<double>(numbers.failures[i]));
    }
  }
  counter("sluice_inference_count", "Inferences, each member of a batch counted",
          static_cast<double>(statistics.inference_count));
  counter("sluice_inference_exec_count", "Executions of the model, each batch counted once",
          static_cast<double>(statistics.execution_count));
  const auto duration = [&](const char* name, const char* help, const Duration& value) {
    counter(name, help, static_cast<double>(value.ns) * kUs);
  };
  duration("sluice_inference_request_duration_us",
           "Time of successful requests in microseconds, all together", statistics.success);
  duration("sluice_inference_queue_duration_us", "Time that successful requests waited", statistics.queue);
  duration("sluice_inference_compute_input_duration_us", "Time to prepare inputs, times batch size",
           statistics.compute_input);
  duration("sluice_inference_compute_infer_duration_us", "Time in the model, times batch size",
           statistics.compute_infer);
  duration("sluice_inference_compute_output_duration_us", "Time to take outputs apart, times batch size",
           statistics.compute_output);
  AddGauge("sluice_inference_pending_request_count", "Requests that wait", labels,
           static_cast<double>(numbers.queued));
  AddGauge("sluice_inference_running_request_count", "Requests that run", labels,
           static_cast<double>(numbers.running));
  AddHistogram("sluice_inference_request_seconds",
               "Successful requests by their whole time in the server's queue "
               "and model",
               labels, numbers.total, kSeconds);
  AddHistogram("sluice_inference_queue_seconds", "Successful requests by time waited", labels, numbers.queue,
               kSeconds);
  AddHistogram("sluice_inference_batch_seconds",
               "Successful requests by time for pictures, assembling and taking apart batches", labels,
               numbers.batch, kSeconds);
  AddHistogram("sluice_inference_compute_seconds", "Successful requests by time in the model", labels,
               numbers.compute, kSeconds);
  AddHistogram("sluice_inference_batch_size", "Executions by batch size", labels, numbers.batches, 1);
}

void MetricFamilies::AddLoads(const std::string& model, const LoadNumbers& loads) {
  const Labels labels = {{"model", model}};
  AddCounter("sluice_model_load_success", "Loads of a model that ended well", labels,
             static_cast<double>(loads.succeeded));
  AddCounter("sluice_model_load_failure", "Loads of a model that failed", labels,
             static_cast<double>(loads.failed));
  AddCounter("sluice_model_load_duration_us", "Time spent loading, warm-up included", labels,
             static_cast<double>(loads.ns) * kUs);
}

void MetricFamilies::AddRequests(const RequestKey& key, const RequestNumbers& numbers) {
  AddCounter("sluice_requests", "Requests by protocol and outcome; model is empty for unknown ones",
             {{"protocol", key.protocol}, {"model", key.model}, {"outcome", key.outcome}},
             static_cast<double>(numbers.count));
  AddHistogram("sluice_network_seconds", "Requests by time to read them and to write their answers",
               {{"protocol", key.protocol}, {"model", key.model}, {"outcome", key.outcome}}, numbers.network,
               kSeconds);
}

void MetricFamilies::AddProcess() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  AddCounter("process_cpu_seconds_total", "Processor time used", {},
             seconds(usage.ru_utime) + seconds(usage.ru_stime));
  int64_t virtual_pages = 0, resident_pages = 0;
  if (std::ifstream("/proc/self/statm") >> virtual_pages >> resident_pages) {
    const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
    AddGauge("process_resident_memory_bytes", "Memory in use", {},
             static_cast<double>(resident_pages) * page);
    AddGauge("process_virtual_memory_bytes", "Memory mapped", {}, static_cast<double>(virtual_pages) * page);
  }
  if (const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc/self/fd"), closedir); folder) {
    int64_t files = -3;  // ".", ".." and the folder itself
    while (readdir(folder.get()) != nullptr) ++files;
    AddGauge("process_open_fds", "Open files and connections", {}, static_cast<double>(files));
  }
}

}  // namespace sluice::serve
