// After runs on several threads nothing of the process runs any more: idle_test FOLDER
#include <sluice/session.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "check.h"

namespace {

int64_t CpuMicroseconds() {
  rusage usage{};
  CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
  const auto of = [](const timeval& time) { return int64_t{time.tv_sec} * 1000000 + time.tv_usec; };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

// How often threads other than this one gave up their processor: each time they had run.
int64_t SwitchesOfOthers() {
  int64_t switches = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == std::to_string(gettid())) continue;
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);) {
      if (line.find("ctxt_switches:") != std::string::npos)
        switches += std::stoll(line.substr(line.find(':') + 1));
    }
  }
  return switches;
}

}  // namespace

int main(int argc, char** argv) {
  CHECK(argc == 2);
  sluice::SessionOptions options;
  options.threads = 4;
  const sluice::Session session = sluice::Session::Load(std::string(argv[1]) + "/conv.onnx", options);
  sluice::Tensor x(sluice::DataType::kFloat, session.inputs()[0].shape);
  for (float& element : x.mutable_values<float>()) element = 0.5f;
  for (int i = 0; i < 50; ++i) session.Run({{"x", x}});
  for (int i = 0; i < 10; ++i) session.RunAsync({{"x", x}}).get();
  // Threads that stay awake for a next run go to sleep.
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  const int64_t cpu = CpuMicroseconds(), switches = SwitchesOfOthers();
  std::this_thread::sleep_for(std::chrono::seconds(2));
  const int64_t used = CpuMicroseconds() - cpu, woken = SwitchesOfOthers() - switches;
  std::printf("%lld us of processor time and %lld switches of threads in 2 s\n", static_cast<long long>(used),
              static_cast<long long>(woken));
  CHECK(woken == 0);
  CHECK(used < 5000);  // reading /proc, twice
  return 0;
}
