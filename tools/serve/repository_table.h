#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tools/serve/folder_watch.h"
#include "tools/serve/model.h"
#include "tools/serve/repository.h"
#include "tools/serve/scan.h"

namespace sluice::serve {

// What a repository knows of its models, and what is to be done next. No thread, no lock and no file: the
// owner has those.
class RepositoryTable {
 public:
  using Control = RepositoryOptions::Control;

  struct Slot {  // a version
    FoundVersion found;
    Clock::time_point seen;      // when its files were first as they are, or first missing
    std::string loaded, failed;  // prints that were loaded, and that could not be
    std::string reason;          // why what is in the folder does not serve
    std::shared_ptr<const Model> model;
    std::weak_ptr<const Model> leaving;  // taken out of service, maybe still running
    bool gone = false;                   // no longer in the folder
    bool settled = false;
    bool loading = false;
    bool due_at_start = false;  // was there at start and has not served yet
  };
  struct Entry {  // a model
    std::map<int64_t, Slot> slots;
    std::string problem;
    bool wanted = false;
    bool due_at_start = false;
  };
  struct Work {
    std::string root, name;
    int64_t version = 0;
    FoundVersion found;
  };

  explicit RepositoryTable(const RepositoryOptions& options) : options_(options) {}

  // What a scan found; names: those to look at, nothing: all.
  void Merge(const FoundModels& found, const std::optional<std::set<std::string>>& names, bool start);
  // A file or folder that was renamed to its place is complete: it need not settle.
  void Arrived(const Arrival& arrival);
  // Finds out whose files have settled, takes out of service what is gone or superseded. Whether some files
  // have not settled yet.
  bool Settle();

  // A version to load, which counts as loading from now on.
  std::optional<Work> TakeWork();
  // The end of a load: a model, or why there is none. `print`: of the files after it; where they changed
  // meanwhile the result counts for nothing.
  void Finish(const Work& work, std::shared_ptr<const Model> model, const std::string& reason,
              const std::string& print, double seconds);

  void Want(const std::string& name);
  void Unwant(const std::string& name);
  // Whether nothing of the model (nullptr: of any) loads or is about to.
  bool Done(const std::string* name) const;
  bool Ready() const;

  const std::map<std::string, Entry, std::less<>>& entries() const { return entries_; }

 private:
  bool Wanted(const Entry& entry, int64_t version) const;
  bool Due(const Entry& entry, int64_t version, const Slot& slot) const;
  static void TakeOut(Slot& slot);
  bool Quiet(const FoundVersion& found) const;

  const RepositoryOptions options_;
  std::string root_;
  std::vector<Arrival> arrivals_;  // those of the last moments
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace sluice::serve
