#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/dispatch.h"
#include "kernels/ops/axis_split.h"
#include "kernels/ops/indices.h"
#include "kernels/parallel.h"

// NonZero (9, 13), Compress (9, 11, 28), OneHot (9, 11, 28), ReverseSequence (10, 28), Unique (11, 28).

namespace sluice {
namespace {

using Testable = TypeList<float, double, Half, BFloat16, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t,
                          uint32_t, uint64_t, bool>;

class NonZeroKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    if (!Contains(Testable(), ctx.dtype(0)))
      ctx.Unsupported("NonZero of " + std::string(DataTypeName(ctx.dtype(0))));
    type_ = ctx.dtype(0);
    shape_ = ctx.shape(0);
  }
  void Run(const RunContext& ctx, int64_t) const override {
    const int64_t total = NumElements(shape_);
    // A scalar counts as a vector of one.
    const Shape sizes = shape_.empty() ? Shape{1} : shape_;
    Dispatch(Testable(), type_, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T* src = ctx.in<T>(0);
      const auto is_set = [](T x) { return x != T(0); };
      const int64_t count = std::count_if(src, src + total, is_set);
      Tensor result(DataType::kInt64, {static_cast<int64_t>(sizes.size()), count});
      auto* dst = static_cast<int64_t*>(result.mutable_data());
      for (int64_t i = 0, n = 0; i < total; ++i) {
        if (!is_set(src[i])) continue;
        int64_t rest = i;
        for (size_t d = sizes.size(); d-- > 0; rest /= sizes[d])
          dst[static_cast<int64_t>(d) * count + n] = rest % sizes[d];
        ++n;
      }
      ctx.SetOutput(0, std::move(result));
    });
  }

 private:
  DataType type_ = DataType::kUndefined;
  Shape shape_;
};

class CompressKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    CheckMovable(ctx, type_);
    if (ctx.dtype(1) != DataType::kBool)
      ctx.Fail("condition is " + std::string(DataTypeName(ctx.dtype(1))) + ", expected bool");
    whole_ = !ctx.attrs().Has("axis");
    axis_ = whole_ ? 0 : CheckedAxis(ctx, ctx.attrs().Int("axis"), static_cast<int64_t>(ctx.shape(0).size()));
    shape_ = ctx.shape(0);
    split_ = SplitAt(ctx, shape_, whole_, axis_);
    conditions_ = NumElements(ctx.shape(1));
    if (conditions_ > split_.size)
      ctx.Fail("condition has " + std::to_string(conditions_) + " elements, the axis " +
               std::to_string(split_.size));
  }
  void Run(const RunContext& ctx, int64_t) const override {
    const bool* keep = ctx.in<bool>(1);
    const int64_t kept = std::count(keep, keep + conditions_, true);
    Shape shape = whole_ ? Shape{kept} : shape_;
    if (!whole_) shape[static_cast<size_t>(axis_)] = kept;
    Tensor result(type_, shape);
    DispatchBySize(type_, [&](auto tag) {
      using T = typename decltype(tag)::type;
      T* dst = static_cast<T*>(result.mutable_data());
      for (int64_t o = 0; o < split_.outer; ++o) {
        for (int64_t i = 0; i < conditions_; ++i) {
          if (keep[i])
            dst = std::copy_n(ctx.in<T>(0) + (o * split_.size + i) * split_.inner, split_.inner, dst);
        }
      }
    });
    ctx.SetOutput(0, std::move(result));
  }

 private:
  DataType type_ = DataType::kUndefined;
  bool whole_ = false;
  int64_t axis_ = 0, conditions_ = 0;
  Shape shape_;
  AxisSplit split_;
};

template <typename Context>
int64_t DepthOf(const Context& ctx) {
  const Tensor* tensor = ctx.constant(1);
  if (tensor == nullptr) return -1;
  if (tensor->num_elements() != 1)
    ctx.Fail("depth has " + std::to_string(tensor->num_elements()) + " elements, expected 1");
  int64_t depth = -1;
  Dispatch(NumericTypes(), tensor->dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto value = static_cast<double>(tensor->values<T>()[0]);
    if (value >= 0 && value < 9e18) depth = static_cast<int64_t>(value);
  });
  if (depth < 0) ctx.Fail("depth is no size");
  return depth;
}

void InferOneHot(InferContext& ctx) {
  const int64_t rank = ctx.rank(0) + 1, axis = ctx.Axis(ctx.attrs().Int("axis", -1), rank),
                depth = DepthOf(ctx);
  SymShape shape = ctx.shape(0);
  shape.insert(shape.begin() + axis, depth < 0 ? Dim() : Dim(depth));
  if (const auto concrete = ToShape(shape)) CheckMemory(ByteSize(ctx.dtype(2), NumElements(*concrete)));
  ctx.SetOutput(0, ctx.dtype(2), std::move(shape));
}

class OneHotKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(2);
    CheckMovable(ctx, type_);
    index_type_ = ctx.dtype(0);
    if (!Contains(NumericTypes(), index_type_))
      ctx.Unsupported("indices of " + std::string(DataTypeName(index_type_)));
    if (NumElements(ctx.shape(2)) != 2)
      ctx.Fail("values has " + std::to_string(NumElements(ctx.shape(2))) + " elements, expected 2");
    const Shape& dst = ctx.output(0).shape;
    split_ = SplitAt(ctx, dst, false, ctx.attrs().Int("axis", -1));
  }
  int64_t tiles() const override {
    return PiecesOf(split_.outer, 16 * 1024 / std::max<int64_t>(split_.size * split_.inner, 1) + 1);
  }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const auto piece = PieceOf(split_.outer, tiles(), tile);
    DispatchBySize(type_, [&](auto value_tag) {
      using V = typename decltype(value_tag)::type;
      const V* values = ctx.in<V>(2);
      V* dst = ctx.out<V>(0);
      const int64_t plane = split_.size * split_.inner;
      std::fill(dst + piece.begin * plane, dst + piece.end * plane, values[0]);
      Dispatch(NumericTypes(), index_type_,
               [&](auto tag) { Mark(ctx.in<typename decltype(tag)::type>(0), piece, values[1], dst); });
    });
  }

 private:
  template <typename I, typename V>
  void Mark(const I* indices, sluice::Range piece, const V& on, V* dst) const {
    for (int64_t o = piece.begin; o < piece.end; ++o) {
      for (int64_t i = 0; i < split_.inner; ++i) {
        const auto value = static_cast<double>(indices[o * split_.inner + i]);
        if (!(value >= -static_cast<double>(split_.size) && value < static_cast<double>(split_.size)))
          continue;
        auto at = static_cast<int64_t>(value);
        if (at < 0) at += split_.size;
        if (at < split_.size) dst[(o * split_.size + at) * split_.inner + i] = on;
      }
    }
  }

  DataType type_ = DataType::kUndefined, index_type_ = DataType::kUndefined;
  AxisSplit split_;
};

class ReverseSequenceKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    CheckMovable(ctx, type_);
    const Shape& src = ctx.shape(0);
    time_axis_ = ctx.attrs().Int("time_axis", 0);
    const int64_t batch_axis = ctx.attrs().Int("batch_axis", 1);
    if (src.size() < 2 || std::min(time_axis_, batch_axis) != 0 || std::max(time_axis_, batch_axis) != 1) {
      ctx.Fail("batch_axis " + std::to_string(batch_axis) + " and time_axis " + std::to_string(time_axis_) +
               " are not 0 and 1 of a rank of at least 2");
    }
    time_ = src[static_cast<size_t>(time_axis_)];
    batch_ = src[static_cast<size_t>(batch_axis)];
    inner_ = NumElements(std::span(src).subspan(2));
    if (ctx.dtype(1) != DataType::kInt64 || ctx.shape(1) != Shape{batch_})
      ctx.Fail("sequence_lens must be int64 [" + std::to_string(batch_) + "]");
    place_ = Describe(ctx.node());
  }
  void Run(const RunContext& ctx, int64_t) const override {
    DispatchBySize(type_, [&](auto tag) {
      using T = typename decltype(tag)::type;
      for (int64_t b = 0; b < batch_; ++b) {
        const int64_t length = ctx.in<int64_t>(1)[b];
        if (length < 0 || length > time_) {
          throw Error(ErrorCode::kInvalidArgument, place_ + ": sequence length " + std::to_string(length) +
                                                       " is outside [0, " + std::to_string(time_) + "]");
        }
        for (int64_t t = 0; t < time_; ++t) {
          const auto row = [&](int64_t step) {
            return (time_axis_ == 0 ? step * batch_ + b : b * time_ + step) * inner_;
          };
          std::copy_n(ctx.in<T>(0) + row(t < length ? length - 1 - t : t), inner_, ctx.out<T>(0) + row(t));
        }
      }
    });
  }

 private:
  DataType type_ = DataType::kUndefined;
  int64_t time_axis_ = 0, time_ = 0, batch_ = 0, inner_ = 0;
  std::string place_;
};

class UniqueKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    if (!Contains(Testable(), type_) && type_ != DataType::kString)
      ctx.Unsupported("Unique of " + std::string(DataTypeName(type_)));
    whole_ = !ctx.attrs().Has("axis");
    axis_ = whole_ ? 0 : CheckedAxis(ctx, ctx.attrs().Int("axis"), static_cast<int64_t>(ctx.shape(0).size()));
    outputs_ = ctx.num_outputs();
    sorted_ = ctx.attrs().Int("sorted", 1) != 0;
    shape_ = ctx.shape(0);
    split_ = SplitAt(ctx, shape_, whole_, axis_);
  }
  void Run(const RunContext& ctx, int64_t) const override {
    if (type_ == DataType::kString) return RunAs<std::string>(ctx);
    Dispatch(Testable(), type_, [&](auto tag) { RunAs<typename decltype(tag)::type>(ctx); });
  }

 private:
  template <typename T>
  void RunAs(const RunContext& ctx) const {
    const T* src = ctx.in<T>(0);
    const int64_t n = split_.size;
    // -1, 0, 1 as slice a is before, equal to or behind slice b; NaN last.
    const auto compare = [&](int64_t a, int64_t b) {
      for (int64_t o = 0; o < split_.outer; ++o) {
        for (int64_t i = 0; i < split_.inner; ++i) {
          const T &x = src[(o * n + a) * split_.inner + i], &y = src[(o * n + b) * split_.inner + i];
          if (x < y) return -1;
          if (y < x) return 1;
          if (!(x == y) && ((x == x) != (y == y))) return x == x ? -1 : 1;
        }
      }
      return 0;
    };
    std::vector<int64_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), int64_t{0});
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return compare(a, b) < 0; });
    // Groups of equal slices; the stable order makes a group's first member the one that occurs first.
    struct Group {
      int64_t first, count, number;
    };
    std::vector<Group> groups;
    std::vector<int64_t> group_of(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) {
      const int64_t at = order[static_cast<size_t>(i)];
      if (i == 0 || compare(order[static_cast<size_t>(i - 1)], at) != 0)
        groups.push_back({at, 0, static_cast<int64_t>(groups.size())});
      ++groups.back().count;
      group_of[static_cast<size_t>(at)] = groups.back().number;
    }
    if (!sorted_)
      std::sort(groups.begin(), groups.end(),
                [](const Group& a, const Group& b) { return a.first < b.first; });
    const auto count = static_cast<int64_t>(groups.size());
    Shape shape = whole_ ? Shape{count} : shape_;
    if (!whole_) shape[static_cast<size_t>(axis_)] = count;
    Tensor values(type_, shape), firsts(DataType::kInt64, {count}), inverse(DataType::kInt64, {n}),
        counts(DataType::kInt64, {count});
    std::vector<int64_t> place(groups.size());
    for (int64_t g = 0; g < count; ++g) {
      const Group& group = groups[static_cast<size_t>(g)];
      place[static_cast<size_t>(group.number)] = g;
      firsts.mutable_values<int64_t>()[static_cast<size_t>(g)] = group.first;
      counts.mutable_values<int64_t>()[static_cast<size_t>(g)] = group.count;
      for (int64_t o = 0; o < split_.outer; ++o) {
        std::copy_n(src + (o * n + group.first) * split_.inner, split_.inner,
                    static_cast<T*>(values.mutable_data()) + (o * count + g) * split_.inner);
      }
    }
    for (int64_t i = 0; i < n; ++i) {
      inverse.mutable_values<int64_t>()[static_cast<size_t>(i)] =
          place[static_cast<size_t>(group_of[static_cast<size_t>(i)])];
    }
    Tensor* results[] = {&values, &firsts, &inverse, &counts};
    for (int i = 0; i < outputs_; ++i) ctx.SetOutput(i, std::move(*results[i]));
  }

  int outputs_ = 1;
  DataType type_ = DataType::kUndefined;
  bool whole_ = false, sorted_ = true;
  int64_t axis_ = 0;
  Shape shape_;
  AxisSplit split_;
};

void InferUnknown(InferContext& ctx) { ctx.SetUnknownShape(0, ctx.dtype(0)); }

const Operator kNonZero = {
    .name = "NonZero",
    .versions = {9, 13},
    .infer =
        [](InferContext& ctx) {
          ctx.SetOutput(0, DataType::kInt64, {Dim(std::max<int64_t>(ctx.rank(0), 1)), Dim()});
        },
    .kernels = {&Make<NonZeroKernel>},
    .types = "T, bool",
};
const Operator kCompress = {.name = "Compress",
                            .versions = {9, 11, 28},
                            .min_inputs = 2,
                            .max_inputs = 2,
                            .infer = InferUnknown,
                            .kernels = {&Make<CompressKernel>},
                            .types = "all"};
const Operator kOneHot = {.name = "OneHot",
                          .versions = {9, 11, 28},
                          .min_inputs = 3,
                          .max_inputs = 3,
                          .infer = InferOneHot,
                          .kernels = {&Make<OneHotKernel>},
                          .types = "all"};
const Operator kReverseSequence = {.name = "ReverseSequence",
                                   .versions = {10, 28},
                                   .min_inputs = 2,
                                   .max_inputs = 2,
                                   .infer = InferSameAsFirst,
                                   .kernels = {&Make<ReverseSequenceKernel>},
                                   .types = "all"};
const Operator kUnique = {
    .name = "Unique",
    .versions = {11, 28},
    .max_outputs = 4,
    .infer =
        [](InferContext& ctx) {
          ctx.SetUnknownShape(0, ctx.dtype(0));
          for (int i = 1; i < 4; ++i) ctx.SetUnknownShape(i, DataType::kInt64);
        },
    .kernels = {&Make<UniqueKernel>},
    .types = "all",
};
const RegisterOperator kRegister[] = {RegisterOperator(kNonZero), RegisterOperator(kCompress),
                                      RegisterOperator(kOneHot), RegisterOperator(kReverseSequence),
                                      RegisterOperator(kUnique)};

}  // namespace
}  // namespace sluice
