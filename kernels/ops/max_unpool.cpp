#include <algorithm>

#include "kernels/ops/params.h"
#include "kernels/ops/typed_kernel.h"
#include "kernels/ops/window.h"
#include "sluice/error.h"

// MaxUnpool (9, 11, 22): zeros but for the elements of x, which go where `indices` (int64, as MaxPool gives
// them) say, in the tensor that MaxPool would have had for x. Where output_shape, input 2, is larger, that
// tensor is its beginning.

namespace sluice {
namespace {

// The shape of what was pooled.
SymShape PooledShape(const Attributes& attrs, const SymShape& x) {
  const Window w = ReadWindow(attrs, x.size() - 2);
  SymShape shape(x.begin(), x.begin() + 2);
  for (size_t i = 0; i < w.rank(); ++i) {
    const Dim in = x[i + 2];
    shape.push_back((in.is(0) ? in : (in - 1) * w.strides[i]) + w.span(i) - w.pads_begin[i] - w.pads_end[i]);
  }
  return shape;
}

template <typename T>
class MaxUnpoolOf : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    place_ = Describe(ctx.node());
    count_ = NumElements(ctx.shape(0));
    pooled_ = *ToShape(PooledShape(ctx.attrs(), ToSymShape(ctx.shape(0))));
    dst_ = ctx.output(0).shape;
    pooled_elems_ = NumElements(pooled_);
    dst_elems_ = NumElements(dst_);
  }
  void Run(const RunContext& ctx, int64_t) const override {
    T* dst = ctx.out<T>(0);
    std::fill_n(dst, dst_elems_, T(0.0f));
    const int64_t* indices = ctx.in<int64_t>(1);
    for (int64_t i = 0; i < count_; ++i) {
      int64_t rest = indices[i], at = 0, step = 1;
      bool inside = rest >= 0 && rest < pooled_elems_;
      for (size_t axis = dst_.size(); inside && axis-- > 0;) {
        const int64_t position = rest % pooled_[axis];
        rest /= pooled_[axis];
        inside = position < dst_[axis];
        at += position * step;
        step *= dst_[axis];
      }
      if (!inside) {
        throw Error(ErrorCode::kInvalidArgument, place_ + ": index " + std::to_string(indices[i]) +
                                                     " is outside of " +
                                                     ToString(pooled_elems_ > 0 ? pooled_ : dst_));
      }
      dst[at] = ctx.in<T>(0)[i];
    }
  }

 private:
  std::string place_;
  int64_t count_ = 0, pooled_elems_ = 0, dst_elems_ = 0;
  Shape pooled_, dst_;
};

void InferMaxUnpool(InferContext& ctx) {
  const SymShape& x = ctx.shape(0);
  if (x.size() < 3) ctx.Fail("input is " + ToString(x) + ", expected [n, c, spatial...]");
  if (ctx.dtype(1) != DataType::kInt64)
    ctx.Fail("indices are " + std::string(DataTypeName(ctx.dtype(1))) + ", expected int64");
  const SymShape& indices = ctx.shape(1);
  bool same = indices.size() == x.size();
  for (size_t i = 0; same && i < x.size(); ++i)
    same = !x[i].known() || !indices[i].known() || x[i].is(indices[i].value());
  if (!same) ctx.Fail("indices are " + ToString(indices) + ", expected " + ToString(x));
  SymShape pooled = PooledShape(ctx.attrs(), x);
  if (!ctx.has_input(2)) return ctx.SetOutput(0, ctx.dtype(0), std::move(pooled));
  const auto sizes = InputInts(ctx, 2);
  if (!sizes) return ctx.SetOutput(0, ctx.dtype(0), SymShape(x.size()));
  if (sizes->size() != x.size() || std::any_of(sizes->begin(), sizes->end(), [](int64_t s) { return s < 0; }))
    ctx.Fail("output_shape is " + ToString(*sizes) + ", expected " + std::to_string(x.size()) + " sizes");
  ctx.SetOutput(0, ctx.dtype(0), ToSymShape(*sizes));
}

const Operator kMaxUnpool = {.name = "MaxUnpool",
                             .versions = {9, 11, 22},
                             .min_inputs = 2,
                             .max_inputs = 3,
                             .infer = InferMaxUnpool,
                             .kernels = {&Make<TypedKernel<MaxUnpoolOf>>},
                             .types = "float, double, float16, bfloat16"};
const RegisterOperator kRegister(kMaxUnpool);

}  // namespace
}  // namespace sluice
