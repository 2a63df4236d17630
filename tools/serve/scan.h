#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sluice::serve {

// A version of a model as the folder holds it.
struct FoundVersion {
  std::string file;                  // the ONNX file, resolved
  std::vector<std::string> configs;  // model.json files, later ones override
  std::string folder;                // where names in them are looked for
  // Changes whenever a file that the version consists of does: names, inodes, sizes, times of change.
  std::string print;
  struct File {
    std::string path;
    int64_t changed_ns;  // since 1970
  };
  std::vector<File> files;
  std::string problem;  // why it cannot be loaded; "" if it may be tried
};

struct FoundModel {
  std::map<int64_t, FoundVersion> versions;
  std::string problem;  // of a folder that should hold versions and has none
};

struct FoundModels {
  std::string root;  // the repository's folder, resolved
  std::map<std::string, FoundModel> models;
  std::vector<std::string> ignored;  // "NAME: why", for the log
  std::vector<std::string> folders;  // all that were looked into
};

// What a repository's folder holds:
//   NAME/VERSION/model.onnx   VERSION is a number from 1 without leading zeros; external data beside it or
//   below NAME/model.onnx           version 1, where there is no folder of a version NAME.onnx version 1;
//   external data in files NAME.*
// with NAME/model.json and NAME/VERSION/model.json, or NAME.json. Symbolic links are followed where they end
// inside the folder. Names beginning with '.' are passed over. Throws Error{kInvalidArgument} for a folder
// that cannot be read. `only`: looks at the model of this name alone.
FoundModels ScanModels(const std::string& folder, const std::optional<std::string>& only = std::nullopt);

}  // namespace sluice::serve
