// Per-target code, included by sources that foreach_target.h compiles again for each target.
#if defined(SLUICE_KERNELS_SIMD_POST_OPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_KERNELS_SIMD_POST_OPS_INL_H_
#undef SLUICE_KERNELS_SIMD_POST_OPS_INL_H_
#else
#define SLUICE_KERNELS_SIMD_POST_OPS_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "graph/post_op.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Functions of activations on vectors of floats. NaN gives NaN. "Error" is the largest difference to the
// exact value, relative where it says so.

// c[0] z^(n-1) + ... + c[n-1].
template <class D, class Vec = hn::Vec<D>, size_t n>
HWY_INLINE Vec Horner(D d, Vec z, const float (&c)[n]) {
  Vec sum = hn::Set(d, c[0]);
  for (size_t i = 1; i < n; ++i) sum = hn::MulAdd(sum, z, hn::Set(d, c[i]));
  return sum;
}

// Relative error 1e-7; Highway's own makes 0 of NaN.
template <class D, class Vec = hn::Vec<D>>
HWY_INLINE Vec ExpOf(D d, Vec x) {
  return hn::IfThenElse(hn::Eq(x, x), hn::Exp(d, x), x);
}

// 1 / (1 + exp(-x)); relative error 3e-7.
template <class D, class Vec = hn::Vec<D>>
HWY_INLINE Vec SigmoidOf(D d, Vec x) {
  // exp of a negative number only: no overflow.
  const Vec e = ExpOf(d, hn::Neg(hn::Abs(x)));
  const Vec one = hn::Set(d, 1.0f), share = hn::Div(one, hn::Add(one, e));
  return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Mul(e, share), share);
}

// Relative error 3e-7. Polynomial below 0.625 as in Cephes, 1 - 2 / (exp(2 |x|) + 1) above.
template <class D, class Vec = hn::Vec<D>>
HWY_INLINE Vec TanhOf(D d, Vec x) {
  const Vec a = hn::Abs(x), one = hn::Set(d, 1.0f), z = hn::Mul(x, x);
  const Vec e = hn::Exp(d, hn::Min(hn::Add(a, a), hn::Set(d, 40.0f)));
  const Vec large = hn::Sub(one, hn::Div(hn::Set(d, 2.0f), hn::Add(e, one)));
  static constexpr float kSmall[] = {-5.70498872745e-3f, 2.06390887954e-2f, -5.37397155531e-2f,
                                     1.33314422036e-1f, -3.33332819422e-1f};
  const Vec small = hn::MulAdd(hn::Mul(Horner(d, z, kSmall), z), x, x);
  const Vec y = hn::IfThenElse(hn::Lt(a, hn::Set(d, 0.625f)), small, hn::CopySignToAbs(large, x));
  return hn::IfThenElse(hn::Eq(x, x), y, x);
}

// Error 2e-7. x P(x^2) below 1, 1 - exp(Q(|x| - 2.5)) above; least squares at the nodes of Chebyshev.
template <class D, class Vec = hn::Vec<D>>
HWY_INLINE Vec ErfOf(D d, Vec x) {
  static constexpr float kSmall[] = {7.933411989e-05f, -8.034818994e-04f, 5.191214754e-03f, -2.685539715e-02f,
                                     1.128362565e-01f, -3.761262987e-01f, 1.128379167e+00f};
  static constexpr float kLarge[] = {-1.828450817e-05f, 7.663357007e-05f,  -4.096726326e-04f,
                                     2.173814494e-03f,  -1.086121419e-02f, -9.438978016e-01f,
                                     -5.352681254e+00f, -7.806815142e+00f};
  const Vec a = hn::Abs(x), one = hn::Set(d, 1.0f);
  const Vec small = hn::Mul(Horner(d, hn::Mul(x, x), kSmall), x);
  const Vec t = hn::Sub(hn::Min(a, hn::Set(d, 4.0f)), hn::Set(d, 2.5f));
  const Vec large = hn::Sub(one, hn::Exp(d, Horner(d, t, kLarge)));
  const Vec y = hn::IfThenElse(hn::Lt(a, one), small, hn::CopySignToAbs(large, x));
  return hn::IfThenElse(hn::Eq(x, x), y, x);
}

// tanh(log(1 + exp(x))) = n / (n + 2) with n = e (e + 2), e = exp(x); relative error 5e-7.
template <class D, class Vec = hn::Vec<D>>
HWY_INLINE Vec TanhSoftplus(D d, Vec x) {
  const Vec two = hn::Set(d, 2.0f);
  // It is 1 from 20 on.
  const Vec e = hn::Exp(d, hn::Min(x, hn::Set(d, 20.0f)));
  const Vec n = hn::Mul(e, hn::Add(e, two));
  return hn::IfThenElse(hn::Eq(x, x), hn::Div(n, hn::Add(n, two)), x);
}

// x where x >= 0 or NaN, slope x elsewhere; 0 for a slope of 0, even of an infinity.
template <class D, class Vec = hn::Vec<D>>
HWY_INLINE Vec Rectify(D d, Vec x, Vec slope) {
  const Vec zero = hn::Zero(d);
  return hn::IfThenElse(hn::Lt(x, zero), hn::IfThenElseZero(hn::Ne(slope, zero), hn::Mul(x, slope)), x);
}

// min(max(x, low), high); NaN stays.
template <class D, class Vec = hn::Vec<D>>
HWY_INLINE Vec ClampOf(D, Vec x, Vec low, Vec high) {
  x = hn::IfThenElse(hn::Lt(x, low), low, x);
  return hn::IfThenElse(hn::Gt(x, high), high, x);
}

// fn(f) with f: vector -> vector, the post-op `op`, which takes no operand.
template <class D, class Fn>
HWY_INLINE void WithPostOp(D d, const PostOp& op, const Fn& fn) {
  using Vec = hn::Vec<D>;
  using Kind = PostOp::Kind;
  const Vec a = hn::Set(d, op.alpha), b = hn::Set(d, op.beta), zero = hn::Zero(d), one = hn::Set(d, 1.0f);
  const Vec half = hn::Set(d, 0.5f);
  switch (op.kind) {
    case Kind::kLeakyRelu:
      return fn([=](Vec x) HWY_ATTR { return Rectify(d, x, a); });
    case Kind::kRelu:
      return fn([=](Vec x) HWY_ATTR { return hn::IfThenElse(hn::Lt(x, zero), zero, x); });
    case Kind::kClip:
      return fn([=](Vec x) HWY_ATTR { return ClampOf(d, x, a, b); });
    case Kind::kSigmoid:
      // On the grid of kernels/ops/activation.cpp.
      return fn([=](Vec x) HWY_ATTR { return hn::Add(hn::Sub(SigmoidOf(d, x), half), half); });
    case Kind::kSilu:
      return fn([=](Vec x) HWY_ATTR { return hn::Mul(x, SigmoidOf(d, hn::Mul(x, a))); });
    case Kind::kHardSigmoid:
      return fn([=](Vec x) HWY_ATTR { return ClampOf(d, hn::MulAdd(x, a, b), zero, one); });
    case Kind::kHardSwish:
      return fn([=](Vec x) HWY_ATTR { return hn::Mul(x, ClampOf(d, hn::MulAdd(x, a, b), zero, one)); });
    case Kind::kTanh:
      return fn([=](Vec x) HWY_ATTR { return TanhOf(d, x); });
    case Kind::kElu:
      return fn([=](Vec x) HWY_ATTR {
        return hn::IfThenElse(hn::Lt(x, zero), hn::Mul(a, hn::Expm1(d, hn::Min(x, zero))), x);
      });
    case Kind::kMish:
      return fn([=](Vec x) HWY_ATTR { return hn::Mul(x, TanhSoftplus(d, x)); });
    case Kind::kGeluErf:
      return fn([=](Vec x) HWY_ATTR {
        return hn::Mul(hn::Mul(x, half),
                       hn::Add(one, ErfOf(d, hn::Mul(x, hn::Set(d, 0.70710678118654752f)))));
      });
    case Kind::kGeluTanh:
      return fn([=](Vec x) HWY_ATTR {
        const Vec inner = hn::MulAdd(hn::Mul(hn::Set(d, 0.044715f), hn::Mul(x, x)), x, x);
        return hn::Mul(hn::Mul(x, half),
                       hn::Add(one, TanhOf(d, hn::Mul(hn::Set(d, 0.79788456080286536f), inner))));
      });
    case Kind::kLinear:
      return fn([=](Vec x) HWY_ATTR { return hn::MulAdd(x, a, b); });
    case Kind::kAbs:
      return fn([=](Vec x) HWY_ATTR { return hn::Abs(x); });
    case Kind::kExp:
      return fn([=](Vec x) HWY_ATTR { return ExpOf(d, x); });
    case Kind::kSqrt:
      return fn([=](Vec x) HWY_ATTR { return hn::Sqrt(x); });
    case Kind::kSquare:
      return fn([=](Vec x) HWY_ATTR { return hn::Mul(x, x); });
    case Kind::kPRelu:
    case Kind::kAdd:
    case Kind::kMul:
      return;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
