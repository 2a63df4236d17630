#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "tests/graph/onnx_builder.h"
#include "tools/serve/model.h"
#include "tools/serve/repository.h"

namespace sluice::serve::test {

inline void Spill(const std::string& path, const std::string& bytes) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  ASSERT_TRUE(file.good()) << path;
}

// x [2] -> y = x + n, [2]. `ballast`: floats of a constant that nothing but output `w` uses.
inline std::string AddingModel(float n, int64_t ballast = 0) {
  auto model = sluice::test::EmptyModel();
  auto* graph = model.mutable_graph();
  sluice::test::SetType(graph->add_input(), "x", {2});
  sluice::test::SetType(graph->add_output(), "y", {2});
  sluice::test::AddFloats(graph, "n", {1}, {n});
  sluice::test::AddNode(graph, "Add", {"x", "n"}, {"y"});
  if (ballast > 0) {
    sluice::test::SetType(graph->add_output(), "w", {ballast});
    sluice::test::AddFloats(graph, "b", {ballast}, std::vector<float>(static_cast<size_t>(ballast), n));
    sluice::test::AddNode(graph, "Identity", {"b"}, {"w"});
  }
  return model.SerializeAsString();
}

// What an AddingModel adds, as a run tells.
inline float Added(const Model& model) {
  const NamedValues outputs = model.session.Run({{"x", Tensor::From<float>({2}, std::vector<float>{0, 1})}});
  return outputs.at("y").tensor().values<float>()[0];
}

inline bool Soon(const std::function<bool()>& condition,
                 std::chrono::milliseconds most = std::chrono::seconds(20)) {
  const auto end = Clock::now() + most;
  while (!condition()) {
    if (Clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

// Gives every test a folder of its own.
class ModelFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/sluice-models-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    dir_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::string Path(const std::string& name) const { return dir_ + "/" + name; }

  // Quick to notice changes.
  RepositoryOptions Options() const {
    RepositoryOptions options;
    options.folder = dir_;
    options.session.copy_files = true;
    options.interval = std::chrono::milliseconds(50);
    options.settle = std::chrono::milliseconds(150);
    return options;
  }

  // As most tools write: into another file, then renamed.
  void Put(const std::string& name, const std::string& bytes) const {
    Spill(Path(".part"), bytes);
    std::filesystem::create_directories(std::filesystem::path(Path(name)).parent_path());
    std::filesystem::rename(Path(".part"), Path(name));
  }

  std::string dir_;
};

inline IndexEntry EntryOf(const Repository& repository, const std::string& name, const std::string& version) {
  for (const IndexEntry& entry : repository.Index(false))
    if (entry.name == name && entry.version == version) return entry;
  return {};
}

inline std::optional<Reason> Refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const ServeError& error) {
    return error.reason();
  }
  return std::nullopt;
}

}  // namespace sluice::serve::test
