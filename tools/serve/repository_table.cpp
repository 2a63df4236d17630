#include "tools/serve/repository_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/serve/log.h"

namespace sluice::serve {
namespace {

int64_t NowNs() {
  return std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

void RepositoryTable::Merge(const FoundModels& found, const std::optional<std::set<std::string>>& names,
                            bool start) {
  root_ = found.root;
  const auto now = Clock::now();
  const auto looked_at = [&](const std::string& name) { return !names || names->count(name) != 0; };
  for (auto& [name, entry] : entries_) {
    if (!looked_at(name)) continue;
    const auto model = found.models.find(name);
    entry.problem = model == found.models.end() ? "no longer in the repository" : model->second.problem;
    for (auto& [version, slot] : entry.slots) {
      const bool there = model != found.models.end() && model->second.versions.count(version) != 0;
      if (!there && !slot.gone) slot.seen = now;
      slot.gone = !there;
    }
  }
  for (const auto& [name, model] : found.models) {
    if (!looked_at(name)) continue;
    const auto [place, is_new] = entries_.try_emplace(name);
    Entry& entry = place->second;
    entry.problem = model.problem;
    if (is_new) {
      const auto& listed = options_.load;
      entry.wanted = options_.control != Control::kExplicit ||
                     (start && std::find(listed.begin(), listed.end(), name) != listed.end());
      entry.due_at_start = start && entry.wanted && model.versions.empty();
    }
    for (const auto& [version, files] : model.versions) {
      Slot& slot = entry.slots[version];
      if (slot.found.print != files.print) slot.seen = now;
      slot.found = files;
    }
    for (auto& [version, slot] : entry.slots)
      if (start) slot.due_at_start = Wanted(entry, version);
  }
}

void RepositoryTable::Arrived(const Arrival& arrival) { arrivals_.push_back(arrival); }

// Whether every file was written long ago, or before it was renamed to its place.
bool RepositoryTable::Quiet(const FoundVersion& found) const {
  const int64_t now = NowNs();
  const auto arrived = [&](const FoundVersion::File& file) {
    return std::any_of(arrivals_.begin(), arrivals_.end(), [&](const Arrival& arrival) {
      const bool part = file.path.starts_with(arrival.path) &&
                        (file.path.size() == arrival.path.size() || file.path[arrival.path.size()] == '/');
      return part && file.changed_ns <= arrival.ns;
    });
  };
  return std::all_of(found.files.begin(), found.files.end(), [&](const FoundVersion::File& file) {
    return now - file.changed_ns >= std::chrono::nanoseconds(options_.settle).count() || arrived(file);
  });
}

bool RepositoryTable::Settle() {
  const auto now = Clock::now();
  // By then such a file is old enough anyway.
  std::erase_if(arrivals_, [&](const Arrival& arrival) {
    return NowNs() - arrival.ns > 2 * std::chrono::nanoseconds(options_.settle).count();
  });
  bool waiting = false;
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    int serving = 0;
    for (auto it = entry->second.slots.rbegin(); it != entry->second.slots.rend(); ++it) {
      Slot& slot = it->second;
      slot.settled = now - slot.seen >= options_.settle || (!slot.gone && Quiet(slot.found));
      if (!slot.settled) waiting = true;
      const bool superseded = options_.max_versions > 0 && serving >= options_.max_versions;
      if (slot.model && (superseded || (slot.gone && slot.settled))) {
        Log(LogLevel::kInfo, "out of service",
            {{"model", entry->first},
             {"version", it->first},
             {"reason", slot.gone ? "its files are gone" : "newer versions serve"}});
        TakeOut(slot);
      }
      if (slot.model) ++serving;
    }
    std::erase_if(entry->second.slots, [&, &name = entry->first](const auto& item) {
      const Slot& slot = item.second;
      const bool over = slot.gone && slot.settled && !slot.loading && slot.leaving.expired();
      if (over && options_.on_forget) options_.on_forget(name, std::to_string(item.first));
      return over;
    });
    // What is left of a model whose folder is gone.
    const bool gone = entry->second.slots.empty() && entry->second.problem == "no longer in the repository";
    entry = gone ? entries_.erase(entry) : std::next(entry);
  }
  return waiting;
}

bool RepositoryTable::Wanted(const Entry& entry, int64_t version) const {
  if (!entry.wanted) return false;
  if (options_.max_versions == 0) return true;
  int newer = 0;
  for (const auto& [other, slot] : entry.slots)
    if (other > version && !slot.gone) ++newer;
  return newer < options_.max_versions;
}

bool RepositoryTable::Due(const Entry& entry, int64_t version, const Slot& slot) const {
  return !slot.gone && slot.found.print != slot.loaded && slot.found.print != slot.failed &&
         Wanted(entry, version);
}

std::optional<RepositoryTable::Work> RepositoryTable::TakeWork() {
  for (auto& [name, entry] : entries_) {
    // The newest first: it is what most requests mean.
    for (auto it = entry.slots.rbegin(); it != entry.slots.rend(); ++it) {
      Slot& slot = it->second;
      if (slot.loading || !slot.settled || !Due(entry, it->first, slot)) continue;
      slot.loading = true;
      return Work{root_, name, it->first, slot.found};
    }
  }
  return std::nullopt;
}

void RepositoryTable::Finish(const Work& work, std::shared_ptr<const Model> model, const std::string& reason,
                             const std::string& print, double seconds) {
  const auto entry = entries_.find(work.name);
  if (entry == entries_.end()) return;
  const auto place = entry->second.slots.find(work.version);
  if (place == entry->second.slots.end()) return;
  Slot& slot = place->second;
  slot.loading = false;
  if (options_.on_load) options_.on_load(work.name, model != nullptr, static_cast<int64_t>(seconds * 1e9));
  if (print != work.found.print || !entry->second.wanted) return;  // files changed, or it is no longer wanted
  if (!model) {
    slot.failed = print;
    slot.reason = reason;
    Log(LogLevel::kError, slot.model ? "cannot load; what served before goes on" : "cannot load",
        {{"model", work.name}, {"version", work.version}, {"reason", reason}});
    return;
  }
  const bool replaced = slot.model != nullptr;
  slot.leaving = slot.model;
  slot.model = std::move(model);
  slot.loaded = print;
  slot.failed.clear();
  slot.reason.clear();
  slot.due_at_start = entry->second.due_at_start = false;
  Log(LogLevel::kInfo, replaced ? "replaced" : "loaded",
      {{"model", work.name}, {"version", work.version}, {"seconds", seconds}});
}

void RepositoryTable::TakeOut(Slot& slot) {
  if (slot.model) slot.leaving = slot.model;
  slot.model.reset();
  slot.loaded.clear();
}

void RepositoryTable::Want(const std::string& name) {
  Entry& entry = entries_.at(name);
  entry.wanted = true;
  for (auto& [version, slot] : entry.slots) slot.failed.clear();
}

void RepositoryTable::Unwant(const std::string& name) {
  Entry& entry = entries_.at(name);
  entry.wanted = entry.due_at_start = false;
  for (auto& [version, slot] : entry.slots) {
    TakeOut(slot);
    slot.failed.clear();
    slot.reason.clear();
    slot.due_at_start = false;
  }
}

bool RepositoryTable::Done(const std::string* name) const {
  for (const auto& [known, entry] : entries_) {
    if (name != nullptr && *name != known) continue;
    for (const auto& [version, slot] : entry.slots)
      if (slot.loading || Due(entry, version, slot)) return false;
  }
  return true;
}

bool RepositoryTable::Ready() const {
  for (const auto& [name, entry] : entries_) {
    if (entry.due_at_start) return false;
    for (const auto& [version, slot] : entry.slots)
      if (slot.due_at_start) return false;
  }
  return true;
}

}  // namespace sluice::serve
