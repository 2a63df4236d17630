#include "tools/find_pictures.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <filesystem>

#include "sluice/error.h"
#include "tools/files.h"

namespace sluice::tools {

std::vector<std::string> FindPictures(const std::vector<std::string>& arguments) {
  namespace fs = std::filesystem;
  std::vector<std::string> pictures;
  const auto add_folder = [&](const fs::path& folder, const std::string& pattern) {
    std::vector<std::string> found;
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
      const std::string name = entry.path().filename().string(), extension = Extension(name);
      const bool picture = extension == ".png" || extension == ".jpg" || extension == ".jpeg";
      const bool wanted =
          pattern.empty() ? picture : ::fnmatch(pattern.c_str(), name.c_str(), FNM_PERIOD) == 0;
      if (wanted && entry.is_regular_file(error)) found.push_back(entry.path().string());
    }
    std::sort(found.begin(), found.end());
    if (found.empty())
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("'{}' has no pictures{}", folder.string(),
                              pattern.empty() ? "" : fmt::format(" like '{}'", pattern)));
    pictures.insert(pictures.end(), found.begin(), found.end());
  };
  for (const std::string& argument : arguments) {
    const fs::path path = argument;
    if (fs::is_directory(path))
      add_folder(path, "");
    else if (!fs::exists(path) && argument.find_first_of("*?[") != std::string::npos) {
      add_folder(path.has_parent_path() ? path.parent_path() : fs::path("."), path.filename().string());
    } else {
      pictures.push_back(argument);
    }
  }
  return pictures;
}

}  // namespace sluice::tools
