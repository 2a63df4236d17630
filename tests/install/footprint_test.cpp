// What the library takes beside models, as README states it: footprint_test FOLDER
#include <sluice/session.h>

#include <filesystem>
#include <fstream>

#include "check.h"

namespace {

int64_t Threads() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return std::distance(begin(tasks), end(tasks));
}

// Memory that no other process shares.
int64_t PrivateKib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("RssAnon:", 0) == 0) return std::stoll(line.substr(8));
  }
  CHECK(!"RssAnon is there");
  return 0;
}

void Use(const sluice::Session& session) {
  const sluice::Tensor x(sluice::DataType::kFloat, {3, 8});
  for (int i = 0; i < 10; ++i) session.Run({{"x", x}});
}

}  // namespace

int main(int argc, char** argv) {
  CHECK(argc == 2);
  const std::string path = std::string(argv[1]) + "/dense.onnx";
  const int64_t before = PrivateKib();
  CHECK(Threads() == 1);
  sluice::SessionOptions options;
  options.threads = 1;
  const sluice::Session alone = sluice::Session::Load(path, options);
  Use(alone);
  CHECK(Threads() == 1);
  const int64_t with_one = PrivateKib();
  options.threads = 2;
  const sluice::Session other = sluice::Session::Load(path, options);
  Use(other);
  CHECK(Threads() <= 2);
  const int64_t with_two = PrivateKib();
  std::printf("%lld KiB loaded, %lld KiB with a small model, %lld KiB with two and a second thread\n",
              static_cast<long long>(before), static_cast<long long>(with_one),
              static_cast<long long>(with_two));
  CHECK(before < 4 << 10);
  CHECK(with_one - before < 2 << 10);
  CHECK(with_two - with_one < 2 << 10);
  return 0;
}
