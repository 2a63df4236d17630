#include <cmath>

#include "tests/kernels/op_test_util.h"

// Tree ensembles and linear models of ai.onnx.ml.

namespace sluice::test {
namespace {

const std::string kMl = "ai.onnx.ml";

using Strings = std::vector<std::string>;
using Ints = std::vector<int64_t>;
using Floats = std::vector<float>;

std::vector<Value> Ml(const std::string& op, int opset, const Attrs& attrs, std::vector<Value> inputs,
                      int outputs = 1) {
  return RunOp({op, opset, attrs, std::move(inputs), outputs, kMl});
}

// A random tree, as lists of attributes and as something to walk.
struct Tree {
  struct Branch {
    bool leaf;
    int64_t feature, mode;
    bool missing;
    float split;
    size_t yes, no;
    Floats weights;
  };
  std::vector<Branch> nodes;

  size_t Grow(std::mt19937& engine, int depth, int64_t features, int64_t targets) {
    const size_t at = nodes.size();
    nodes.push_back({});
    Branch node{depth == 0 || engine() % 4 == 0,
                static_cast<int64_t>(engine() % static_cast<uint32_t>(features)),
                static_cast<int64_t>(engine() % 6),
                engine() % 2 == 0,
                static_cast<float>(engine() % 5),
                0,
                0,
                {}};
    if (node.leaf) {
      for (int64_t i = 0; i < targets; ++i) node.weights.push_back(static_cast<float>(engine() % 9) - 4);
    } else {
      node.yes = Grow(engine, depth - 1, features, targets);
      node.no = Grow(engine, depth - 1, features, targets);
    }
    nodes[at] = node;
    return at;
  }
  const Floats& Walk(const float* row, size_t at = 0) const {
    const Branch& node = nodes[at];
    if (node.leaf) return node.weights;
    const float x = row[node.feature], s = node.split;
    const bool tests[] = {x <= s, x<s, x >= s, x> s, x == s, x != s};
    return Walk(row, tests[node.mode] || (std::isnan(x) && node.missing) ? node.yes : node.no);
  }
};

Attrs ListsOf(const std::vector<Tree>& trees, const std::string& prefix) {
  const char* modes[] = {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"};
  Ints tree_ids, ids, features, yes, no, missing, leaf_trees, leaf_nodes, leaf_targets;
  Floats splits, weights;
  Strings mode_names;
  for (size_t t = 0; t < trees.size(); ++t) {
    for (size_t i = 0; i < trees[t].nodes.size(); ++i) {
      const Tree::Branch& node = trees[t].nodes[i];
      tree_ids.push_back(static_cast<int64_t>(t));
      ids.push_back(static_cast<int64_t>(i));
      features.push_back(node.feature);
      splits.push_back(node.split);
      yes.push_back(static_cast<int64_t>(node.yes));
      no.push_back(static_cast<int64_t>(node.no));
      missing.push_back(node.missing);
      mode_names.push_back(node.leaf ? "LEAF" : modes[node.mode]);
      for (size_t k = 0; k < node.weights.size(); ++k) {
        leaf_trees.push_back(static_cast<int64_t>(t));
        leaf_nodes.push_back(static_cast<int64_t>(i));
        leaf_targets.push_back(static_cast<int64_t>(k));
        weights.push_back(node.weights[k]);
      }
    }
  }
  return {{"nodes_treeids", tree_ids},
          {"nodes_nodeids", ids},
          {"nodes_featureids", features},
          {"nodes_values", splits},
          {"nodes_truenodeids", yes},
          {"nodes_falsenodeids", no},
          {"nodes_missing_value_tracks_true", missing},
          {"nodes_modes", mode_names},
          {prefix + "_treeids", leaf_trees},
          {prefix + "_nodeids", leaf_nodes},
          {prefix + "_ids", leaf_targets},
          {prefix + "_weights", weights}};
}

// The same trees with one target as tables of branches and of leaves.
Attrs TablesOf(const std::vector<Tree>& trees) {
  Ints roots, features, yes, yes_leaf, no, no_leaf, missing, targets;
  Floats splits, weights;
  std::vector<uint8_t> modes;
  for (const Tree& tree : trees) {
    std::vector<int64_t> place;
    int64_t branches = static_cast<int64_t>(features.size()), leaves = static_cast<int64_t>(weights.size());
    for (const Tree::Branch& node : tree.nodes) place.push_back(node.leaf ? leaves++ : branches++);
    roots.push_back(place[0]);
    for (const Tree::Branch& node : tree.nodes) {
      if (node.leaf) {
        targets.push_back(0);
        weights.push_back(node.weights[0]);
        continue;
      }
      features.push_back(node.feature);
      splits.push_back(node.split);
      modes.push_back(static_cast<uint8_t>(node.mode));
      missing.push_back(node.missing);
      yes.push_back(place[node.yes]);
      yes_leaf.push_back(tree.nodes[node.yes].leaf);
      no.push_back(place[node.no]);
      no_leaf.push_back(tree.nodes[node.no].leaf);
    }
  }
  const auto vector = [](const auto& v) {
    return Tensor::From<typename std::decay_t<decltype(v)>::value_type>({static_cast<int64_t>(v.size())}, v);
  };
  return {{"tree_roots", roots},
          {"nodes_featureids", features},
          {"nodes_splits", vector(splits)},
          {"nodes_modes", vector(modes)},
          {"nodes_missing_value_tracks_true", missing},
          {"nodes_truenodeids", yes},
          {"nodes_trueleafs", yes_leaf},
          {"nodes_falsenodeids", no},
          {"nodes_falseleafs", no_leaf},
          {"leaf_targetids", targets},
          {"leaf_weights", vector(weights)}};
}

TEST(TreeEnsemble, AgreesWithWalking) {
  std::mt19937 engine(5);
  for (int round = 0; round < 60; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const int64_t features = 1 + engine() % 4, rows = engine() % 40;
    const int64_t targets = round % 2 == 0 ? 1 : 1 + static_cast<int64_t>(engine() % 4);
    std::vector<Tree> trees(1 + engine() % 5);
    for (Tree& tree : trees) {
      do {
        tree.nodes.clear();
        tree.Grow(engine, 5, features, targets);
      } while (tree.nodes[0].leaf);
    }
    Tensor x(DataType::kFloat, {rows, features});
    for (float& value : x.mutable_values<float>())
      value = engine() % 8 == 0 ? std::nanf("") : static_cast<float>(engine() % 10) / 2;
    const char* names[] = {"AVERAGE", "SUM", "MIN", "MAX"};
    const auto aggregate = static_cast<int64_t>(engine() % 4);
    Tensor want(DataType::kFloat, {rows, targets}), labels(DataType::kInt64, {rows});
    Tensor sums = want.Clone();
    for (int64_t row = 0; row < rows; ++row) {
      std::vector<Floats> leaves;
      for (const Tree& tree : trees) leaves.push_back(tree.Walk(x.values<float>().data() + row * features));
      for (int64_t t = 0; t < targets; ++t) {
        float sum = 0, least = 100, most = -100;
        for (const Floats& leaf : leaves) {
          const float w = leaf[static_cast<size_t>(t)];
          sum += w;
          least = std::min(least, w);
          most = std::max(most, w);
        }
        const float results[] = {sum / static_cast<float>(trees.size()), sum, least, most};
        const auto at = static_cast<size_t>(row * targets + t);
        want.mutable_values<float>()[at] = results[aggregate];
        sums.mutable_values<float>()[at] = sum;
      }
      const auto first = sums.values<float>().begin() + row * targets;
      labels.mutable_values<int64_t>()[static_cast<size_t>(row)] =
          10 * (std::max_element(first, first + targets) - first);
    }
    Attrs attrs = ListsOf(trees, "target");
    attrs["n_targets"] = targets;
    attrs["aggregate_function"] = std::string(names[aggregate]);
    ExpectTensor(Ml("TreeEnsembleRegressor", 3, attrs, {x})[0], want);
    if (targets == 1) {
      attrs = TablesOf(trees);
      attrs["aggregate_function"] = aggregate;
      ExpectTensor(Ml("TreeEnsemble", 5, attrs, {x})[0], want);
    } else {
      attrs = ListsOf(trees, "class");
      Ints names_of_classes;
      for (int64_t t = 0; t < targets; ++t) names_of_classes.push_back(10 * t);
      attrs["classlabels_int64s"] = names_of_classes;
      const auto out = Ml("TreeEnsembleClassifier", 1, attrs, {x}, 2);
      ExpectTensor(out[0], labels);
      ExpectTensor(out[1], sums);
    }
    if (HasFatalFailure()) return;
  }
}

// x[0] <= 0.5 ? left : right
Attrs Stump(const std::string& prefix, float left, float right) {
  return {{"nodes_treeids", Ints{0, 0, 0}},
          {"nodes_nodeids", Ints{0, 1, 2}},
          {"nodes_featureids", Ints{0, 0, 0}},
          {"nodes_values", Floats{0.5f, 0, 0}},
          {"nodes_truenodeids", Ints{1, 0, 0}},
          {"nodes_falsenodeids", Ints{2, 0, 0}},
          {"nodes_modes", Strings{"BRANCH_LEQ", "LEAF", "LEAF"}},
          {prefix + "_treeids", Ints{0, 0}},
          {prefix + "_nodeids", Ints{1, 2}},
          {prefix + "_ids", Ints{0, 0}},
          {prefix + "_weights", Floats{left, right}}};
}

TEST(TreeEnsemble, TwoClassesWithOneScore) {
  const Tensor x = F({2, 1}, {0, 1});
  Attrs attrs = Stump("class", 0.2f, 0.9f);
  attrs["classlabels_strings"] = Strings{"no", "yes"};
  auto out = Ml("TreeEnsembleClassifier", 1, attrs, {x}, 2);
  ExpectTensor(out[0], Make<std::string>({2}, {"no", "yes"}));
  ExpectTensor(out[1], F({2, 2}, {0.8f, 0.2f, 0.1f, 0.9f}));
  attrs["post_transform"] = std::string("LOGISTIC");
  out = Ml("TreeEnsembleClassifier", 1, attrs, {x}, 2);
  ExpectTensor(out[0], Make<std::string>({2}, {"no", "yes"}));
  ExpectTensor(out[1], F({2, 2}, {0.450166f, 0.549834f, 0.289050f, 0.710950f}));
  attrs["class_weights"] = Floats{-2, 1};
  out = Ml("TreeEnsembleClassifier", 1, attrs, {x}, 2);
  ExpectTensor(out[0], Make<std::string>({2}, {"no", "yes"}));
  ExpectTensor(out[1], F({2, 2}, {0.880797f, 0.119203f, 0.268941f, 0.731059f}));
}

TEST(TreeEnsemble, BaseValuesAndTransforms) {
  Attrs attrs = Stump("target", 1, 2);
  attrs["n_targets"] = int64_t{1};
  attrs["base_values"] = Floats{10};
  ExpectTensor(Ml("TreeEnsembleRegressor", 1, attrs, {I({2, 1}, {0, 1})})[0], F({2, 1}, {11, 12}));
  attrs["base_values"] = Floats{-0.5f};
  attrs["post_transform"] = std::string("PROBIT");
  ExpectTensor(Ml("TreeEnsembleRegressor", 1, attrs, {F({1, 1}, {0})})[0], F({1, 1}, {0}));
  attrs["base_values"] = Floats{-0.025f};
  ExpectTensor(Ml("TreeEnsembleRegressor", 1, attrs, {F({1, 1}, {0})})[0], F({1, 1}, {1.959964f}));
}

TEST(TreeEnsemble, TestsMembership) {
  Attrs attrs = {{"tree_roots", Ints{0}},
                 {"nodes_featureids", Ints{0, 0}},
                 {"nodes_splits", F({2}, {0, 0})},
                 {"nodes_modes", Make<uint8_t>({2}, {6, 6})},
                 {"membership_values", F({6}, {1, 3, std::nanf(""), 2, 5, std::nanf("")})},
                 {"nodes_truenodeids", Ints{0, 1}},
                 {"nodes_trueleafs", Ints{1, 1}},
                 {"nodes_falsenodeids", Ints{1, 2}},
                 {"nodes_falseleafs", Ints{0, 1}},
                 {"leaf_targetids", Ints{0, 0, 0}},
                 {"leaf_weights", F({3}, {10, 20, 30})}};
  ExpectTensor(Ml("TreeEnsemble", 5, attrs, {F({5, 1}, {1, 2, 3, 4, 5})})[0],
               F({5, 1}, {10, 20, 10, 30, 20}));
}

TEST(TreeEnsemble, Refuses) {
  const Tensor x = F({1, 1}, {0});
  const auto refused = [&](const std::string& name, const Attribute& value, const std::string& part) {
    Attrs attrs = Stump("target", 1, 2);
    attrs["n_targets"] = int64_t{1};
    attrs[name] = value;
    ExpectRefused({"TreeEnsembleRegressor", 3, attrs, {x}, 1, kMl}, part);
  };
  refused("nodes_truenodeids", Ints{0, 0, 0}, "below itself");
  refused("nodes_truenodeids", Ints{7, 0, 0}, "there is no node 7");
  refused("nodes_falsenodeids", Ints{1, 0, 0}, "has 2 roots");
  refused("nodes_nodeids", Ints{0, 1, 1}, "occurs twice");
  refused("nodes_values", Floats{1}, "has 1 entries, expected 3");
  refused("nodes_modes", Strings{"BRANCH_ODD", "LEAF", "LEAF"}, "'BRANCH_ODD'");
  refused("nodes_featureids", Ints{1, 0, 0}, "the trees test 2");
  refused("nodes_featureids", Ints{-1, 0, 0}, "tests feature -1");
  refused("target_ids", Ints{0, 1}, "outside [0, 1)");
  refused("post_transform", std::string("odd"), "unknown post_transform");
  refused("n_targets", int64_t{0}, "n_targets is 0");
  // A branch that is its own child, below another root.
  Attrs attrs = {{"tree_roots", Ints{0}},
                 {"nodes_featureids", Ints{0, 0}},
                 {"nodes_splits", F({2}, {0, 0})},
                 {"nodes_modes", Make<uint8_t>({2}, {0, 0})},
                 {"nodes_truenodeids", Ints{1, 1}},
                 {"nodes_trueleafs", Ints{0, 0}},
                 {"nodes_falsenodeids", Ints{0, 0}},
                 {"nodes_falseleafs", Ints{1, 1}},
                 {"leaf_targetids", Ints{0}},
                 {"leaf_weights", F({1}, {1})}};
  ExpectRefused({"TreeEnsemble", 5, attrs, {x}, 1, kMl}, "below itself");
}

TEST(Linear, RegressorAndClassifier) {
  const Tensor x = F({2, 2}, {1, 2, 3, -1});
  ExpectTensor(
      Ml("LinearRegressor", 1,
         {{"coefficients", Floats{1, 10, 2, 0}}, {"intercepts", Floats{0, 1}}, {"targets", int64_t{2}}},
         {x})[0],
      F({2, 2}, {21, 3, -7, 7}));
  Attrs attrs = {
      {"coefficients", Floats{1, 10, 2, 0}}, {"intercepts", Floats{0, 1}}, {"classlabels_ints", Ints{5, 6}}};
  auto out = Ml("LinearClassifier", 1, attrs, {x}, 2);
  ExpectTensor(out[0], I({2}, {5, 6}));
  ExpectTensor(out[1], F({2, 2}, {21, 3, -7, 7}));
  attrs["post_transform"] = std::string("SOFTMAX");
  ExpectTensor(Ml("LinearClassifier", 1, attrs, {I({1, 2}, {1, 0})}, 2)[1],
               F({1, 2}, {0.119203f, 0.880797f}));
  attrs = {{"coefficients", Floats{1, 1}},
           {"classlabels_strings", Strings{"n", "p"}},
           {"post_transform", std::string("LOGISTIC")}};
  out = Ml("LinearClassifier", 1, attrs, {F({3, 2}, {1, 0, 0, 0, -1, 0})}, 2);
  ExpectTensor(out[0], Make<std::string>({3}, {"p", "n", "n"}));
  ExpectTensor(out[1], F({3, 2}, {0.268941f, 0.731059f, 0.5f, 0.5f, 0.731059f, 0.268941f}));
  ExpectRefused({"LinearRegressor", 1, {{"coefficients", Floats{1}}}, {x}, 1, kMl},
                "has 1 entries, expected 2");
  ExpectRefused({"LinearRegressor", 1, {{"coefficients", Floats{1}}}, {F({1, 1, 1}, {1})}, 1, kMl},
                "expected [N, C]");
  ExpectRefused({"LinearClassifier", 1, {{"coefficients", Floats{1, 1}}}, {x}, 2, kMl}, "expected one of");
}

}  // namespace
}  // namespace sluice::test
