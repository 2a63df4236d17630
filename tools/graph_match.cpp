#include "tools/graph_match.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <unordered_map>

#include "tools/elements.h"

namespace sluice::tools {
namespace {

constexpr int64_t kMostCells = int64_t{1} << 26;

// What tells a node apart, as numbers that compare fast.
struct Sign {
  NodeId id;
  int op, output, name, shape;
};

class Numbers {
 public:
  int Of(const std::string& text) {
    return text.empty() ? 0 : numbers_.try_emplace(text, static_cast<int>(numbers_.size()) + 1).first->second;
  }

 private:
  std::unordered_map<std::string, int> numbers_;
};

std::vector<Sign> SignsOf(const Graph& graph, Numbers& numbers) {
  std::vector<Sign> signs;
  for (NodeId id : graph.TopologicalOrder()) {
    const Node& node = graph.node(id);
    const bool named = !node.outputs.empty() && node.outputs[0] != ValueId::kNone;
    std::string shape;
    if (named) shape = ToString(graph.value(node.outputs[0]).type);
    for (ValueId input : node.inputs) {
      if (graph.IsConstant(input)) shape += ToString(graph.value(input).constant.shape());
    }
    signs.push_back({id, numbers.Of(node.domain + "." + node.op_type),
                     named ? numbers.Of(graph.value(node.outputs[0]).name) : 0, numbers.Of(node.name),
                     numbers.Of(shape)});
  }
  return signs;
}

bool Same(int a, int b) { return a != 0 && a == b; }

// How well two nodes correspond; 0: not at all.
int Score(const Sign& a, const Sign& b) {
  const bool named = Same(a.output, b.output), same_node = Same(a.name, b.name);
  if (a.op == b.op) return 4 + 6 * named + 3 * same_node + 2 * Same(a.shape, b.shape);
  return named && same_node ? 5 : named || same_node ? 2 : 0;
}

using Pairs = std::vector<std::pair<size_t, size_t>>;

// The alignment of largest score: places in a and b.
Pairs Align(std::span<const Sign> a, std::span<const Sign> b) {
  const size_t columns = b.size() + 1;
  std::vector<uint8_t> steps((a.size() + 1) * columns, 0);  // 1: skip in a, 2: skip in b, 3: a pair
  std::vector<int> last(columns, 0), row(columns, 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = last[j];
      uint8_t step = 1;
      if (row[j - 1] > row[j]) row[j] = row[j - 1], step = 2;
      const int score = Score(a[i - 1], b[j - 1]);
      if (score > 0 && last[j - 1] + score > row[j]) row[j] = last[j - 1] + score, step = 3;
      steps[i * columns + j] = step;
    }
    std::swap(last, row);
  }
  Pairs pairs;
  for (size_t i = a.size(), j = b.size(); i > 0 && j > 0;) {
    const uint8_t step = steps[i * columns + j];
    if (step == 3) pairs.emplace_back(i - 1, j - 1);
    i -= step != 2;
    j -= step != 1;
  }
  std::reverse(pairs.begin(), pairs.end());
  return pairs;
}

// Pairs of one operator whose values or, second, whose nodes have the same name.
Pairs ByNames(std::span<const Sign> a, std::span<const Sign> b) {
  Pairs pairs;
  std::vector<bool> used_a(a.size()), used_b(b.size());
  for (int Sign::*name : {&Sign::output, &Sign::name}) {
    std::unordered_map<int, size_t> places;
    for (size_t j = 0; j < b.size(); ++j) {
      if (!used_b[j] && b[j].*name != 0) places.emplace(b[j].*name, j);
    }
    for (size_t i = 0; i < a.size(); ++i) {
      const auto found = used_a[i] ? places.end() : places.find(a[i].*name);
      if (found == places.end() || used_b[found->second] || a[i].op != b[found->second].op) continue;
      used_a[i] = used_b[found->second] = true;
      pairs.emplace_back(i, found->second);
    }
  }
  return pairs;
}

std::vector<size_t> Rest(size_t size, const std::function<bool(size_t)>& used) {
  std::vector<size_t> rest;
  for (size_t i = 0; i < size; ++i) {
    if (!used(i)) rest.push_back(i);
  }
  return rest;
}

// Names decide where most nodes agree in them, as those of two versions of a model do. Elsewhere, as between
// exports that number their values, an equal name says little and order decides first.
Pairs Matched(std::span<const Sign> a, std::span<const Sign> b) {
  const Pairs named = ByNames(a, b);
  const bool trusted = 2 * named.size() >= std::min(a.size(), b.size());
  Pairs pairs;
  if (trusted) pairs = named;
  const auto align_rest = [&](auto&& align) {
    std::vector<bool> used_a(a.size()), used_b(b.size());
    for (auto [i, j] : pairs) used_a[i] = used_b[j] = true;
    const std::vector<size_t> left = Rest(a.size(), [&](size_t i) { return used_a[i]; });
    const std::vector<size_t> right = Rest(b.size(), [&](size_t j) { return used_b[j]; });
    std::vector<Sign> x, y;
    for (size_t i : left) x.push_back(a[i]);
    for (size_t j : right) y.push_back(b[j]);
    for (auto [i, j] : align(x, y)) pairs.emplace_back(left[i], right[j]);
  };
  align_rest([&](const std::vector<Sign>& x, const std::vector<Sign>& y) {
    return static_cast<int64_t>(x.size() * y.size()) > kMostCells ? Pairs() : Align(x, y);
  });
  // Those that changed their order.
  align_rest([](const std::vector<Sign>& x, const std::vector<Sign>& y) { return ByNames(x, y); });
  std::sort(pairs.begin(), pairs.end());
  return pairs;
}

std::string CompareConstants(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) {
    return fmt::format("{} {}, there {} {}", DataTypeName(a.dtype()), ToString(a.shape()),
                       DataTypeName(b.dtype()), ToString(b.shape()));
  }
  if (a.dtype() == DataType::kString) {
    const auto x = a.values<std::string>(), y = b.values<std::string>();
    return std::equal(x.begin(), x.end(), y.begin()) ? "" : "other texts";
  }
  if (std::memcmp(a.data(), b.data(), static_cast<size_t>(a.byte_size())) == 0) return {};
  double largest = 0;
  if (!VisitNumbers(a, [&](auto x) {
        const auto y = b.values<typename decltype(x)::value_type>();
        for (size_t i = 0; i < x.size(); ++i) {
          largest = std::max(largest, std::abs(static_cast<double>(x[i]) - static_cast<double>(y[i])));
        }
      })) {
    return "other values";
  }
  return fmt::format("values differ by up to {:.3g}", largest);
}

std::vector<std::string> DifferencesOf(const Graph& ga, const Node& a, const Graph& gb, const Node& b) {
  std::vector<std::string> found;
  if (a.op_type != b.op_type || a.domain != b.domain)
    found.push_back(fmt::format("{}, there {}", a.op_type, b.op_type));
  if (a.since_version != b.since_version && a.op_type == b.op_type) {
    found.push_back(fmt::format("version {} of the operator, there {}", a.since_version, b.since_version));
  }
  for (const auto& [name, attribute] : a.attrs.all()) {
    const auto other = b.attrs.all().find(name);
    if (other == b.attrs.all().end()) {
      found.push_back(fmt::format("{} {}, there none", name, DescribeAttribute(attribute)));
    } else if (DescribeAttribute(attribute) != DescribeAttribute(other->second)) {
      found.push_back(fmt::format("{} {}, there {}", name, DescribeAttribute(attribute),
                                  DescribeAttribute(other->second)));
    }
  }
  for (const auto& [name, attribute] : b.attrs.all()) {
    if (!a.attrs.Has(name))
      found.push_back(fmt::format("no {}, there {}", name, DescribeAttribute(attribute)));
  }
  if (a.inputs.size() != b.inputs.size()) {
    found.push_back(fmt::format("{} inputs, there {}", a.inputs.size(), b.inputs.size()));
  }
  for (size_t i = 0; i < std::min(a.inputs.size(), b.inputs.size()); ++i) {
    const bool left = ga.IsConstant(a.inputs[i]), right = gb.IsConstant(b.inputs[i]);
    if (left != right) {
      found.push_back(fmt::format("input {} is {}, there {}", i + 1, left ? "a constant" : "computed",
                                  right ? "a constant" : "computed"));
    } else if (left) {
      const std::string what =
          CompareConstants(ga.value(a.inputs[i]).constant, gb.value(b.inputs[i]).constant);
      if (!what.empty()) found.push_back(fmt::format("weights '{}': {}", ga.value(a.inputs[i]).name, what));
    }
  }
  return found;
}

std::string DescribeTensor(const Tensor& tensor) {
  constexpr int64_t kFew = 8;
  std::string text = fmt::format("{} {}", DataTypeName(tensor.dtype()), ToString(tensor.shape()));
  if (tensor.num_elements() == 0 || tensor.num_elements() > kFew) return text;
  VisitNumbers(tensor, [&](auto values) {
    text += ":";
    for (const auto& value : values) text += fmt::format(" {:.6g}", static_cast<double>(value));
  });
  return text;
}

}  // namespace

std::string DescribeAttribute(const Attribute& attribute) {
  constexpr size_t kMost = 200;
  const auto list = [](const auto& values) {
    if (values.size() > 32) return fmt::format("{} values", values.size());
    return fmt::format("[{}]", fmt::join(values, ", "));
  };
  const std::string text = std::visit(
      [&](const auto& value) -> std::string {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, std::shared_ptr<Graph>>)
          return fmt::format("graph of {} nodes", value->num_nodes());
        else if constexpr (std::is_same_v<T, Tensor>)
          return DescribeTensor(value);
        else if constexpr (std::is_same_v<T, std::vector<Tensor>>)
          return fmt::format("{} tensors", value.size());
        else if constexpr (std::is_same_v<T, int64_t> || std::is_same_v<T, float> ||
                           std::is_same_v<T, std::string>)
          return fmt::format("{}", value);
        else
          return list(value);
      },
      attribute);
  return text.size() <= kMost ? text : text.substr(0, kMost) + "...";
}

GraphMatch MatchGraphs(const Graph& a, const Graph& b) {
  Numbers numbers;
  const std::vector<Sign> left = SignsOf(a, numbers), right = SignsOf(b, numbers);
  GraphMatch match;
  std::vector<bool> used_a(left.size()), used_b(right.size());
  for (auto [i, j] : Matched(left, right)) {
    used_a[i] = used_b[j] = true;
    match.pairs.push_back(
        {left[i].id, right[j].id, DifferencesOf(a, a.node(left[i].id), b, b.node(right[j].id))});
  }
  for (size_t i = 0; i < left.size(); ++i) {
    if (!used_a[i]) match.only_a.push_back(left[i].id);
  }
  for (size_t j = 0; j < right.size(); ++j) {
    if (!used_b[j]) match.only_b.push_back(right[j].id);
  }
  return match;
}

}  // namespace sluice::tools
