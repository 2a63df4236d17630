#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "graph/attributes.h"
#include "kernels/ops/ml_scores.h"

namespace sluice {

enum class TreeAggregate { kAverage, kSum, kMin, kMax };

// A forest of decision trees.
class TreeModel {
 public:
  TreeModel() = default;
  // TreeEnsembleClassifier and TreeEnsembleRegressor: leaves are named by `prefix` ("class", "target").
  // Throw Error{kInvalidModel} for trees that are none: missing nodes, cycles, lists of unequal length.
  static TreeModel FromLists(const Attributes& attrs, const std::string& prefix, int64_t targets);
  // TreeEnsemble.
  static TreeModel FromTables(const Attributes& attrs);

  int64_t targets() const { return targets_; }
  // Features that a row must have at least.
  int64_t features() const { return features_; }
  int64_t trees() const { return static_cast<int64_t>(roots_.size()); }
  double smallest_weight() const;
  // The target of all leaves if it is the same; -1 otherwise.
  int64_t only_target() const;

  // scores[t], t < targets(), from a row of features. `seen` has a place for each target.
  template <typename T>
  void Evaluate(TreeAggregate aggregate, const T* row, double* scores, bool* seen) const;

 private:
  enum class Mode : uint8_t { kLessEqual, kLess, kGreaterEqual, kGreater, kEqual, kNotEqual, kMember };
  struct Node {
    int64_t feature = 0;
    Mode mode = Mode::kLessEqual;
    bool missing_is_true = false;
    double split = 0;
    int32_t members_begin = 0, members_end = 0;  // of kMember, in members_
    int32_t yes = 0, no = 0;                     // the next node, or ~leaf
  };
  struct Leaf {
    int64_t begin = 0, end = 0;  // weights
  };
  struct Weight {
    int64_t target;
    double value;
  };
  bool Test(const Node& node, double x) const;
  // Counts the features; no node may be below itself.
  void Check();

  int64_t targets_ = 1, features_ = 0;
  std::vector<int32_t> roots_;
  std::vector<Node> nodes_;
  std::vector<Leaf> leaves_;
  std::vector<Weight> weights_;
  std::vector<double> members_;
};

inline bool TreeModel::Test(const Node& node, double x) const {
  if (std::isnan(x) && node.missing_is_true) return true;
  switch (node.mode) {
    case Mode::kLessEqual:
      return x <= node.split;
    case Mode::kLess:
      return x < node.split;
    case Mode::kGreaterEqual:
      return x >= node.split;
    case Mode::kGreater:
      return x > node.split;
    case Mode::kEqual:
      return x == node.split;
    case Mode::kNotEqual:
      return x != node.split;
    case Mode::kMember:
      break;
  }
  return std::find(members_.begin() + node.members_begin, members_.begin() + node.members_end, x) !=
         members_.begin() + node.members_end;
}

template <typename T>
void TreeModel::Evaluate(TreeAggregate aggregate, const T* row, double* scores, bool* seen) const {
  std::fill_n(scores, targets_, 0.0);
  std::fill_n(seen, targets_, false);
  for (int32_t at : roots_) {
    while (at >= 0) {
      const Node& node = nodes_[static_cast<size_t>(at)];
      at = Test(node, static_cast<double>(row[node.feature])) ? node.yes : node.no;
    }
    const Leaf& leaf = leaves_[static_cast<size_t>(~at)];
    for (int64_t i = leaf.begin; i < leaf.end; ++i) {
      const Weight& weight = weights_[static_cast<size_t>(i)];
      double& score = scores[weight.target];
      bool& known = seen[weight.target];
      if (aggregate == TreeAggregate::kMin)
        score = known ? std::min(score, weight.value) : weight.value;
      else if (aggregate == TreeAggregate::kMax)
        score = known ? std::max(score, weight.value) : weight.value;
      else
        score += weight.value;
      known = true;
    }
  }
  if (aggregate == TreeAggregate::kAverage) {
    for (int64_t t = 0; t < targets_; ++t) scores[t] /= static_cast<double>(std::max<int64_t>(trees(), 1));
  }
}

}  // namespace sluice
