#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tools/serve/types.h"

namespace sluice::serve {

// What the protocols serve. All of it is thread-safe and, but for Load and Unload, returns at once.
class Service {
 public:
  using Answer = std::variant<InferResponse, ServeError>;

  virtual ~Service() = default;

  // Calls `done` exactly once, from any thread, maybe before it returns. `done` does not throw and does not
  // block.
  virtual void Infer(InferRequest request, std::function<void(Answer)> done) = 0;

  virtual bool Live() const = 0;
  // Every model that should serve does, and the server is not shutting down.
  virtual bool Ready() const = 0;
  // Throw ServeError{kNotFound} for models and versions that are not there. version "": the newest that
  // serves.
  virtual bool ModelReady(std::string_view model, std::string_view version) const = 0;
  virtual ModelInfo Info(std::string_view model, std::string_view version) const = 0;
  // model "": all.
  virtual std::vector<ModelStatistics> Statistics(std::string_view model, std::string_view version) const = 0;

  virtual std::vector<IndexEntry> Index(bool only_ready) const = 0;
  // Return when the model serves, or no longer does; call them from a thread that may wait.
  // Throw ServeError{kNotFound, kInvalid, kUnavailable}; kUnavailable says why it cannot be loaded.
  virtual void Load(std::string_view model) = 0;
  virtual void Unload(std::string_view model) = 0;

  // The text of /metrics.
  virtual std::string Metrics() const = 0;
  // For /metrics and statistics of what only a protocol sees: reading the request and writing the answer.
  // protocol: "http", "grpc".
  virtual void CountRequest(std::string_view protocol, std::string_view model, std::string_view outcome,
                            int64_t network_ns) = 0;
};

}  // namespace sluice::serve
