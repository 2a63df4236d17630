#pragma once

#include <memory>

#include "tools/serve/repository.h"
#include "tools/serve/scheduler.h"
#include "tools/serve/service.h"

namespace sluice::serve {

struct CoreOptions {
  RepositoryOptions repository;
  SchedulerOptions scheduler;
};

// The service itself: the models of a repository, run by a scheduler.
class Core : public Service {
 public:
  // Models load in the background. Throws Error{kInvalidArgument} as Repository does.
  explicit Core(const CoreOptions& options);
  // Requests that wait are answered with kUnavailable; those that run are waited for.
  ~Core() override;

  void Infer(InferRequest request, std::function<void(Answer)> done) override;
  bool Live() const override;
  bool Ready() const override;
  bool ModelReady(std::string_view model, std::string_view version) const override;
  ModelInfo Info(std::string_view model, std::string_view version) const override;
  std::vector<ModelStatistics> Statistics(std::string_view model, std::string_view version) const override;
  std::vector<IndexEntry> Index(bool only_ready) const override;
  void Load(std::string_view model) override;
  void Unload(std::string_view model) override;
  std::string Metrics() const override;
  void CountRequest(std::string_view protocol, std::string_view model, std::string_view outcome,
                    int64_t network_ns) override;

  // Not ready from here on; requests are still served.
  void Leave();
  // Until nothing waits or runs, or the time is there; whether all is done.
  bool Drain(Clock::time_point until);
  Repository& repository();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::serve
