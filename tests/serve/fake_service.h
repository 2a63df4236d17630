#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <utility>

#include "tools/serve/service.h"

namespace sluice::serve {

// A service of one model, `echo` version 1, for tests of the protocols: each input comes back as an output of
// the same name, type and shape, unless the test sets `on_infer`.
class FakeService : public Service {
 public:
  std::function<void(InferRequest, std::function<void(Answer)>)> on_infer;
  std::atomic<bool> ready{true};
  std::atomic<int> loads{0}, unloads{0}, infers{0};
  ModelInfo info = {.name = "echo",
                    .versions = {"1"},
                    .version = "1",
                    .inputs = {{"x", "FP32", {-1, 2}}},
                    .outputs = {{"x", "FP32", {-1, 2}}}};

  void Infer(InferRequest request, std::function<void(Answer)> done) override {
    ++infers;
    if (on_infer) return on_infer(std::move(request), std::move(done));
    if (request.model != info.name) return done(Unknown(request.model));
    done(Echo(request));
  }
  static InferResponse Echo(const InferRequest& request) {
    InferResponse response;
    response.model = request.model;
    response.version = "1";
    response.id = request.id;
    for (const InferInput& input : request.inputs)
      response.outputs.emplace_back(input.name, input.tensor.Clone());
    return response;
  }

  bool Live() const override { return true; }
  bool Ready() const override { return ready; }
  bool ModelReady(std::string_view model, std::string_view version) const override {
    Find(model, version);
    return ready;
  }
  ModelInfo Info(std::string_view model, std::string_view version) const override {
    Find(model, version);
    return info;
  }
  std::vector<ModelStatistics> Statistics(std::string_view model, std::string_view version) const override {
    if (!model.empty()) Find(model, version);
    ModelStatistics statistics;
    statistics.name = info.name;
    statistics.version = "1";
    statistics.inference_count = 3;
    statistics.success = {.count = 3, .ns = 3000};
    statistics.batches = {
        {.batch_size = 1, .compute_input = {3, 30}, .compute_infer = {3, 60}, .compute_output = {3, 90}}};
    return {statistics};
  }
  std::vector<IndexEntry> Index(bool only_ready) const override {
    if (only_ready && !ready) return {};
    return {{info.name, "1", ready ? "READY" : "UNAVAILABLE", ready ? "" : "not loaded"}};
  }
  void Load(std::string_view model) override {
    Find(model, "");
    ++loads;
  }
  void Unload(std::string_view model) override {
    Find(model, "");
    ++unloads;
  }
  std::string Metrics() const override {
    return "# HELP sluice_up 1 while it runs\n# TYPE sluice_up gauge\nsluice_up 1\n";
  }
  void CountRequest(std::string_view, std::string_view, std::string_view, int64_t) override {}

 private:
  static ServeError Unknown(std::string_view model) {
    return ServeError(Reason::kNotFound, "model '" + std::string(model) + "' is not known");
  }
  void Find(std::string_view model, std::string_view version) const {
    if (model != info.name) throw Unknown(model);
    if (!version.empty() && version != "1")
      throw ServeError(Reason::kNotFound, "model 'echo' has no version '" + std::string(version) + "'");
  }
};

}  // namespace sluice::serve
