// Processes that load one compiled model hold its weights once: shared_pages_test
#include <sluice/session.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

#include "check.h"
#include "tests/e2e/tiny_model.h"

namespace {

constexpr int64_t kSize = 4096, kBytes = kSize * kSize * 4;
constexpr const char* kModel = "shared_pages.onnx";
constexpr const char* kCompiled = "shared_pages.sluice";

// y = x w for x [8, 4096].
void WriteModel() {
  using sluice::test::Message;
  std::vector<float> weights(static_cast<size_t>(kSize * kSize));
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i % 13) - 6;
  const std::string attribute = Message()
                                    .Bytes(1, "value")
                                    .Bytes(5, sluice::test::FloatTensor({kSize, kSize}, weights))
                                    .Int(20, 4)
                                    .bytes();
  std::ofstream file(kModel, std::ios::binary);
  file << sluice::test::Model({{"Constant", {}, {"w"}, "", {attribute}}, {"MatMul", {"x", "w"}, {"y"}}},
                              {{"x", 1, {"8", "4096"}}}, {{"y", 1, {"8", "4096"}}});
  CHECK(file.flush());
}

sluice::Session LoadAndRun() {
  sluice::Session session = sluice::Session::Load(kCompiled);
  sluice::Tensor x(sluice::DataType::kFloat, {8, kSize});
  for (float& element : x.mutable_values<float>()) element = 0.5f;
  session.Run({{"x", x}});
  return session;
}

// Bytes of a line of /proc/self/smaps, of the mapping of the file; -1 where there is none.
int64_t OfMapping(const std::string& what) {
  std::ifstream smaps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    if (line.find('-') < line.find(' ')) inside = line.find(kCompiled) != std::string::npos;
    if (!inside || line.rfind(what + ":", 0) != 0) continue;
    std::istringstream fields(line.substr(what.size() + 1));
    int64_t kib = -1;
    fields >> kib;
    return kib * 1024;
  }
  return -1;
}

// Runs fn in a process of its own, which has used nothing of the library before.
template <typename Fn>
pid_t InChild(Fn fn) {
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    fn();
    std::fflush(stdout);
    _exit(0);
  }
  return child;
}

void ExpectSuccess(pid_t child) {
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

}  // namespace

int main() {
  ExpectSuccess(InChild([] {
    WriteModel();
    sluice::Session::Compile(kModel, kCompiled);
  }));
  int ready[2], done[2];
  CHECK(pipe(ready) == 0 && pipe(done) == 0);
  const pid_t other = InChild([&] {
    const sluice::Session session = LoadAndRun();
    char byte = 0;
    CHECK(write(ready[1], &byte, 1) == 1);
    CHECK(read(done[0], &byte, 1) == 1);
  });
  char byte = 0;
  CHECK(read(ready[0], &byte, 1) == 1);
  ExpectSuccess(InChild([] {
    const sluice::Session session = LoadAndRun();
    const int64_t resident = OfMapping("Rss"), shared = OfMapping("Shared_Clean"), share = OfMapping("Pss");
    std::printf(
        "weights of %lld MB: %lld resident, %lld of them shared, %lld counted to one of two processes\n",
        static_cast<long long>(kBytes >> 20), static_cast<long long>(resident >> 20),
        static_cast<long long>(shared >> 20), static_cast<long long>(share >> 20));
    CHECK(resident > kBytes * 9 / 10);
    CHECK(shared > resident * 9 / 10);
    CHECK(share < resident * 6 / 10);
    CHECK(OfMapping("Private_Dirty") == 0);
  }));
  CHECK(write(done[1], &byte, 1) == 1);
  ExpectSuccess(other);
  unlink(kModel);
  unlink(kCompiled);
  return 0;
}
