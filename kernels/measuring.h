#pragma once

#include <string>

namespace sluice {

// While one lives, kernels that this thread prepares are there to be measured: none declines because it
// expects to be slower than another, and those that can compute a node in several ways are asked for each of
// them.
class MeasuringScope {
 public:
  // Asks for the way of this number, 0 for the first. `wanted`, unless empty, is the name of the one kernel
  // that is looked for.
  explicit MeasuringScope(int way, std::string wanted = "");
  ~MeasuringScope();
  MeasuringScope(const MeasuringScope&) = delete;
  MeasuringScope& operator=(const MeasuringScope&) = delete;

  // Whether the thread is in one.
  static bool active();
  // For a kernel with `ways` ways, the one expected to be fastest first: which of them to prepare.
  static int WayOf(int ways);
  // Whether the kernel of this name need not be prepared, since another one is looked for.
  static bool Unwanted(const std::string& name);

  // How many ways the kernel prepared in this scope has.
  int ways() const { return ways_; }

 private:
  const int way_;
  const std::string wanted_;
  int ways_ = 1;
  MeasuringScope* const outer_;
};

}  // namespace sluice
