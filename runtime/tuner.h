#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "kernels/kernel.h"

namespace sluice {

// Chooses among the kernels that take a step by measuring them, and remembers the choice in a file: one line
// a choice,
//
//   library version <tab> processor <tab> threads <tab> operator, accuracy, attributes, types, shapes <tab> kernel
//
// Lines are appended, so that several processes may share a file; of two lines for one step the later counts,
// and what cannot be read is passed over. Only operators that take post-ops (convolutions and matrix
// products), on float types, are measured: the others' kernels differ in what they support rather than in
// speed. Thread-safe.
class Tuner {
 public:
  // One tuner for a file in the whole process. Throws Error{kInvalidArgument} for a file that cannot be
  // opened for appending.
  static std::shared_ptr<Tuner> ForFile(const std::string& path);

  // The kernel for a step, to be run by `threads` threads: the calling thread is on a pool of as many. Throws
  // like PrepareKernel.
  PreparedStep Prepare(const Node& node, int threads, const std::function<PrepareContext()>& make_context);

 private:
  explicit Tuner(std::string path);
  PreparedStep Measure(const Node& node, const std::function<PrepareContext()>& make_context);
  void Remember(const std::string& key, const std::string& kernel);

  const std::string path_;
  std::mutex mutex_;
  std::map<std::string, std::string> choices_;  // from all but the last field to the last
};

}  // namespace sluice
