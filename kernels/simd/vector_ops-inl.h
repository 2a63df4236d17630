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
  const V zero = hn::Zero(d), a = hn::Set(d, op.alpha), b = hn::Set(d, op.beta), one = hn::Set(d, 1.0f);
  switch (op.kind) {
    case VectorOp::Kind::kRelu:
      return each([=](V x, V) HWY_ATTR { return hn::IfThenZeroElse(hn::Lt(x, zero), x); });
    case VectorOp::Kind::kLeakyRelu:
      return each([=](V x, V) HWY_ATTR { return Rectify(d, x, a); });
    case VectorOp::Kind::kClip:
      return each([=](V x, V) HWY_ATTR { return hn::Min(hn::Max(x, a), b); });
    case VectorOp::Kind::kLinear:
      return each([=](V x, V) HWY_ATTR { return hn::MulAdd(x, a, b); });
    case VectorOp::Kind::kSigmoid: {
      const V half = hn::Set(d, 0.5f);
      return each([=](V x, V) HWY_ATTR { return hn::Add(hn::Sub(SigmoidOf(d, x), half), half); });
    }
    case VectorOp::Kind::kSilu:
      return each([=](V x, V) HWY_ATTR { return hn::Mul(x, SigmoidOf(d, hn::Mul(x, a))); });
    case VectorOp::Kind::kHardSigmoid:
      return each([=](V x, V) HWY_ATTR { return hn::Min(hn::Max(hn::MulAdd(x, a, b), zero), one); });
    case VectorOp::Kind::kHardSwish:
      return each([=](V x, V)
                      HWY_ATTR { return hn::Mul(x, hn::Min(hn::Max(hn::MulAdd(x, a, b), zero), one)); });
    case VectorOp::Kind::kElu:
      return each([=](V x, V) HWY_ATTR {
        return hn::IfThenElse(hn::Lt(x, zero), hn::Mul(a, hn::Expm1(d, hn::Min(x, zero))), x);
      });
    case VectorOp::Kind::kPRelu:
      return each([=](V x, V y) HWY_ATTR { return hn::IfThenElse(hn::Lt(x, zero), hn::Mul(x, y), x); });
    case VectorOp::Kind::kTanh:
      return each([=](V x, V) HWY_ATTR { return TanhOf(d, x); });
    case VectorOp::Kind::kAdd:
      return each([=](V x, V y) HWY_ATTR { return hn::Add(x, y); });
    case VectorOp::Kind::kMul:
      return each([=](V x, V y) HWY_ATTR { return hn::Mul(x, y); });
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
