#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "runtime/executable.h"
#include "runtime/thread_pool.h"

namespace sluice::tools {

// What goes into one Relu, LeakyRelu, PRelu or Clip from 0, over all runs so far.
struct ActivationInput {
  std::string node;      // its name or its output's
  std::string op;        // "LeakyRelu(0.1)"
  std::string value;     // the name of what goes in
  int64_t count = 0;     // elements seen
  int64_t negative = 0;  // those below 0, NaNs not among them
  // Whether a channel was above 0 at least once.
  std::vector<bool> fired;
  // What goes in is a part or another shape of a value and was not seen: signs are taken from what comes out,
  // where Relu and Clip make zeros of negative numbers, and zeros count as negative then.
  bool from_output = false;

  double negative_share() const {
    return count == 0 ? 0 : static_cast<double>(negative) / static_cast<double>(count);
  }
  std::vector<int64_t> never_fired() const;
};

// Runs a model with every activation as a step of its own, and counts. Activations are found in all their
// spellings, and BatchNormalization is folded into what comes before; nothing is fused behind it. Activations
// inside nested graphs are not looked at. Memory: a counter and a bit a channel for each activation, and what
// a run takes.
class DeadUnits {
 public:
  // threads: 0 for all. Throws what passes and planning throw.
  DeadUnits(std::unique_ptr<Graph> graph, bool passes, int threads);

  void Run(const std::vector<Value>& inputs);
  // In the order of the model.
  const std::vector<ActivationInput>& activations() const { return activations_; }
  const Graph& graph() const { return executable_->graph(); }

 private:
  void Watch(const Graph& graph);
  void See(const ObservedValue& seen);

  std::shared_ptr<ThreadPool> pool_;
  std::unique_ptr<Executable> executable_;
  std::vector<ActivationInput> activations_;
  std::vector<bool> last_axis_;                          // of each: channels are the last axis
  std::vector<bool> seen_;                               // of each, in this run: what goes in
  std::multimap<std::string, size_t> inputs_, outputs_;  // by the value's name
};

}  // namespace sluice::tools
