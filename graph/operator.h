#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "graph/infer.h"

namespace sluice {

class Kernel;  // defined in kernels/kernel.h; graph/ never looks inside
using KernelFactory = std::unique_ptr<Kernel> (*)();

// The definition of an operator over one or more of its versions. One static object a definition,
// in kernels/ops/, registered by a RegisterOperator beside it.
struct Operator {
  std::string_view name;
  // The since_versions that this definition covers, ascending. A node asks node.since_version where
  // they differ.
  std::vector<int> versions;
  int min_inputs = 1;
  int max_inputs = 1;  // kMany for variadic
  int min_outputs = 1;
  int max_outputs = 1;
  // Sets the outputs' types from the inputs'. Called only when every input's element type and rank
  // are known (sequences and optionals excepted); single sizes may be unknown.
  void (*infer)(InferContext&) = nullptr;
  // Candidates in order of preference. Each may decline; the last accepts whatever is valid.
  std::vector<KernelFactory> kernels;
  std::string_view domain = "";
  // The same inputs always give the same outputs, and running it has no effect: it may be folded.
  bool pure = true;
  // The standard states the distribution of the results, not the numbers: other implementations give others.
  bool random = false;
  // The result depends on the inputs' shapes and element types alone (Shape, Size): known at planning,
  // and kernels must not touch the elements.
  bool shape_only = false;
  // Passes may give it post-ops (PostOp): every candidate applies them.
  bool takes_post_ops = false;
  // Types of its data that it computes, for `sluice ops`: words as in graph/operator_types.h.
  std::string_view types = "";

  static constexpr int kMany = 1 << 30;
};

// Makes `op` findable. At static initialisation only; `op` must live as long as the process.
struct RegisterOperator {
  explicit RegisterOperator(const Operator& op);
};

struct ResolvedOperator {
  const Operator* op = nullptr;
  int since_version = 0;
};

// The definition with the newest since_version not above `opset`; op is null if there is none.
ResolvedOperator FindOperator(std::string_view domain, std::string_view name, int64_t opset);
// All definitions, sorted by domain, name and version.
std::vector<const Operator*> AllOperators();

template <typename K>
std::unique_ptr<Kernel> Make() {
  return std::make_unique<K>();
}

}  // namespace sluice
