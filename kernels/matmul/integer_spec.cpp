#include "kernels/matmul/integer_spec.h"

#include <cstring>

namespace sluice {

IntegerEpilogue::IntegerEpilogue(const PrepareContext& ctx, const IntegerMatMulSpec& spec)
    : spec_(spec), y_type_(ctx.output(0).dtype) {
  spec_.product = {};
  if (spec.requantizes()) scale_type_ = ctx.dtype(spec.y_scale);
}

void IntegerEpilogue::Store(const RunContext& ctx, const Contraction& c, const PanelProduct::Part& part,
                            const int32_t* sums) const {
  const auto scale = [&](int input, int64_t i) {
    float value = 0;
    LoadAsFloat(scale_type_, ctx.in<void>(input), i, 1, &value);
    return value;
  };
  const int64_t columns = part.n.end - part.n.begin;
  if (!spec_.requantizes()) {
    for (int64_t i = part.m.begin; i < part.m.end; ++i) {
      int32_t* to = ctx.out<int32_t>(0) + c.c_batch[part.batch] + c.c_m[i] + c.c_n[part.n.begin];
      const int32_t* from = sums + (i - part.m.begin) * part.ld;
      if (to != from) std::memcpy(to, from, static_cast<size_t>(columns) * sizeof(int32_t));
    }
    return;
  }
  constexpr int64_t kRun = 256;
  alignas(64) float factors[kRun];
  const float y_scale = scale(spec_.y_scale, 0);
  Dispatch(TypeList<int8_t, uint8_t>(), y_type_, [&](auto tag) {
    using Y = typename decltype(tag)::type;
    const auto zero = static_cast<float>(ctx.in<Y>(spec_.y_zero)[0]);
    for (int64_t j = part.n.begin; j < part.n.end; j += kRun) {
      const int64_t count = std::min(kRun, part.n.end - j);
      for (int64_t x = 0; x < count; ++x) {
        factors[x] = scale(spec_.b_scale, c.e_batch[part.batch] + c.e_n[j + x]) / y_scale;
      }
      for (int64_t i = part.m.begin; i < part.m.end; ++i) {
        const float row = scale(spec_.a_scale, c.d_batch[part.batch] + c.d_m[i]);
        const int32_t* from = sums + (i - part.m.begin) * part.ld + j - part.n.begin;
        Y* to = ctx.out<Y>(0) + c.c_batch[part.batch] + c.c_m[i] + c.c_n[j];
        for (int64_t x = 0; x < count; ++x) {
          to[x] = Requantized<Y>(static_cast<float>(from[x]) * (row * factors[x]), zero);
        }
      }
    }
  });
}

}  // namespace sluice
