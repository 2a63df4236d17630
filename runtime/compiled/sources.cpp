#include "runtime/compiled/sources.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

#include "sluice/error.h"

namespace sluice {
namespace {

// Nothing where there is no such file.
std::optional<SourceFile> StateOf(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return std::nullopt;
  return SourceFile{path, info.st_size, int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec,
                    static_cast<uint64_t>(info.st_ino)};
}

}  // namespace

std::vector<SourceFile> SourcesOf(const std::string& model, const std::vector<std::string>& external) {
  std::error_code error;
  std::filesystem::path path = std::filesystem::canonical(model, error);
  if (error) throw Error(ErrorCode::kInvalidArgument, model + ": " + error.message());
  std::vector<std::string> paths = {path.string()};
  // They lie beside the name that was given, which may be a link to the model.
  const std::filesystem::path folder = std::filesystem::absolute(model, error).parent_path();
  for (const std::string& name : external) paths.push_back((folder / name).string());
  std::vector<SourceFile> sources;
  for (const std::string& file : paths) {
    const std::optional<SourceFile> state = StateOf(file);
    if (!state) throw Error(ErrorCode::kInvalidArgument, file + ": " + std::strerror(errno));
    sources.push_back(*state);
  }
  return sources;
}

bool Unchanged(const std::vector<SourceFile>& sources) {
  return std::all_of(sources.begin(), sources.end(),
                     [](const SourceFile& source) { return StateOf(source.path) == source; });
}

}  // namespace sluice
