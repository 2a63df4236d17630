#include "tools/serve/scan.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <system_error>

#include "sluice/error.h"
#include "tools/serve/text.h"

namespace sluice::serve {
namespace {

namespace fs = std::filesystem;

// Files of one version; more are a folder that was not meant.
constexpr int kMostFiles = 100'000;
constexpr int kMostDepth = 8;

std::optional<int64_t> ParseVersion(const std::string& name) {
  int64_t number = 0;
  const char* const end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data(), end, number);
  if (error != std::errc() || stop != end || number < 1 || name[0] == '0') return std::nullopt;
  return number;
}

bool Inside(const fs::path& path, const fs::path& root) {
  const auto [end, ignored] = std::mismatch(root.begin(), root.end(), path.begin(), path.end());
  return end == root.end();
}

class Scanner {
 public:
  Scanner(const std::string& folder, const std::optional<std::string>& only) : only_(only) {
    std::error_code error;
    root_ = fs::canonical(folder, error);
    if (error) Fail(folder, error);
    if (!fs::is_directory(root_)) Fail(folder, std::make_error_code(std::errc::not_a_directory));
    found_.root = root_.string();
  }

  FoundModels Scan() {
    const std::vector<fs::path> entries = List(root_, /*must=*/true);
    for (const fs::path& entry : entries) {
      const std::string name = entry.filename().string();
      if (name[0] == '.' || (only_ && name != *only_)) continue;
      if (!IsPrintableUtf8(name)) {
        Ignore(entry, "the name is no UTF-8 text or has control characters");
      } else if (IsFolder(entry)) {
        AddFolder(entry, name);
      }
    }
    for (const fs::path& entry : entries) {
      if (only_ && entry.stem() != *only_) continue;
      if ((entry.extension() == ".onnx" || entry.extension() == ".sluice") && entry.stem().string()[0] != '.' &&
          IsPrintableUtf8(entry.string()) && !IsFolder(entry)) {
        AddFile(entry, entries);
      }
    }
    return std::move(found_);
  }

 private:
  [[noreturn]] static void Fail(const std::string& folder, const std::error_code& error) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("model repository '{}': {}", folder, error.message()));
  }

  void Ignore(const fs::path& path, const std::string& why) {
    found_.ignored.push_back(fmt::format("{}: {}", path.lexically_relative(root_).string(), why));
  }

  // Sorted by name. Folders may vanish while they are read.
  std::vector<fs::path> List(const fs::path& folder, bool must = false) {
    found_.folders.push_back(folder.string());
    std::error_code error;
    std::vector<fs::path> entries;
    fs::directory_iterator it(folder, error);
    while (!error && it != fs::directory_iterator() && entries.size() < kMostFiles) {
      entries.push_back(it->path());
      it.increment(error);
    }
    if (error && must) Fail(folder.string(), error);
    std::sort(entries.begin(), entries.end());
    return entries;
  }

  static bool IsFolder(const fs::path& path) {
    std::error_code error;
    return fs::is_directory(path, error);
  }

  static bool IsThere(const fs::path& path) {
    std::error_code error;
    return fs::exists(fs::symlink_status(path, error));
  }

  // A compiled model counts where the model that it was made of is not there.
  static std::optional<std::string> ModelFileIn(const fs::path& folder) {
    for (const char* name : {"model.onnx", "model.sluice"}) {
      if (IsThere(folder / name)) return (folder / name).string();
    }
    return std::nullopt;
  }

  void AddFolder(const fs::path& folder, const std::string& name) {
    FoundModel model;
    bool versions = false;
    for (const fs::path& entry : List(folder)) {
      const auto number = ParseVersion(entry.filename().string());
      if (!number || !IsFolder(entry)) continue;
      versions = true;
      const std::optional<std::string> file = ModelFileIn(entry);
      if (!file) {
        found_.folders.push_back(entry.string());
        continue;
      }
      FoundVersion version;
      version.file = *file;
      version.configs = {(folder / "model.json").string(), (entry / "model.json").string()};
      version.folder = folder.string();
      AddTree(entry, 0, version);
      AddPrint(folder / "model.json", version);
      AddLabels(folder, version);
      Resolve(version);
      model.versions[*number] = std::move(version);
    }
    if (const std::optional<std::string> file = ModelFileIn(folder); !versions && file) {
      FoundVersion version;
      version.file = *file;
      version.configs = {(folder / "model.json").string()};
      version.folder = folder.string();
      AddTree(folder, 0, version);
      Resolve(version);
      model.versions[1] = std::move(version);
    } else if (!versions) {
      return;  // no model
    }
    if (model.versions.empty()) model.problem = "no version of it has a file model.onnx or model.sluice";
    found_.models[name] = std::move(model);
  }

  void AddFile(const fs::path& file, const std::vector<fs::path>& siblings) {
    const std::string name = file.stem().string();
    if (found_.models.count(name) != 0)
      return Ignore(file, "there is a folder or another file of this model too, which counts");
    FoundVersion version;
    version.file = file.string();
    version.configs = {(root_ / (name + ".json")).string()};
    version.folder = root_.string();
    for (const fs::path& sibling : siblings) {
      if (sibling.filename().string().starts_with(name + ".")) AddPrint(sibling, version);
    }
    AddLabels(root_, version);
    Resolve(version);
    found_.models[name].versions[1] = std::move(version);
  }

  // Every file in a folder and below may be part of the version.
  void AddTree(const fs::path& folder, int depth, FoundVersion& version) {
    for (const fs::path& entry : List(folder)) {
      if (files_++ > kMostFiles) version.problem = fmt::format("more than {} files", kMostFiles);
      if (!version.problem.empty()) return;
      if (!IsFolder(entry)) {
        AddPrint(entry, version);
      } else if (depth < kMostDepth && !fs::is_symlink(entry)) {
        AddTree(entry, depth + 1, version);
      }
    }
  }

  // Files of labels that model.json may name.
  void AddLabels(const fs::path& folder, FoundVersion& version) {
    std::error_code error;
    for (fs::directory_iterator it(folder, error); !error && it != fs::directory_iterator();
         it.increment(error)) {
      const std::string extension = it->path().extension().string();
      if (extension == ".txt" || extension == ".names") AddPrint(it->path(), version);
    }
  }

  static void AddPrint(const fs::path& file, FoundVersion& version) {
    struct stat info {};
    if (::stat(file.c_str(), &info) != 0) return;
    const auto ns = [](const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; };
    version.print += fmt::format("{}\n{} {} {} {}\n", file.string(), info.st_dev, info.st_ino, info.st_size,
                                 ns(info.st_mtim));
    version.files.push_back({file.string(), ns(info.st_mtim)});
  }

  // Follows links of the file and its configurations, as long as they stay inside.
  void Resolve(FoundVersion& version) {
    const auto resolve = [&](std::string& path) {
      std::error_code error;
      const fs::path real = fs::canonical(path, error);
      const std::string name = fs::path(path).lexically_relative(root_).string();
      if (error) {
        version.problem = fmt::format("{}: {}", name, error.message());
      } else if (!Inside(real, root_)) {
        version.problem = fmt::format("{}: a link that leaves the model repository", name);
      } else if (!fs::is_regular_file(real, error)) {
        version.problem = fmt::format("{}: no file", name);
      }
      path = real.string();
    };
    resolve(version.file);
    std::erase_if(version.configs, [](const std::string& path) { return !IsThere(path); });
    for (std::string& config : version.configs) resolve(config);
  }

  const std::optional<std::string> only_;
  fs::path root_;
  FoundModels found_;
  int files_ = 0;
};

}  // namespace

FoundModels ScanModels(const std::string& folder, const std::optional<std::string>& only) {
  try {
    return Scanner(folder, only).Scan();
  } catch (const std::filesystem::filesystem_error& error) {
    throw Error(ErrorCode::kInvalidArgument, error.what());
  }
}

}  // namespace sluice::serve
