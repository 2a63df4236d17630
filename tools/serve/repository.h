#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tools/serve/model.h"
#include "tools/serve/types.h"

namespace sluice::serve {

struct RepositoryOptions {
  enum class Control {
    kAll,       // every model of the folder serves; clients may load and unload
    kExplicit,  // those of `load` and those that clients load
    kFixed,     // every model of the folder serves; clients may not load and unload
  };
  std::string folder;
  SessionOptions session;
  Control control = Control::kAll;
  std::vector<std::string> load;             // kExplicit: at start
  bool watch = true;                         // follow changes of the folder
  std::chrono::milliseconds interval{2000};  // between two looks at the folder
  std::chrono::milliseconds settle{1000};    // for which files must not have changed
  int max_versions = 0;                      // newest versions of a model that serve; 0: all
  int load_threads = 2;                      // models that load at the same time
  // Told of each load that ended, and of each version that is no longer known. They do not call back.
  std::function<void(const std::string& model, bool success, int64_t ns)> on_load;
  std::function<void(const std::string& model, const std::string& version)> on_forget;
};

// The models of a folder: loaded at start, on demand and when their files change; each change takes effect
// for the requests that come after it. Names from clients are looked up among those that a scan found and
// never become paths. Thread-safe.
class Repository {
 public:
  // Starts to load in the background. Throws Error{kInvalidArgument} for a folder that cannot be read.
  explicit Repository(const RepositoryOptions& options);
  // Waits for loads that are under way.
  ~Repository();

  // version "": the newest that serves. Throws ServeError{kNotFound, kUnavailable}.
  std::shared_ptr<const Model> Find(std::string_view model, std::string_view version) const;
  // Throws ServeError{kNotFound}.
  bool ModelReady(std::string_view model, std::string_view version) const;
  // `versions` are those that serve now. Throws as Find.
  ModelInfo Info(std::string_view model, std::string_view version) const;
  // Ascending by name, then by version.
  std::vector<std::shared_ptr<const Model>> Serving() const;

  // Everything that was there at start and should serve has been loaded once.
  bool Ready() const;
  // No load is under way or due, whether or not all went well; waits at most so long.
  bool WaitSettled(std::chrono::milliseconds most) const;
  std::vector<IndexEntry> Index(bool only_ready) const;

  // As Service::Load and Unload.
  void Load(std::string_view model);
  void Unload(std::string_view model);
  // Has the folder looked at and what changed loaded; returns at once.
  void Rescan();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::serve
