#include "kernels/ops/ml_tree_model.h"

#include <limits>
#include <map>

#include "sluice/error.h"

namespace sluice {
namespace {

[[noreturn]] void Fail(const std::string& message) { throw Error(ErrorCode::kInvalidModel, message); }

void CheckSize(const std::string& name, size_t size, size_t expected) {
  if (size != expected)
    Fail(name + " has " + std::to_string(size) + " entries, expected " + std::to_string(expected));
}

// Numbers of a tensor of any of the types that trees come with.
std::vector<double> Numbers(const Tensor& tensor, const std::string& name) {
  std::vector<double> result;
  using Types = TypeList<float, double, Half, uint8_t>;
  if (!Dispatch(Types(), tensor.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        for (T value : tensor.values<T>()) result.push_back(static_cast<double>(value));
      }))
    Fail(name + " is " + std::string(DataTypeName(tensor.dtype())) + ", expected floats");
  return result;
}

// The attribute as floats, or as a tensor under its longer name.
std::vector<double> Numbers(const Attributes& attrs, const std::string& name) {
  if (attrs.Has(name + "_as_tensor"))
    return Numbers(attrs.TensorValue(name + "_as_tensor"), name + "_as_tensor");
  const std::vector<float> floats = attrs.Floats(name, {});
  return {floats.begin(), floats.end()};
}

int32_t CheckedIndex(int64_t index, size_t size, const std::string& name) {
  if (index < 0 || index >= static_cast<int64_t>(size))
    Fail(name + " has " + std::to_string(index) + ", which is outside [0, " + std::to_string(size) + ")");
  return static_cast<int32_t>(index);
}

constexpr size_t kMostNodes = std::numeric_limits<int32_t>::max();

}  // namespace

TreeModel TreeModel::FromLists(const Attributes& attrs, const std::string& prefix, int64_t targets) {
  static const std::string kModes[] = {"BRANCH_LEQ", "BRANCH_LT",  "BRANCH_GTE", "BRANCH_GT",
                                       "BRANCH_EQ",  "BRANCH_NEQ", "LEAF"};
  constexpr int64_t kLeaf = 6;
  const std::vector<int64_t> trees = attrs.Ints("nodes_treeids"), ids = attrs.Ints("nodes_nodeids"),
                             features = attrs.Ints("nodes_featureids"), yes = attrs.Ints("nodes_truenodeids"),
                             no = attrs.Ints("nodes_falsenodeids"),
                             missing = attrs.Ints("nodes_missing_value_tracks_true", {});
  const std::vector<std::string> modes = attrs.Strings("nodes_modes", {});
  const std::vector<double> splits = Numbers(attrs, "nodes_values");
  const size_t count = ids.size();
  if (count > kMostNodes) Fail("there are too many nodes");
  CheckSize("nodes_treeids", trees.size(), count);
  CheckSize("nodes_featureids", features.size(), count);
  CheckSize("nodes_truenodeids", yes.size(), count);
  CheckSize("nodes_falsenodeids", no.size(), count);
  CheckSize("nodes_modes", modes.size(), count);
  CheckSize("nodes_values", splits.size(), count);
  if (!missing.empty()) CheckSize("nodes_missing_value_tracks_true", missing.size(), count);

  TreeModel model;
  model.targets_ = targets;
  using Key = std::pair<int64_t, int64_t>;  // tree, node
  std::map<Key, size_t> entry_of;
  std::vector<int32_t> numbers;  // of the entries: a node, or ~leaf
  std::vector<size_t> branches;
  for (size_t i = 0; i < count; ++i) {
    const auto mode = std::find(std::begin(kModes), std::end(kModes), modes[i]) - std::begin(kModes);
    if (mode > kLeaf) Fail("nodes_modes has '" + modes[i] + "'");
    int32_t number = 0;
    if (mode == kLeaf) {
      number = ~static_cast<int32_t>(model.leaves_.size());
      model.leaves_.emplace_back();
    } else {
      number = static_cast<int32_t>(model.nodes_.size());
      Node node;
      node.feature = features[i];
      node.mode = static_cast<Mode>(mode);
      node.missing_is_true = !missing.empty() && missing[i] != 0;
      node.split = splits[i];
      model.nodes_.push_back(node);
      branches.push_back(i);
    }
    numbers.push_back(number);
    if (!entry_of.emplace(Key(trees[i], ids[i]), i).second)
      Fail("node " + std::to_string(ids[i]) + " of tree " + std::to_string(trees[i]) + " occurs twice");
  }
  const auto find = [&](int64_t tree, int64_t id) {
    const auto found = entry_of.find(Key(tree, id));
    if (found == entry_of.end())
      Fail("there is no node " + std::to_string(id) + " in tree " + std::to_string(tree));
    return found->second;
  };
  std::vector<bool> is_child(count, false);
  for (size_t i = 0; i < branches.size(); ++i) {
    const auto child = [&](int64_t id) {
      const size_t entry = find(trees[branches[i]], id);
      is_child[entry] = true;
      return numbers[entry];
    };
    model.nodes_[i].yes = child(yes[branches[i]]);
    model.nodes_[i].no = child(no[branches[i]]);
  }
  std::map<int64_t, int> roots_of_tree;
  for (size_t i = 0; i < count; ++i) {
    roots_of_tree[trees[i]] += is_child[i] ? 0 : 1;
    if (!is_child[i]) model.roots_.push_back(numbers[i]);
  }
  for (const auto& [tree, roots] : roots_of_tree) {
    if (roots != 1) Fail("tree " + std::to_string(tree) + " has " + std::to_string(roots) + " roots");
  }

  const std::vector<int64_t> weight_trees = attrs.Ints(prefix + "_treeids"),
                             weight_nodes = attrs.Ints(prefix + "_nodeids"),
                             weight_targets = attrs.Ints(prefix + "_ids");
  const std::vector<double> weights = Numbers(attrs, prefix + "_weights");
  CheckSize(prefix + "_nodeids", weight_nodes.size(), weight_trees.size());
  CheckSize(prefix + "_ids", weight_targets.size(), weight_trees.size());
  CheckSize(prefix + "_weights", weights.size(), weight_trees.size());
  std::vector<std::vector<Weight>> of_leaf(model.leaves_.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    const int32_t leaf = numbers[find(weight_trees[i], weight_nodes[i])];
    if (leaf >= 0) continue;  // weights of a branch are never reached
    CheckedIndex(weight_targets[i], static_cast<size_t>(targets), prefix + "_ids");
    of_leaf[static_cast<size_t>(~leaf)].push_back({weight_targets[i], weights[i]});
  }
  for (size_t i = 0; i < of_leaf.size(); ++i) {
    model.leaves_[i].begin = static_cast<int64_t>(model.weights_.size());
    model.weights_.insert(model.weights_.end(), of_leaf[i].begin(), of_leaf[i].end());
    model.leaves_[i].end = static_cast<int64_t>(model.weights_.size());
  }
  model.Check();
  return model;
}

TreeModel TreeModel::FromTables(const Attributes& attrs) {
  const std::vector<int64_t> roots = attrs.Ints("tree_roots"), features = attrs.Ints("nodes_featureids"),
                             yes = attrs.Ints("nodes_truenodeids"), yes_leaf = attrs.Ints("nodes_trueleafs"),
                             no = attrs.Ints("nodes_falsenodeids"), no_leaf = attrs.Ints("nodes_falseleafs"),
                             missing = attrs.Ints("nodes_missing_value_tracks_true", {}),
                             targets = attrs.Ints("leaf_targetids");
  const std::vector<double> splits = Numbers(attrs.TensorValue("nodes_splits"), "nodes_splits"),
                            modes = Numbers(attrs.TensorValue("nodes_modes"), "nodes_modes"),
                            weights = Numbers(attrs.TensorValue("leaf_weights"), "leaf_weights");
  const size_t count = features.size();
  if (count > kMostNodes || targets.size() > kMostNodes) Fail("there are too many nodes");
  CheckSize("nodes_splits", splits.size(), count);
  CheckSize("nodes_modes", modes.size(), count);
  CheckSize("nodes_truenodeids", yes.size(), count);
  CheckSize("nodes_trueleafs", yes_leaf.size(), count);
  CheckSize("nodes_falsenodeids", no.size(), count);
  CheckSize("nodes_falseleafs", no_leaf.size(), count);
  if (!missing.empty()) CheckSize("nodes_missing_value_tracks_true", missing.size(), count);
  CheckSize("leaf_weights", weights.size(), targets.size());

  TreeModel model;
  model.targets_ = attrs.Int("n_targets", 1);
  if (model.targets_ < 1) Fail("n_targets is " + std::to_string(model.targets_));
  for (size_t i = 0; i < targets.size(); ++i) {
    CheckedIndex(targets[i], static_cast<size_t>(model.targets_), "leaf_targetids");
    model.weights_.push_back({targets[i], weights[i]});
    model.leaves_.push_back({static_cast<int64_t>(i), static_cast<int64_t>(i) + 1});
  }
  if (attrs.Has("membership_values"))
    model.members_ = Numbers(attrs.TensorValue("membership_values"), "membership_values");
  // Lists of members end with a NaN, the last may end with the tensor.
  size_t member = 0;
  for (size_t i = 0; i < count; ++i) {
    Node node;
    node.feature = features[i];
    node.mode = static_cast<Mode>(CheckedIndex(static_cast<int64_t>(modes[i]), 7, "nodes_modes"));
    node.missing_is_true = !missing.empty() && missing[i] != 0;
    node.split = splits[i];
    if (node.mode == Mode::kMember) {
      node.members_begin = static_cast<int32_t>(member);
      while (member < model.members_.size() && !std::isnan(model.members_[member])) ++member;
      node.members_end = static_cast<int32_t>(member);
      if (member < model.members_.size()) ++member;
    }
    const auto child = [&](int64_t index, int64_t is_leaf, const std::string& name) {
      return is_leaf != 0 ? ~CheckedIndex(index, targets.size(), name) : CheckedIndex(index, count, name);
    };
    node.yes = child(yes[i], yes_leaf[i], "nodes_truenodeids");
    node.no = child(no[i], no_leaf[i], "nodes_falsenodeids");
    model.nodes_.push_back(node);
  }
  for (int64_t root : roots) model.roots_.push_back(CheckedIndex(root, count, "tree_roots"));
  model.Check();
  return model;
}

void TreeModel::Check() {
  for (const Node& node : nodes_) {
    if (node.feature < 0 || node.feature == INT64_MAX)
      Fail("a node tests feature " + std::to_string(node.feature));
    features_ = std::max(features_, node.feature + 1);
  }
  // Depth first; a node is open while its children are visited.
  enum : uint8_t { kNew, kOpen, kDone };
  std::vector<uint8_t> state(nodes_.size(), kNew);
  std::vector<int32_t> stack;
  for (size_t start = 0; start < nodes_.size(); ++start) {
    if (state[start] == kNew) stack.push_back(static_cast<int32_t>(start));
    while (!stack.empty()) {
      const auto at = static_cast<size_t>(stack.back());
      if (state[at] != kNew) {
        state[at] = kDone;
        stack.pop_back();
        continue;
      }
      state[at] = kOpen;
      for (int32_t child : {nodes_[at].yes, nodes_[at].no}) {
        if (child < 0) continue;
        if (state[static_cast<size_t>(child)] == kOpen) Fail("a node of a tree is below itself");
        if (state[static_cast<size_t>(child)] == kNew) stack.push_back(child);
      }
    }
  }
}

double TreeModel::smallest_weight() const {
  double smallest = std::numeric_limits<double>::infinity();
  for (const Weight& weight : weights_) smallest = std::min(smallest, weight.value);
  return smallest;
}

int64_t TreeModel::only_target() const {
  for (const Weight& weight : weights_) {
    if (weight.target != weights_.front().target) return -1;
  }
  return weights_.empty() ? -1 : weights_.front().target;
}

}  // namespace sluice
