// Damaged models are refused with an Error or run: they never crash, hang or take memory without bound.
// SLUICE_MUTATIONS sets how many of each seed are tried, SLUICE_MUTATION_SEED where they begin.
#include "tests/fuzz/mutate.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "sluice/session.h"
#include "tests/sanitized.h"
#include "tools/model_args.h"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;

// A damaged model may honestly ask for much memory or work; more than this is a hang.
constexpr unsigned kSecondsPerModel = 60;
constexpr rlim_t kAddressSpace = rlim_t{6} << 30;

std::string ReadAll(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

int FromEnvironment(const char* name, int fallback) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::atoi(text) : fallback;
}

// Loads the model and, if that goes well, runs it on noise. Errors are what is wanted.
void Try(const std::string& bytes) {
  SessionOptions options;
  options.threads = 1;
  try {
    const Session session = Session::LoadBytes(std::as_bytes(std::span(bytes)), options);
    session.Run(tools::NoiseInputs(session, 1));
  } catch (const Error& error) {
    if (std::string_view(error.what()).empty()) _exit(3);
  }
}

// How a child ended that tried `bytes`; empty if well.
std::string TryInChild(const std::string& bytes) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(kSecondsPerModel);
    // Shadow memory is address space too.
    if (!kSanitized) {
      const rlimit limit{kAddressSpace, kAddressSpace};
      setrlimit(RLIMIT_AS, &limit);
    }
    Try(bytes);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return "";
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) return "hangs";
  return WIFSIGNALED(status) ? "ends with signal " + std::to_string(WTERMSIG(status))
                             : "ends with status " + std::to_string(WEXITSTATUS(status));
}

void TryMutations(const std::vector<fs::path>& models, int count, uint32_t seed) {
  ASSERT_FALSE(models.empty());
  for (int i = 0; i < count; ++i) {
    const fs::path& path = models[static_cast<size_t>(i) % models.size()];
    const std::string damaged = Mutator(seed + static_cast<uint32_t>(i)).Mutate(ReadAll(path));
    const std::string end = TryInChild(damaged);
    if (end.empty()) continue;
    const std::string kept =
        testing::TempDir() + "/sluice-mutation-" + std::to_string(seed + static_cast<uint32_t>(i)) + ".onnx";
    std::ofstream(kept, std::ios::binary) << damaged;
    ADD_FAILURE() << "seed " << seed + static_cast<uint32_t>(i) << " on " << path << " " << end
                  << "; the model is in " << kept;
  }
}

TEST(Mutations, OfTheBundledDetector) {
  TryMutations({SLUICE_SOURCE_DIR "/tools/data/shapes.onnx"}, FromEnvironment("SLUICE_MUTATIONS", 250),
               static_cast<uint32_t>(FromEnvironment("SLUICE_MUTATION_SEED", 1)));
}

// One model an operator: the node cases of the ONNX test data, where the package is installed.
TEST(Mutations, OfTheOperatorCases) {
  const fs::path folder = SLUICE_ONNX_TEST_DATA;
  if (!fs::is_directory(folder)) GTEST_SKIP() << "no folder " << folder << " (Debian: libonnx-testdata)";
  std::vector<fs::path> models;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().filename() == "model.onnx") models.push_back(entry.path());
  }
  std::sort(models.begin(), models.end());
  TryMutations(models, 4 * FromEnvironment("SLUICE_MUTATIONS", 250),
               static_cast<uint32_t>(FromEnvironment("SLUICE_MUTATION_SEED", 1)));
}

}  // namespace
}  // namespace sluice::test
