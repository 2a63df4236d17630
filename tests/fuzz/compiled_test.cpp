// Damaged compiled models are refused with an Error or run: they never crash, hang or take memory without
// bound, even if their checksums are right. SLUICE_MUTATIONS sets how many of each seed are tried,
// SLUICE_MUTATION_SEED where they begin.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "runtime/compiled/container.h"
#include "tests/runtime/compiled/models.h"
#include "tools/model_args.h"

namespace sluice::test {
namespace {

constexpr unsigned kSecondsPerModel = 60;

uint32_t FromEnvironment(const char* name, uint32_t fallback) {
  const char* text = std::getenv(name);
  return text != nullptr ? static_cast<uint32_t>(std::atoi(text)) : fallback;
}

std::span<const std::byte> BytesOf(const std::string& text) { return std::as_bytes(std::span(text)); }
std::string TextOf(std::span<const std::byte> bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

// The same file with other tables or another payload, and checksums that fit.
std::string Wrapped(const std::string& tables, const std::string& payload) {
  std::string file;
  const PayloadPart part = {0, BytesOf(payload)};
  WriteContainer(BytesOf(tables), {&part, 1}, payload.size(),
                 [&](std::span<const std::byte> bytes) { file += TextOf(bytes); });
  return file;
}

class Damage {
 public:
  explicit Damage(uint32_t seed) : engine_(seed) {}

  std::string Of(const std::string& file) {
    const Container container = OpenContainer(BytesOf(file));
    const std::string tables = TextOf(container.tables), payload = TextOf(container.payload);
    switch (Below(8)) {
      case 0:
        return OfBytes(file);
      case 1:
        return Wrapped(tables, OfBytes(payload));
      case 2:
        return Wrapped(tables, payload.substr(0, Below(payload.size()) / 64 * 64));
      default:
        return Wrapped(OfBytes(tables), payload);
    }
  }

 private:
  size_t Below(size_t n) { return static_cast<size_t>(engine_()) % n; }

  std::string OfBytes(std::string bytes) {
    static constexpr int64_t kOdd[] = {0,       1,         -1,        2,         64,       4096,
                                       1 << 20, INT32_MAX, INT64_MAX, INT64_MIN, 1LL << 40};
    for (size_t i = 0, count = 1 + Below(4); i < count && bytes.size() > 16; ++i) {
      const size_t at = Below(bytes.size() - 8);
      switch (Below(6)) {
        case 0:
          bytes[at] = static_cast<char>(engine_());
          break;
        case 1:
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << Below(8)));
          break;
        case 2:
          bytes[at] = static_cast<char>(bytes[at] + (Below(2) ? 1 : -1));
          break;
        case 3:
          bytes.replace(at, 8, reinterpret_cast<const char*>(&kOdd[Below(std::size(kOdd))]), 8);
          break;
        case 4:
          bytes.replace(at, 8, bytes.substr(Below(bytes.size() - 8), 8));
          break;
        case 5:
          bytes.erase(at, Below(4) ? 8 : bytes.size());
          break;
      }
    }
    return bytes;
  }

  std::mt19937 engine_;
};

// Loads the model and, if that goes well, runs it on noise. Errors are what is wanted.
void Try(const std::string& bytes) {
  SessionOptions options;
  options.threads = 1;
  try {
    const Session session = Session::LoadBytes(BytesOf(bytes), options);
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
    Try(bytes);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return "";
  return WIFSIGNALED(status) ? "ends with signal " + std::to_string(WTERMSIG(status))
                             : "ends with status " + std::to_string(WEXITSTATUS(status));
}

TEST(CompiledMutations, OfSmallModels) {
  const TemporaryFolder folder;
  std::vector<std::string> files;
  for (const std::string& model : {ConvModel(), ConvModel(Dim::Symbol("N")), MatMulModel()}) {
    Spill(folder / "model.onnx", model);
    Session::Compile(folder / "model.onnx", folder / "model.sluice");
    files.push_back(Slurp(folder / "model.sluice"));
    ASSERT_EQ(TryInChild(files.back()), "");
  }
  const uint32_t count = 2 * FromEnvironment("SLUICE_MUTATIONS", 250),
                 first = FromEnvironment("SLUICE_MUTATION_SEED", 1);
  for (uint32_t seed = first; seed < first + count; ++seed) {
    const std::string damaged = Damage(seed).Of(files[seed % files.size()]);
    const std::string end = TryInChild(damaged);
    if (end.empty()) continue;
    const std::string kept = testing::TempDir() + "/sluice-mutation-" + std::to_string(seed) + ".sluice";
    Spill(kept, damaged);
    ADD_FAILURE() << "seed " << seed << " " << end << "; the file is in " << kept;
  }
}

}  // namespace
}  // namespace sluice::test
