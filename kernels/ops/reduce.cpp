#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "kernels/ops/params.h"
#include "kernels/reduction.h"
#include "kernels/simd/fold.h"

// ReduceSum (1, 11, 13), ReduceMax and ReduceMin (1, 11, 12, 13, 18, 20), ReduceMean, ReduceProd, ReduceL1,
// ReduceL2, ReduceLogSum, ReduceLogSumExp, ReduceSumSquare (1, 11, 13, 18). All numeric types; maximum and
// minimum of bool too. Integer sums and products wrap around.

namespace sluice {
namespace {

// What is done to a folded value in the end.
enum class Finish { kNone, kMean, kSqrt, kLog };

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
    {"ReduceLogSum", {1, 11, 13, 18}, 18, Fold::kSum, Finish::kLog},
    {"ReduceLogSumExp", {1, 11, 13, 18}, 18, Fold::kSumExp, Finish::kLog},
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

template <typename T, typename Acc>
T FinishAs(Finish finish, Acc acc, int64_t length) {
  constexpr bool kReal = std::is_same_v<Acc, double>;
  switch (finish) {
    case Finish::kNone:
      break;
    case Finish::kMean:
      if constexpr (kReal)
        return FromReal<T>(acc / static_cast<double>(length));
      else
        return length == 0 ? T{0} : static_cast<T>(acc / static_cast<Acc>(length));
    case Finish::kSqrt:
      return FromReal<T>(std::sqrt(static_cast<double>(acc)));
    case Finish::kLog:
      return FromReal<T>(std::log(static_cast<double>(acc)));
  }
  return Narrow<T>(acc);
}

template <Fold kFold, typename T>
void FoldBoxInto(const T* src, const FoldBox& box, const FoldType<kFold, T>* shift, FoldType<kFold, T>* acc) {
  if constexpr (std::is_same_v<T, float> && kFold != Fold::kProduct) {
    if (box.count_step == 1 || box.length_step == 1) return FoldFloatsInto(kFold, src, box, shift, acc);
  }
  FoldInto<kFold>(src, box, shift, acc);
}

template <Fold kFold, typename T>
void RunReduction(const Reduction& reduction, Finish finish, const RunContext& ctx, int64_t tile) {
  const T* src = ctx.in<T>(0);
  T* dst = ctx.out<T>(0);
  reduction.ForEachUnit(tile, [&](const Reduction::Unit& unit, int64_t boxes, auto begin) {
    const int64_t count = unit.box.count;
    FoldType<kFold, T> acc[Reduction::kMaxCount];
    std::fill_n(acc, count, FoldStart<kFold, T>());
    T* results = dst + unit.dst;
    if constexpr (kFold == Fold::kSumExp) {
      // log sum exp(x) = m + log sum exp(x - m), which does not overflow if m is the maximum.
      FoldType<Fold::kMax, T> largest[Reduction::kMaxCount];
      double shift[Reduction::kMaxCount];
      std::fill_n(largest, count, FoldStart<Fold::kMax, T>());
      for (int64_t i = 0; i < boxes; ++i) FoldBoxInto<Fold::kMax>(src + begin(i), unit.box, nullptr, largest);
      for (int64_t j = 0; j < count; ++j) {
        shift[j] = static_cast<double>(largest[j]);
        if (reduction.length() == 0) shift[j] = -std::numeric_limits<double>::infinity();
      }
      for (int64_t i = 0; i < boxes; ++i) FoldBoxInto<kFold>(src + begin(i), unit.box, shift, acc);
      for (int64_t j = 0; j < count; ++j)
        results[j * unit.dst_step] =
            FromReal<T>(std::isfinite(shift[j]) ? shift[j] + std::log(acc[j]) : shift[j]);
    } else {
      for (int64_t i = 0; i < boxes; ++i) FoldBoxInto<kFold>(src + begin(i), unit.box, nullptr, acc);
      for (int64_t j = 0; j < count; ++j)
        results[j * unit.dst_step] = FinishAs<T>(finish, acc[j], reduction.length());
    }
    std::fill_n(results + count, unit.padding, T{});
  });
}

class ReduceKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const Reducer& reducer = ReducerOf(ctx.node());
    finish_ = reducer.finish;
    const std::vector<bool> reduced = *AxesOf(ctx, static_cast<int64_t>(ctx.shape(0).size())).reduced;
    TensorDesc src = ctx.input(0), dst = ctx.output(0);
    if (!Reduction::AcceptsLayout(src, reduced)) src.layout = Layout::kPlain;
    dst.layout = Reduction::LayoutOfResult(src, dst, reduced);
    ctx.SetInputLayout(0, src.layout);
    ctx.SetOutputLayout(0, dst.layout);
    reduction_ = Reduction(src, dst, reduced);
    if (!Choose(reducer.fold, src.dtype))
      ctx.Unsupported("input of type " + std::string(DataTypeName(src.dtype)));
  }
  int64_t tiles() const override { return reduction_.tiles(); }
  void Run(const RunContext& ctx, int64_t tile) const override { run_(reduction_, finish_, ctx, tile); }

 private:
  template <Fold kFold, typename Types>
  bool ChooseType(Types types, DataType type) {
    return Dispatch(types, type,
                    [&](auto tag) { run_ = &RunReduction<kFold, typename decltype(tag)::type>; });
  }
  bool Choose(Fold fold, DataType type) {
    using Bool = TypeList<bool>;
    switch (fold) {
      case Fold::kSum:
        return ChooseType<Fold::kSum>(NumericTypes(), type);
      case Fold::kSumAbs:
        return ChooseType<Fold::kSumAbs>(NumericTypes(), type);
      case Fold::kSumSquare:
        return ChooseType<Fold::kSumSquare>(NumericTypes(), type);
      case Fold::kSumExp:
        return ChooseType<Fold::kSumExp>(NumericTypes(), type);
      case Fold::kProduct:
        return ChooseType<Fold::kProduct>(NumericTypes(), type);
      case Fold::kMax:
        return ChooseType<Fold::kMax>(NumericTypes(), type) || ChooseType<Fold::kMax>(Bool(), type);
      case Fold::kMin:
        return ChooseType<Fold::kMin>(NumericTypes(), type) || ChooseType<Fold::kMin>(Bool(), type);
    }
    return false;
  }

  Reduction reduction_;
  Finish finish_ = Finish::kNone;
  void (*run_)(const Reduction&, Finish, const RunContext&, int64_t) = nullptr;
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
