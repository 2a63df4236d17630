#include <algorithm>
#include <string_view>

#include "kernels/ops/fold_kernel.h"
#include "kernels/ops/params.h"

// ReduceSum (1, 11, 13), ReduceMax and ReduceMin (1, 11, 12, 13, 18, 20), ReduceMean, ReduceProd, ReduceL1,
// ReduceL2, ReduceLogSum, ReduceLogSumExp, ReduceSumSquare (1, 11, 13, 18). All numeric types; maximum and
// minimum of bool too. Integer sums and products wrap around.

namespace sluice {
namespace {

struct Reducer {
  std::string_view name;
  std::vector<int> versions;
  int axes_input_since;
  Fold fold;
  Finish finish;
};

const Reducer kReducers[] = {
    {"ReduceSum", {1, 11, 13}, 13, Fold::kSum, Finish::kNone},
    {"ReduceMean", {1, 11, 13, 18}, 18, Fold::kSum, Finish::kMean},
    {"ReduceMax", {1, 11, 12, 13, 18, 20}, 18, Fold::kMax, Finish::kNone},
    {"ReduceMin", {1, 11, 12, 13, 18, 20}, 18, Fold::kMin, Finish::kNone},
    {"ReduceProd", {1, 11, 13, 18}, 18, Fold::kProduct, Finish::kNone},
    {"ReduceL1", {1, 11, 13, 18}, 18, Fold::kSumAbs, Finish::kNone},
    {"ReduceL2", {1, 11, 13, 18}, 18, Fold::kSumSquare, Finish::kSqrt},
    {"ReduceLogSum", {1, 11, 13, 18, 28}, 18, Fold::kSum, Finish::kLog},
    {"ReduceLogSumExp", {1, 11, 13, 18, 28}, 18, Fold::kSumExp, Finish::kLog},
    {"ReduceSumSquare", {1, 11, 13, 18}, 18, Fold::kSumSquare, Finish::kNone},
};

const Reducer& ReducerOf(const Node& node) {
  return *std::find_if(std::begin(kReducers), std::end(kReducers),
                       [&](const Reducer& reducer) { return reducer.name == node.op_type; });
}

// Which axes of a tensor of that rank are reduced; nothing where a run decides. Where none is named all are,
// or with noop_with_empty_axes none: then what the reduction does to one element is done to each.
struct Axes {
  std::optional<std::vector<bool>> reduced;
  bool keep = true;
};
template <typename Context>
Axes AxesOf(const Context& ctx, int64_t rank) {
  Axes result;
  result.keep = ctx.attrs().Int("keepdims", 1) != 0;
  std::vector<int64_t> axes;
  if (ctx.since_version() < ReducerOf(ctx.node()).axes_input_since) {
    axes = ctx.attrs().Ints("axes", {});
  } else if (ctx.has_input(1)) {
    const auto input = InputInts(ctx, 1);
    if (!input && rank > 0) return result;
    if (input) axes = *input;
  }
  if (axes.empty() && ctx.attrs().Int("noop_with_empty_axes", 0) != 0) {
    result.keep = true;
  } else if (axes.empty()) {
    axes = AllAxes(rank);
  }
  result.reduced.emplace(static_cast<size_t>(rank), false);
  for (int64_t axis : CheckedAxes(ctx, axes, rank)) (*result.reduced)[static_cast<size_t>(axis)] = true;
  return result;
}

void InferReduce(InferContext& ctx) {
  if (ctx.since_version() < ReducerOf(ctx.node()).axes_input_since && ctx.has_input(1))
    ctx.Fail("has 2 inputs, expected 1");
  const SymShape& src = ctx.shape(0);
  const Axes axes = AxesOf(ctx, ctx.rank(0));
  if (!axes.reduced) {
    if (axes.keep) return ctx.SetOutput(0, ctx.dtype(0), SymShape(src.size()));
    return ctx.SetUnknownShape(0, ctx.dtype(0));
  }
  SymShape dst;
  for (size_t i = 0; i < src.size(); ++i) {
    if (!(*axes.reduced)[i])
      dst.push_back(src[i]);
    else if (axes.keep)
      dst.emplace_back(1);
  }
  ctx.SetOutput(0, ctx.dtype(0), std::move(dst));
}

class ReduceKernel : public FoldKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const Reducer& reducer = ReducerOf(ctx.node());
    PrepareFold(ctx, reducer.fold, reducer.finish,
                *AxesOf(ctx, static_cast<int64_t>(ctx.shape(0).size())).reduced);
  }
};

const std::vector<Operator>& Operators() {
  static const std::vector<Operator> operators = [] {
    std::vector<Operator> result;
    for (const Reducer& reducer : kReducers) {
      const bool compares = reducer.fold == Fold::kMax || reducer.fold == Fold::kMin;
      result.push_back({.name = reducer.name,
                        .versions = reducer.versions,
                        .max_inputs = 2,
                        .infer = InferReduce,
                        .kernels = {&Make<ReduceKernel>},
                        .types = compares ? "T, bool" : "T"});
    }
    return result;
  }();
  return operators;
}
const std::vector<RegisterOperator> kRegister(Operators().begin(), Operators().end());

}  // namespace
}  // namespace sluice
