#include "tools/serve/repository.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <shared_mutex>
#include <thread>
#include <utility>

#include "sluice/error.h"
#include "tools/serve/folder_watch.h"
#include "tools/serve/load_model.h"
#include "tools/serve/log.h"
#include "tools/serve/repository_table.h"
#include "tools/serve/text.h"

namespace sluice::serve {
namespace {

using Slot = RepositoryTable::Slot;
using Entry = RepositoryTable::Entry;

[[noreturn]] void FailNoModel(std::string_view model) {
  throw ServeError(Reason::kNotFound, fmt::format("model '{}' is not known", Shown(model)));
}

const Entry& EntryOf(const RepositoryTable& table, std::string_view model) {
  const auto entry = table.entries().find(model);
  if (entry == table.entries().end()) FailNoModel(model);
  return entry->second;
}

// nullptr for version "" if none serves.
const Slot* SlotOf(const Entry& entry, std::string_view model, std::string_view version) {
  if (version.empty()) {
    for (auto it = entry.slots.rbegin(); it != entry.slots.rend(); ++it)
      if (it->second.model) return &it->second;
    return nullptr;
  }
  int64_t number = 0;
  const char* const end = version.data() + version.size();
  const auto [stop, error] = std::from_chars(version.data(), end, number);
  const auto slot =
      error == std::errc() && stop == end && version[0] != '0' ? entry.slots.find(number) : entry.slots.end();
  if (slot == entry.slots.end() || (slot->second.gone && !slot->second.model)) {
    throw ServeError(Reason::kNotFound,
                     fmt::format("model '{}' has no version '{}'", Shown(model), Shown(version)));
  }
  return &slot->second;
}

bool Loads(const Entry& entry, const Slot* slot) {
  if (!entry.wanted) return false;
  if (slot != nullptr) return slot->loading || slot->found.print != slot->failed;
  for (const auto& [version, other] : entry.slots)
    if (other.loading || other.found.print != other.failed) return true;
  return false;
}

}  // namespace

class Repository::Impl {
 public:
  explicit Impl(const RepositoryOptions& options) : options_(options), table_(options) {
    const FoundModels found = ScanModels(options.folder);
    for (const std::string& name : options.load) {
      if (found.models.count(name) == 0)
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("model repository '{}': there is no model '{}'", options.folder, name));
    }
    LogIgnored(found);
    table_.Merge(found, std::nullopt, /*start=*/true);
    waiting_ = table_.Settle();
    if (options.watch) {
      watch_.emplace([this](const std::vector<Arrival>& arrivals) { Changed(arrivals); });
      watch_->Watch(found.folders);
    }
    for (int i = 0; i < std::max(1, options.load_threads); ++i) threads_.emplace_back([this] { LoadLoop(); });
    threads_.emplace_back([this] { ScanLoop(); });
  }

  ~Impl() {
    {
      const std::unique_lock lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    watch_.reset();
  }

  std::shared_ptr<const Model> Find(std::string_view model, std::string_view version) const {
    const std::shared_lock lock(mutex_);
    const Entry& entry = EntryOf(table_, model);
    const Slot* slot = SlotOf(entry, model, version);
    if (slot != nullptr && slot->model) return slot->model;
    const std::string which = version.empty() ? fmt::format("model '{}'", model)
                                              : fmt::format("model '{}' version {}", model, version);
    if (Loads(entry, slot)) throw ServeError(Reason::kUnavailable, which + " is loading", 1);
    if (!entry.wanted) throw ServeError(Reason::kUnavailable, which + " is not loaded");
    throw ServeError(Reason::kUnavailable, which + " could not be loaded; the repository index says why");
  }

  bool ModelReady(std::string_view model, std::string_view version) const {
    const std::shared_lock lock(mutex_);
    const Slot* slot = SlotOf(EntryOf(table_, model), model, version);
    return slot != nullptr && slot->model != nullptr;
  }

  ModelInfo Info(std::string_view model, std::string_view version) const {
    ModelInfo info = Find(model, version)->info;
    info.versions.clear();
    const std::shared_lock lock(mutex_);
    if (const auto entry = table_.entries().find(model); entry != table_.entries().end()) {
      for (const auto& [number, slot] : entry->second.slots)
        if (slot.model) info.versions.push_back(std::to_string(number));
    }
    return info;
  }

  std::vector<std::shared_ptr<const Model>> Serving() const {
    std::vector<std::shared_ptr<const Model>> models;
    const std::shared_lock lock(mutex_);
    for (const auto& [name, entry] : table_.entries())
      for (const auto& [version, slot] : entry.slots)
        if (slot.model) models.push_back(slot.model);
    return models;
  }

  bool Ready() const {
    const std::shared_lock lock(mutex_);
    return table_.Ready();
  }

  bool WaitSettled(std::chrono::milliseconds most) const {
    std::shared_lock lock(mutex_);
    return changed_.wait_for(lock, most, [&] { return table_.Done(nullptr); });
  }

  std::vector<IndexEntry> Index(bool only_ready) const {
    std::vector<IndexEntry> index;
    const std::shared_lock lock(mutex_);
    for (const auto& [name, entry] : table_.entries()) {
      if (entry.slots.empty() && !only_ready) index.push_back({name, "", "UNAVAILABLE", entry.problem});
      for (const auto& [version, slot] : entry.slots) {
        if (only_ready && !slot.model) continue;
        index.push_back({name, std::to_string(version), StateOf(entry, slot), ReasonOf(entry, slot)});
      }
    }
    return index;
  }

  void Load(std::string_view model) {
    CheckControl();
    const std::string name(model);
    std::unique_lock lock(mutex_);
    // A name that no scan ever found never makes the disk busy for long: at most one scan more.
    Scan(lock, name);
    if (EntryOf(table_, model).slots.empty())
      throw ServeError(Reason::kUnavailable,
                       fmt::format("model '{}': {}", name, EntryOf(table_, model).problem));
    table_.Want(name);
    changed_.notify_all();
    AwaitLoads(lock, name);
    if (stop_) throw ServeError(Reason::kUnavailable, "the server is shutting down");
    const Entry& entry = EntryOf(table_, model);
    if (!entry.wanted)
      throw ServeError(Reason::kUnavailable, fmt::format("model '{}' was unloaded meanwhile", name));
    for (auto slot = entry.slots.rbegin(); slot != entry.slots.rend(); ++slot) {
      if (!slot->second.reason.empty())
        throw ServeError(Reason::kUnavailable, fmt::format("model '{}' version {} could not be loaded: {}",
                                                           name, slot->first, slot->second.reason));
    }
  }

  void Unload(std::string_view model) {
    CheckControl();
    const std::unique_lock lock(mutex_);
    EntryOf(table_, model);
    table_.Unwant(std::string(model));
    Log(LogLevel::kInfo, "unloaded", {{"model", model}});
    changed_.notify_all();
  }

  void Rescan() {
    const std::unique_lock lock(mutex_);
    scan_all_ = true;
    ++scans_wanted_;
    changed_.notify_all();
  }

 private:
  // A load takes as long as it takes; files that never come to rest are not waited for.
  void AwaitLoads(std::unique_lock<std::shared_mutex>& lock, const std::string& name) {
    const auto longest = options_.settle + std::chrono::seconds(30);
    auto until = Clock::now() + longest;
    while (!stop_ && !table_.Done(&name)) {
      const auto& slots = EntryOf(table_, name).slots;
      if (std::any_of(slots.begin(), slots.end(), [](const auto& item) { return item.second.loading; }))
        until = Clock::now() + longest;
      if (changed_.wait_until(lock, until) == std::cv_status::timeout && Clock::now() >= until)
        throw ServeError(Reason::kUnavailable, fmt::format("model '{}': its files still change", name));
    }
  }

  void CheckControl() const {
    if (options_.control == RepositoryOptions::Control::kFixed)
      throw ServeError(Reason::kUnavailable, "this server does not load and unload models on request");
  }

  static void LogIgnored(const FoundModels& found) {
    for (const std::string& text : found.ignored) Log(LogLevel::kWarning, "ignored", {{"place", text}});
  }

  static std::string StateOf(const Entry& entry, const Slot& slot) {
    if (slot.model) return "READY";
    if (!slot.leaving.expired()) return "UNLOADING";
    return !slot.gone && Loads(entry, &slot) ? "LOADING" : "UNAVAILABLE";
  }

  static std::string ReasonOf(const Entry& entry, const Slot& slot) {
    if (!slot.reason.empty()) return slot.reason;
    if (slot.model) return "";
    if (!entry.wanted) return "not loaded";
    if (slot.gone) return "its files are gone";
    return slot.loading || slot.settled ? "" : "its files still change";
  }

  // Has the scanning thread look at a model, and waits for it.
  void Scan(std::unique_lock<std::shared_mutex>& lock, const std::string& name) {
    scan_names_.insert(name);
    const uint64_t ticket = ++scans_wanted_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return stop_ || scans_done_ >= ticket; });
    if (stop_) throw ServeError(Reason::kUnavailable, "the server is shutting down");
  }

  void Changed(const std::vector<Arrival>& arrivals) {
    const std::unique_lock lock(mutex_);
    for (const Arrival& arrival : arrivals) table_.Arrived(arrival);
    ++scans_wanted_;
    changed_.notify_all();
  }

  void ScanLoop() {
    const auto short_wait = std::max(options_.settle / 4, std::chrono::milliseconds(20));
    std::unique_lock lock(mutex_);
    while (!stop_) {
      const auto wanted = [&] { return stop_ || scans_wanted_ > scans_done_; };
      if (waiting_) {
        changed_.wait_for(lock, std::min(short_wait, options_.interval), wanted);
      } else if (options_.watch) {
        changed_.wait_for(lock, options_.interval, wanted);
      } else {
        changed_.wait(lock, wanted);
      }
      if (stop_) return;
      std::optional<std::set<std::string>> names = std::exchange(scan_names_, {});
      if (options_.watch || std::exchange(scan_all_, false)) names.reset();
      // Files that have not settled are looked at again also where nobody watches.
      if (names && waiting_) {
        for (const auto& [name, entry] : table_.entries())
          for (const auto& [version, slot] : entry.slots)
            if (!slot.settled) names->insert(name);
      }
      const uint64_t ticket = scans_wanted_;
      lock.unlock();
      const std::optional<FoundModels> found = TryScan();
      if (found && watch_) watch_->Watch(found->folders);
      lock.lock();
      if (found) table_.Merge(*found, names, /*start=*/false);
      waiting_ = table_.Settle();
      scans_done_ = ticket;
      changed_.notify_all();
    }
  }

  // Nothing if the folder cannot be read, which is logged once: what serves goes on.
  std::optional<FoundModels> TryScan() {
    try {
      FoundModels found = ScanModels(options_.folder);
      scan_failed_ = false;
      return found;
    } catch (const std::exception& error) {
      if (!scan_failed_)
        Log(LogLevel::kError, "cannot look for models; those that serve go on", {{"reason", error.what()}});
      scan_failed_ = true;
      return std::nullopt;
    }
  }

  void LoadLoop() {
    std::unique_lock lock(mutex_);
    while (!stop_) {
      auto work = table_.TakeWork();
      if (!work) {
        changed_.wait(lock);
        continue;
      }
      lock.unlock();
      Loaded loaded = LoadNow(*work);
      lock.lock();
      table_.Finish(*work, std::move(loaded.model), loaded.reason, loaded.print, loaded.seconds);
      changed_.notify_all();
    }
  }

  struct Loaded {
    std::shared_ptr<const Model> model;
    std::string reason, print;
    double seconds = 0;
  };
  Loaded LoadNow(const RepositoryTable::Work& work) {
    Loaded loaded;
    Log(LogLevel::kDebug, "loading", {{"model", work.name}, {"version", work.version}});
    const auto start = Clock::now();
    try {
      loaded.model = LoadModel(work.root, work.name, work.version, work.found, options_.session, stop_);
    } catch (const std::exception& error) {
      loaded.reason = error.what();
    }
    loaded.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    // Whether what was read is what the scan had seen.
    try {
      const FoundModels now = ScanModels(options_.folder, work.name);
      const auto model = now.models.find(work.name);
      if (model != now.models.end() && model->second.versions.count(work.version) != 0)
        loaded.print = model->second.versions.at(work.version).print;
    } catch (const std::exception&) {
    }
    return loaded;
  }

  const RepositoryOptions options_;
  mutable std::shared_mutex mutex_;
  mutable std::condition_variable_any changed_;
  RepositoryTable table_;
  std::atomic<bool> stop_{false};
  bool waiting_ = false;  // for files to settle
  bool scan_all_ = false, scan_failed_ = false;
  std::set<std::string> scan_names_;
  uint64_t scans_wanted_ = 0, scans_done_ = 0;
  std::optional<FolderWatch> watch_;
  std::vector<std::thread> threads_;
};

Repository::Repository(const RepositoryOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Repository::~Repository() = default;

std::shared_ptr<const Model> Repository::Find(std::string_view model, std::string_view version) const {
  return impl_->Find(model, version);
}
bool Repository::ModelReady(std::string_view model, std::string_view version) const {
  return impl_->ModelReady(model, version);
}
ModelInfo Repository::Info(std::string_view model, std::string_view version) const {
  return impl_->Info(model, version);
}
std::vector<std::shared_ptr<const Model>> Repository::Serving() const { return impl_->Serving(); }
bool Repository::Ready() const { return impl_->Ready(); }
bool Repository::WaitSettled(std::chrono::milliseconds most) const { return impl_->WaitSettled(most); }
std::vector<IndexEntry> Repository::Index(bool only_ready) const { return impl_->Index(only_ready); }
void Repository::Load(std::string_view model) { impl_->Load(model); }
void Repository::Unload(std::string_view model) { impl_->Unload(model); }
void Repository::Rescan() { impl_->Rescan(); }

}  // namespace sluice::serve
