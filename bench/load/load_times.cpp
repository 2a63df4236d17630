// load_times FILE...: what loading each model or compiled model takes, in a process that has loaded nothing
// before and again in the same process, and what its memory is then: that of this process alone, and that
// shared with others.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "sluice/error.h"
#include "sluice/session.h"

namespace {

using Clock = std::chrono::steady_clock;

double MsSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// MiB of a line of /proc/self/smaps_rollup.
double MemoryMib(const std::string& name) {
  std::ifstream file("/proc/self/smaps_rollup");
  for (std::string word; file >> word;) {
    if (word != name + ":") continue;
    double kib = 0;
    file >> kib;
    return kib / 1024;
  }
  return 0;
}

void Measure(const char* path) {
  constexpr int kMore = 5;
  auto begin = Clock::now();
  const sluice::Session session = sluice::Session::Load(path);
  std::printf("%s: first %.1f ms, then", path, MsSince(begin));
  for (int i = 0; i < kMore; ++i) {
    begin = Clock::now();
    const sluice::Session again = sluice::Session::Load(path);
    std::printf(" %.1f", MsSince(begin));
  }
  sluice::NamedValues inputs;
  for (const sluice::ValueInfo& info : session.inputs()) {
    sluice::Tensor tensor(info.dtype, info.shape);
    std::fill_n(static_cast<char*>(tensor.mutable_data()), tensor.byte_size(), char(0));
    inputs[info.name] = std::move(tensor);
  }
  for (const char* run : {"first", "second"}) {
    begin = Clock::now();
    session.Run(inputs);
    std::printf("; %s run %.1f ms", run, MsSince(begin));
  }
  std::printf("; MiB private %.0f, shared %.0f, proportional %.0f\n",
              MemoryMib("Private_Clean") + MemoryMib("Private_Dirty"),
              MemoryMib("Shared_Clean") + MemoryMib("Shared_Dirty"), MemoryMib("Pss"));
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      try {
        Measure(argv[i]);
      } catch (const sluice::Error& error) {
        std::fprintf(stderr, "%s\n", error.what());
        std::_Exit(1);
      }
      std::fflush(stdout);
      std::_Exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (status != 0) return 1;
  }
  return 0;
}
