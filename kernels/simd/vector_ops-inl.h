// VectorOps on vectors, included once for every instruction set.
#if defined(SLUICE_VECTOR_OPS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_VECTOR_OPS_INL
#undef SLUICE_VECTOR_OPS_INL
#else
#define SLUICE_VECTOR_OPS_INL
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "kernels/simd/post_ops-inl.h"
#include "kernels/simd/vector_ops.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {

// Calls each(fn) once, where fn(x, y) is op's result for values x and, where op has one, operands y.
template <class D, class Each>
HWY_INLINE void WithVectorOp(D d, const VectorOp& op, const Each& each) {
  namespace hn = hwy::HWY_NAMESPACE;
  using V = hn::Vec<D>;
  switch (op.kind) {
    case PostOp::Kind::kPRelu:
      return each([=](V x, V y)
                      HWY_ATTR { return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Mul(x, y), x); });
    case PostOp::Kind::kAdd:
      return each([=](V x, V y) HWY_ATTR { return hn::Add(x, y); });
    case PostOp::Kind::kMul:
      return each([=](V x, V y) HWY_ATTR { return hn::Mul(x, y); });
    default:
      return WithPostOp(d, {op.kind, op.alpha, op.beta},
                        [&](const auto& fn) HWY_ATTR { each([&](V x, V) HWY_ATTR { return fn(x); }); });
  }
}

// x with zeros in the lanes from `valid` on, which pad a block of channels.
template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V KeepChannels(D d, V x, int64_t valid) {
  namespace hn = hwy::HWY_NAMESPACE;
  return hn::IfThenElseZero(hn::FirstN(d, static_cast<size_t>(valid < 0 ? 0 : valid)), x);
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();
#endif
