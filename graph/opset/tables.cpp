// What came and went with a version and needs no more than a line.

#include <algorithm>
#include <variant>

#include "graph/operator_types.h"
#include "graph/opset/crossing.h"

namespace sluice {
namespace {

// Whether `op` is one of the names between blanks.
bool Names(std::string_view list, std::string_view op) {
  for (size_t begin = 0; begin < list.size();) {
    const size_t end = std::min(list.find(' ', begin), list.size());
    if (list.substr(begin, end - begin) == op) return true;
    begin = end + 1;
  }
  return false;
}

// An attribute that is new in a version. Older ones mean the default: a number, each of a list, or a text.
// Nothing: it may be left out whatever it is.
struct NewAttribute {
  std::string_view ops, name;
  int since;
  std::variant<std::monostate, int64_t, const char*> standard;
};
const NewAttribute kNew[] = {
    {"GRU", "linear_before_reset", 3, int64_t{0}},
    {"AveragePool", "count_include_pad", 7, int64_t{0}},
    {"MaxPool", "storage_order", 8, int64_t{0}},
    {"MaxPool AveragePool", "ceil_mode", 10, int64_t{0}},
    {"MaxPool", "dilations", 10, int64_t{1}},
    {"DepthToSpace", "mode", 11, "DCR"},
    {"ArgMax ArgMin", "select_last_index", 12, int64_t{0}},
    {"GatherND", "batch_dims", 12, int64_t{0}},
    {"GRU LSTM RNN", "layout", 14, int64_t{0}},
    {"BatchNormalization", "training_mode", 14, int64_t{0}},
    {"ScatterElements ScatterND", "reduction", 16, "none"},
    {"LpPool", "ceil_mode", 18, int64_t{0}},
    {"LpPool", "dilations", 18, int64_t{1}},
    {"AveragePool", "dilations", 19, int64_t{1}},
    {"Cast QuantizeLinear", "saturate", 19, {}},
    {"CastLike", "saturate", 19, {}},
    {"QuantizeLinear DequantizeLinear", "block_size", 21, int64_t{0}},
    {"QuantizeLinear", "output_dtype", 21, int64_t{0}},
    {"QuantizeLinear", "precision", 23, int64_t{0}},
    {"DequantizeLinear", "output_dtype", 23, int64_t{0}},
    {"Cast CastLike", "round_mode", 24, {}},
};

// Reductions by which scatters combine, each new in a version.
void CheckReduction(Crossing& c, int boundary) {
  if (boundary != 18 || !Names("ScatterElements ScatterND", c.node().op_type)) return;
  const std::string reduction = c.attrs().String("reduction", "none");
  if (reduction == "max" || reduction == "min") c.Fail("reduction " + reduction + " is new in version 18");
}

// Only a zero in the shape makes a difference.
bool AllowsNoZero(Crossing& c) {
  const auto shape = c.ints(1);
  return c.attrs().Int("allowzero", 0) == 0 || (shape && std::count(shape->begin(), shape->end(), 0) == 0);
}

bool IsStandard(const Attribute& attribute, const NewAttribute& entry) {
  if (std::holds_alternative<std::monostate>(entry.standard)) return true;
  if (const auto* text = std::get_if<std::string>(&attribute)) {
    const char* const* wanted = std::get_if<const char*>(&entry.standard);
    return wanted != nullptr && *text == *wanted;
  }
  const int64_t* wanted = std::get_if<int64_t>(&entry.standard);
  if (wanted == nullptr) return false;
  if (const auto* value = std::get_if<int64_t>(&attribute)) return *value == *wanted;
  const auto* list = std::get_if<std::vector<int64_t>>(&attribute);
  return list != nullptr && std::all_of(list->begin(), list->end(), [&](int64_t v) { return v == *wanted; });
}

// An attribute that is gone with a version; newer ones mean `needed`. -1: whatever it is.
struct GoneAttribute {
  std::string_view ops, name;  // no ops: all
  int since;
  int64_t needed;
};
constexpr GoneAttribute kGone[] = {
    {"", "consumed_inputs", 6, -1},
    {"", "consumed_inputs", 5, -1},  // Reshape
    {"Dropout BatchNormalization", "is_test", 7, -1},
    {"GRU LSTM RNN", "output_sequence", 7, -1},
    {"BatchNormalization", "spatial", 9, 1},
};

// Element types of the first input before a version.
struct Types {
  std::string_view ops;
  int since;
  std::string_view before;
};
constexpr std::string_view kFloats = "float, double, float16";
constexpr std::string_view kWide = "float, double, float16, int32, int64, uint32, uint64";
constexpr Types kTypes[] = {
    {"Concat", 4, kFloats},
    {"Reshape", 5, kFloats},
    {"Split", 2, kFloats},
    {"Abs Add Div Mul Neg Sub Tile", 6, kFloats},
    {"Flatten Gemm Greater Less MatMul PRelu", 9, kFloats},
    {"Equal", 11, "bool, int32, int64"},
    {"Pad TopK", 11, kFloats},
    {"Clip Max MaxPool Min Pow", 12, kFloats},
    {"ReduceMax ReduceMin", 12, kWide},
    {"Pad", 13, "float, double, float16, integers"},
    {"Add Div Mul Sub", 14, "float, double, float16, bfloat16, int32, int64, uint32, uint64"},
    {"CumSum", 14, "float, double, int32, int64, uint32, uint64"},
    {"Relu", 14, "float, double, float16, bfloat16"},
    {"Equal", 19, "bool, T"},
    {"QuantizeLinear", 19, "float, int32"},
    {"DequantizeLinear", 19, "int8, uint8, int32"},
    {"IsInf", 20, "float, double"},
    {"ReduceMax ReduceMin", 20, "T"},
};

void CrossUp(Crossing& c, int boundary) {
  for (const GoneAttribute& entry : kGone) {
    if (entry.since != boundary || !(entry.ops.empty() || Names(entry.ops, c.node().op_type))) continue;
    if (!c.attrs().Has(entry.name)) continue;
    if (entry.needed >= 0 && c.attrs().Int(entry.name) != entry.needed) {
      c.Fail(std::string(entry.name) + " is " + std::to_string(c.attrs().Int(entry.name)));
    }
    c.attrs().Erase(entry.name);
  }
}

void CrossDown(Crossing& c, int boundary) {
  const std::string op = c.node().op_type;
  for (const NewAttribute& entry : kNew) {
    if (entry.since != boundary || !Names(entry.ops, op) || !c.attrs().Has(entry.name)) continue;
    if (!IsStandard(c.attrs().all().find(entry.name)->second, entry)) {
      c.Fail(std::string(entry.name) + " is new in version " + std::to_string(boundary) + " and is used");
    }
    c.attrs().Erase(entry.name);
  }
  CheckReduction(c, boundary);
  if (op == "Reshape" && boundary == 14) {
    if (!AllowsNoZero(c)) c.Fail("allowzero is new in version 14 and its shape may have zeros");
    c.attrs().Erase("allowzero");
  }
  const DataType type = c.dtype(0);
  for (const Types& entry : kTypes) {
    if (entry.since != boundary || !Names(entry.ops, op) || type == DataType::kUndefined) continue;
    const std::vector<DataType> known = ParseTypes(entry.before);
    if (std::find(known.begin(), known.end(), type) != known.end()) continue;
    c.Fail("elements of type " + std::string(DataTypeName(type)) + " are new in version " +
           std::to_string(boundary));
  }
}

}  // namespace

void CrossByTables(Crossing& crossing, int boundary, bool up) {
  up ? CrossUp(crossing, boundary) : CrossDown(crossing, boundary);
}

}  // namespace sluice
