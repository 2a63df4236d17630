// Operator::types says what the kernels accept: the standard's cases are run again with other element types.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "graph/import.h"
#include "graph/operator_types.h"
#include "tests/kernels/op_test_util.h"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;

// One node and its inputs.
struct Sample {
  std::unique_ptr<Graph> graph;
  const Node* node;
  std::vector<Value> inputs;
  DataType type;  // of the inputs that change
};

// The same numbers in another type.
Tensor Converted(const Tensor& from, DataType type) {
  Tensor to(type, from.shape());
  using Sources = TypeList<float, double, Half, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t,
                           uint32_t, uint64_t, bool, std::string>;
  Dispatch(Sources(), from.dtype(), [&](auto source) {
    using S = typename decltype(source)::type;
    Dispatch(TypeList<float, double, Half, BFloat16, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t,
                      uint32_t, uint64_t, bool, std::string>(),
             type, [&](auto target) {
               using T = typename decltype(target)::type;
               for (int64_t i = 0; i < from.num_elements(); ++i) {
                 double number = 0;
                 if constexpr (!std::is_same_v<S, std::string>)
                   number = static_cast<double>(static_cast<const S*>(from.data())[i]);
                 T& dst = static_cast<T*>(to.mutable_data())[i];
                 if constexpr (std::is_same_v<T, std::string>)
                   dst = std::to_string(number);
                 else if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>)
                   dst = static_cast<float>(number);
                 else
                   dst = static_cast<T>(std::isnan(number) ? 0.0 : std::clamp(number, 0.0, 100.0));
               }
             });
  });
  return to;
}

// Nothing for the cases of several nodes, of sequences and of subgraphs.
std::optional<Sample> ReadSample(const fs::path& dir) {
  Sample sample;
  try {
    sample.graph = ImportOnnx((dir / "model.onnx").string());
  } catch (const Error&) {
    return std::nullopt;
  }
  const std::vector<NodeId> order = sample.graph->TopologicalOrder();
  if (order.size() != 1 || sample.graph->node(order[0]).captures > 0) return std::nullopt;
  sample.node = &sample.graph->node(order[0]);
  for (const auto& [name, attribute] : sample.node->attrs.all())
    if (std::holds_alternative<std::shared_ptr<Graph>>(attribute)) return std::nullopt;
  for (ValueId id : sample.node->inputs) {
    if (id == ValueId::kNone) {
      sample.inputs.emplace_back();
      continue;
    }
    const GraphValue& value = sample.graph->value(id);
    if (value.type.kind != ValueType::Kind::kTensor) return std::nullopt;
    const auto at = std::find(sample.graph->inputs.begin(), sample.graph->inputs.end(), id);
    if (at == sample.graph->inputs.end()) {
      sample.inputs.emplace_back(value.constant);
    } else {
      const auto number = std::to_string(at - sample.graph->inputs.begin());
      sample.inputs.emplace_back(
          ReadValueProto((dir / "test_data_set_0" / ("input_" + number + ".pb")).string()));
    }
  }
  if (sample.inputs.empty() || sample.inputs[0].is_none()) return std::nullopt;
  // Data comes first, except after conditions and indices.
  sample.type = sample.inputs[0].tensor().dtype();
  const ValueId first = sample.node->outputs[0];
  const DataType result = first == ValueId::kNone ? DataType::kUndefined : sample.graph->value(first).type.dtype;
  if (sample.type == DataType::kBool || sample.type == DataType::kInt64) {
    for (const Value& input : sample.inputs)
      if (input.is_tensor() && input.tensor().dtype() == result) sample.type = result;
  }
  return sample;
}

// The attributes that name the type of a result that no input decides.
const std::map<std::string, std::string> kTypeAttributes = {
    {"HannWindow", "output_datatype"},
    {"HammingWindow", "output_datatype"},
    {"BlackmanWindow", "output_datatype"},
    {"MelWeightMatrix", "output_datatype"},
    {"EyeLike", "dtype"},
    {"ConstantOfShape", "value"},
};

// The reason for which the sample is refused with elements of this type; empty if it runs.
std::string Refusal(const Sample& sample, DataType type, bool first_only) {
  std::vector<Value> inputs = sample.inputs;
  Node node = *sample.node;
  if (const auto found = kTypeAttributes.find(node.op_type); found == kTypeAttributes.end()) {
    for (Value& input : inputs) {
      if (!input.is_tensor() || input.tensor().dtype() != sample.type || sample.type == type) continue;
      input = Converted(input.tensor(), type);
      if (first_only) break;
    }
  } else if (found->second == "value") {
    node.attrs.Set("value", Tensor(type, {1}));
  } else {
    node.attrs.Set(found->second, static_cast<int64_t>(type));
  }
  try {
    Evaluate(node, inputs);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Types, AreThoseThatTheKernelsAccept) {
  const fs::path data = fs::path(SLUICE_ONNX_TEST_DATA) / "node";
  if (!fs::exists(data)) GTEST_SKIP() << data << " is missing: install libonnx-testdata";
  struct Found {
    std::set<DataType> accepted;
    std::map<DataType, std::string> refused;  // by every case so far
  };
  std::map<const Operator*, Found> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(data)) {
    const std::optional<Sample> sample = ReadSample(entry.path());
    if (!sample) continue;
    Found& of = found[sample->node->op];
    for (DataType type : ParseTypes("T, bool, string")) {
      if (of.accepted.contains(type)) continue;
      // Scales and the like may keep their own type.
      std::string reason = Refusal(*sample, type, false);
      if (!reason.empty() && Refusal(*sample, type, true).empty()) reason.clear();
      if (reason.empty())
        of.accepted.insert(type);
      else
        of.refused[type] = reason;
    }
  }
  EXPECT_GT(found.size(), 100u);
  for (const auto& [op, of] : found) {
    const std::vector<DataType> list = ParseTypes(op->types);
    const std::set<DataType> listed(list.begin(), list.end());
    for (DataType type : ParseTypes("T, bool, string")) {
      const bool accepts = of.accepted.contains(type);
      EXPECT_EQ(listed.contains(type), accepts)
          << op->name << " " << op->versions.front() << " lists '" << op->types << "' and "
          << (accepts ? "accepts " : "refuses ") << DataTypeName(type) << ": "
          << (accepts ? "" : of.refused.at(type));
    }
  }
}

TEST(Types, AreListedForEveryOperator) {
  for (const Operator* op : AllOperators()) EXPECT_FALSE(ParseTypes(op->types).empty()) << op->name;
}

TEST(Types, HaveNames) {
  EXPECT_EQ(ParseTypes("int64, float"), (std::vector{DataType::kFloat, DataType::kInt64}));
  EXPECT_EQ(ParseTypes("T").size(), 12u);
  EXPECT_EQ(ParseTypes("integers").size(), 8u);
  EXPECT_EQ(ParseTypes("unsigned integers").size(), 4u);
  EXPECT_EQ(ParseTypes("float8").size(), 5u);
  EXPECT_THROW(ParseTypes("number"), Error);
}

}  // namespace
}  // namespace sluice::test
