#include "kernels/ops/fold_kernel.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/moments.h"

namespace sluice {
namespace {

template <typename T, typename Acc>
T FinishAs(Finish finish, Acc acc, int64_t length) {
  constexpr bool kReal = std::is_same_v<Acc, double>;
  switch (finish) {
    case Finish::kNone:
      break;
    case Finish::kMean:
      if constexpr (kReal)
        return Saturated<T>(acc / static_cast<double>(length));
      else
        return length == 0 ? T{0} : static_cast<T>(acc / static_cast<Acc>(length));
    case Finish::kSqrt:
      return Saturated<T>(std::sqrt(static_cast<double>(acc)));
    case Finish::kLog:
      return Saturated<T>(std::log(static_cast<double>(acc)));
  }
  return Narrow<T>(acc);
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
            Saturated<T>(std::isfinite(shift[j]) ? shift[j] + std::log(acc[j]) : shift[j]);
    } else {
      for (int64_t i = 0; i < boxes; ++i) FoldBoxInto<kFold>(src + begin(i), unit.box, nullptr, acc);
      for (int64_t j = 0; j < count; ++j)
        results[j * unit.dst_step] = FinishAs<T>(finish, acc[j], reduction.length());
    }
    std::fill_n(results + count, unit.padding, T{});
  });
}

}  // namespace

template <Fold kFold, typename Types>
bool FoldKernel::ChooseType(Types types, DataType type) {
  return Dispatch(types, type, [&](auto tag) { run_ = &RunReduction<kFold, typename decltype(tag)::type>; });
}
bool FoldKernel::Choose(Fold fold, DataType type) {
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
    case Fold::kSumOffset:
    case Fold::kSumDeviation:
      return false;
    case Fold::kProduct:
      return ChooseType<Fold::kProduct>(NumericTypes(), type);
    case Fold::kMax:
      return ChooseType<Fold::kMax>(NumericTypes(), type) || ChooseType<Fold::kMax>(Bool(), type);
    case Fold::kMin:
      return ChooseType<Fold::kMin>(NumericTypes(), type) || ChooseType<Fold::kMin>(Bool(), type);
  }
  return false;
}

void FoldKernel::PrepareFold(PrepareContext& ctx, Fold fold, Finish finish,
                             const std::vector<bool>& reduced) {
  finish_ = finish;
  TensorDesc src = ctx.input(0), dst = ctx.output(0);
  if (!Reduction::AcceptsLayout(src, reduced)) src.layout = Layout::kPlain;
  dst.layout = Reduction::LayoutOfResult(src, dst, reduced);
  ctx.SetInputLayout(0, src.layout);
  ctx.SetOutputLayout(0, dst.layout);
  reduction_ = Reduction(src, dst, reduced);
  if (!Choose(fold, src.dtype)) ctx.Unsupported("input of type " + std::string(DataTypeName(src.dtype)));
}

}  // namespace sluice
