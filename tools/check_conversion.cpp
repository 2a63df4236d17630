#include "tools/check_conversion.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "graph/import.h"
#include "graph/infer.h"
#include "graph/operator.h"
#include "graph/verify.h"
#include "runtime/value_info.h"
#include "sluice/error.h"
#include "tools/check_in_parts.h"
#include "tools/compare.h"
#include "tools/elements.h"
#include "tools/model_args.h"
#include "tools/run_nodes.h"

namespace sluice::tools {
namespace {

// Weights that were rounded to float16's 11 bits, and sums of them.
constexpr double kRoundedError = 0.05;

[[noreturn]] void Fail(const std::string& what) {
  throw Error(ErrorCode::kInternal, "the converted model failed its check, nothing was written: " + what);
}

// Results that no two runs share.
bool IsRandom(const Graph& graph) {
  for (size_t i = 0; i < graph.num_node_ids(); ++i) {
    if (!graph.alive(static_cast<NodeId>(i))) continue;
    const Node& node = graph.node(static_cast<NodeId>(i));
    for (const std::string_view name : {"RandomNormal", "RandomNormalLike", "RandomUniform",
                                        "RandomUniformLike", "Multinomial", "Bernoulli"}) {
      if (node.op_type == name && !node.attrs.Has("seed")) return true;
    }
    if (node.op_type == "Dropout" && node.inputs.size() > 2) return true;
    for (const auto& [name, attribute] : node.attrs.all()) {
      const auto* nested = std::get_if<std::shared_ptr<Graph>>(&attribute);
      if (nested != nullptr && IsRandom(**nested)) return true;
    }
  }
  return false;
}

// Infinite where numbers are not finite.
double LargestMagnitude(const Value& value) {
  if (!value.is_tensor()) return 0;
  const Summary summary = Summarize(value.tensor());
  if (summary.nans > 0) return std::numeric_limits<double>::infinity();
  return summary.known ? std::max(std::abs(summary.min), std::abs(summary.max)) : 0;
}

// `reason` is set where the original does not run; throws where the result alone does not.
std::vector<ComparedOutput> RunBoth(std::unique_ptr<Graph> original, const std::string& file,
                                    const std::function<void(std::string_view)>& stage, std::string& reason) {
  std::vector<ComparedOutput> outputs;
  std::vector<Value> inputs, want, got;
  for (ValueId id : original->outputs) outputs.push_back({original->value(id).name, {}, {}});
  try {
    for (ValueId id : original->inputs) {
      inputs.push_back(Noise(InfoOf(original->value(id)), kSeed + inputs.size()));
    }
    stage("running the original");
    want = RunAsWritten(std::move(original), inputs);
  } catch (const Error& error) {
    reason = error.what();
    return {};
  }
  try {
    stage("running the result");
    std::unique_ptr<Graph> converted = ImportOnnx(file);
    InferShapes(*converted);
    got = RunAsWritten(std::move(converted), inputs);
  } catch (const Error& error) {
    Fail(error.what());
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    outputs[i].got = std::move(got[i]);
    outputs[i].want = std::move(want[i]);
  }
  return outputs;
}

}  // namespace

ConversionCheck CheckByRun(std::unique_ptr<Graph> original, const std::string& file, bool approximate,
                           const std::function<void(std::string_view)>& stage) {
  ConversionCheck check;
  const bool random = IsRandom(*original);
  // Why an output is not what it should be; empty where it is.
  const auto judge = [&](const ComparedOutput& output) -> std::string {
    const Comparison result = Compare(output.got, output.want, {});
    const double largest = LargestMagnitude(output.want);
    const double relative = result.largest_error / (largest > 0 ? largest : 1);
    if (!result.equal && !(approximate && relative <= kRoundedError)) return result.message;
    check.not_finite |= !std::isfinite(largest);
    check.largest_error = std::max(check.largest_error, relative);
    return "";
  };
  if (!random) {
    const auto parts = RunInParts(*original, file, stage);
    check.ran = parts && std::all_of(parts->begin(), parts->end(),
                                     [&](const ComparedOutput& output) { return judge(output).empty(); });
    if (check.ran) return check;
  }
  check = {};
  const std::vector<ComparedOutput> outputs = RunBoth(std::move(original), file, stage, check.reason);
  if (!check.reason.empty()) return check;
  check.ran = true;
  for (const ComparedOutput& output : outputs) {
    if (random) break;
    if (const std::string message = judge(output); !message.empty())
      Fail(fmt::format("output '{}': {}", output.name, message));
  }
  return check;
}

Signature::Signature(const Graph& graph) {
  for (ValueId id : graph.inputs) inputs.push_back({graph.value(id).name, graph.value(id).type});
  for (ValueId id : graph.outputs) {
    const auto uses = std::count(graph.inputs.begin(), graph.inputs.end(), id) +
                      std::count(graph.outputs.begin(), graph.outputs.end(), id);
    outputs.push_back({graph.value(id).name, graph.value(id).type, uses > 1});
  }
}

void CheckByImport(const Signature& signature, const std::string& file) {
  std::unique_ptr<Graph> again;
  try {
    again = ImportOnnx(file);
    Verify(*again);
    InferShapes(*again);
  } catch (const Error& error) {
    Fail(error.what());
  }
  const auto same = [&](const std::vector<Signature::Port>& wanted, const std::vector<ValueId>& found,
                        const char* what) {
    if (wanted.size() != found.size())
      Fail(fmt::format("{} {}s instead of {}", found.size(), what, wanted.size()));
    for (size_t i = 0; i < wanted.size(); ++i) {
      const GraphValue& value = again->value(found[i]);
      if (wanted[i].name != value.name && !wanted[i].shared) {
        Fail(fmt::format("{} '{}' is called '{}'", what, wanted[i].name, value.name));
      }
      if (wanted[i].type.dtype != value.type.dtype) {
        Fail(fmt::format("{} '{}' is {} instead of {}", what, wanted[i].name, ToString(value.type),
                         ToString(wanted[i].type)));
      }
    }
  };
  same(signature.inputs, again->inputs, "input");
  same(signature.outputs, again->outputs, "output");
}

}  // namespace sluice::tools
