#include <algorithm>
#include <cmath>

#include "kernels/dispatch.h"
#include "kernels/ops/conv_geometry.h"
#include "kernels/ops/params.h"
#include "kernels/ops/typed_kernel.h"
#include "kernels/parallel.h"
#include "kernels/simd/gemm.h"

// DeformConv (19, 22): a convolution whose taps are read at shifted places, between elements where need be.
// x [n, c, spatial...], weights [oc, c / group, kernel...],
// offset [n, offset_group * taps * axes, out spatial...], the shift along the first axis first,
// optionally bias [oc] and mask [n, offset_group * taps, out spatial...], a factor for every tap.

namespace sluice {
namespace {

// A tile is a run of output positions of one image and one group: what its taps read is gathered into a
// panel for all channels of the group, which is then multiplied by the weights.
template <typename T>
class DeformConvOf : public Kernel {
  using Sum = ComputeType<T>;
  static constexpr int64_t kWidth = kPanelWidth<Sum>;

 public:
  void Prepare(PrepareContext& ctx) override {
    g_ = ConvGeometryOf(ctx);
    axes_ = g_.in.size();
    taps_ = g_.window.kernel_elems();
    offset_groups_ = ctx.attrs().Int("offset_group", 1);
    out_ = g_.out_elems();
    depth_ = g_.ic_per_group() * taps_;
    pieces_ = (out_ + kWidth - 1) / kWidth;
    units_ = ctx.output(0).num_elements() == 0 ? 0 : g_.n * g_.groups * pieces_;
    corners_ = int64_t{1} << axes_;
    // Weights are read where they lie unless they must be converted.
    weights_elems_ = std::is_same_v<T, Sum> ? 0 : g_.oc_per_group() * depth_;
    const int64_t sums = (depth_ + g_.oc_per_group()) * kWidth + weights_elems_;
    ctx.SetScratch(ByteSize(kDataType<Sum>, sums) + kWidth * corners_ * static_cast<int64_t>(sizeof(Corner)));
  }
  int64_t tiles() const override {
    return PiecesOf(units_, 1 + 500'000 / (kWidth * (depth_ * g_.oc_per_group() + 1)));
  }
  int64_t flops() const override { return g_.flops(); }

  void Run(const RunContext& ctx, int64_t tile) const override {
    const Range range = PieceOf(units_, tiles(), tile);
    Corner* const corners = ctx.scratch<Corner>();
    Sum* const panel = reinterpret_cast<Sum*>(corners + kWidth * corners_);
    Sum* const sums = panel + depth_ * kWidth;
    Sum* const converted = sums + g_.oc_per_group() * kWidth;
    const int64_t ocg = g_.oc_per_group();
    int64_t converted_group = -1;
    for (int64_t unit = range.begin; unit < range.end; ++unit) {
      const int64_t group = unit / pieces_ / g_.n, n = unit / pieces_ % g_.n, first = unit % pieces_ * kWidth;
      const int64_t count = std::min(kWidth, out_ - first);
      Gather(ctx, n, group, first, count, corners, panel);
      const Sum* weights = nullptr;
      if constexpr (std::is_same_v<T, Sum>) {
        weights = ctx.in<T>(1) + group * ocg * depth_;
      } else {
        const T* from = ctx.in<T>(1) + group * ocg * depth_;
        if (group != converted_group) std::copy(from, from + ocg * depth_, converted);
        converted_group = group;
        weights = converted;
      }
      MultiplyPanels(PanelProblem<Sum>{ocg, count, depth_, weights, depth_, 1, panel, depth_ * kWidth, sums,
                                       kWidth, false});
      for (int64_t oc = 0; oc < ocg; ++oc) {
        const T* bias = ctx.in<T>(3);
        const Sum b = bias == nullptr ? Sum(0) : static_cast<Sum>(bias[group * ocg + oc]);
        T* dst = ctx.out<T>(0) + (n * g_.oc + group * ocg + oc) * out_ + first;
        for (int64_t j = 0; j < count; ++j) dst[j] = static_cast<T>(sums[oc * kWidth + j] + b);
      }
    }
  }

 private:
  // An element near the place that a tap reads; weight 0 stands for none.
  struct Corner {
    int64_t offset;
    double weight;
  };

  // panel[(channel, tap), j] for positions [first, first + count) of the output.
  void Gather(const RunContext& ctx, int64_t n, int64_t group, int64_t first, int64_t count, Corner* corners,
              Sum* panel) const {
    const int64_t icg = g_.ic_per_group(), begin = group * icg, in = g_.in_elems();
    const int64_t per_offset_group = g_.ic / offset_groups_;
    if (count < kWidth) std::fill(panel, panel + depth_ * kWidth, Sum(0));
    for (int64_t channel = 0; channel < icg;) {
      const int64_t offset_group = (begin + channel) / per_offset_group;
      const int64_t end = std::min(icg, (offset_group + 1) * per_offset_group - begin);
      for (int64_t tap = 0; tap < taps_; ++tap) {
        for (int64_t j = 0; j < count; ++j)
          CornersOf(ctx, n, offset_group, tap, first + j, corners + j * corners_);
        for (int64_t c = channel; c < end; ++c) {
          const T* src = ctx.in<T>(0) + (n * g_.ic + begin + c) * in;
          Sum* to = panel + (c * taps_ + tap) * kWidth;
          const Corner* corner = corners;
          for (int64_t j = 0; j < count; ++j) {
            Sum sum = 0;
            for (int64_t k = 0; k < corners_; ++k, ++corner)
              if (corner->weight != 0)
                sum += static_cast<Sum>(corner->weight) * static_cast<Sum>(src[corner->offset]);
            to[j] = sum;
          }
        }
      }
      channel = end;
    }
  }

  void CornersOf(const RunContext& ctx, int64_t n, int64_t offset_group, int64_t tap, int64_t point,
                 Corner* corners) const {
    const int64_t tap_index = (n * offset_groups_ + offset_group) * taps_ + tap;
    const auto axes = static_cast<int64_t>(axes_);
    const T* shifts = ctx.in<T>(2) + tap_index * axes * out_ + point;
    const T* mask = ctx.in<T>(4);
    Position at{}, tap_at{};
    int64_t rest = point, tap_rest = tap;
    for (size_t i = axes_; i-- > 0;) {
      at[i] = rest % g_.out[i];
      rest /= g_.out[i];
      tap_at[i] = tap_rest % g_.window.kernel[i];
      tap_rest /= g_.window.kernel[i];
    }
    corners[0] = {0, mask == nullptr ? 1 : static_cast<double>(mask[tap_index * out_ + point])};
    int64_t corner_count = 1;
    for (size_t i = 0; i < axes_; ++i) {
      const int64_t fixed =
          at[i] * g_.window.strides[i] + tap_at[i] * g_.window.dilations[i] - g_.window.pads_begin[i];
      const double place =
          static_cast<double>(fixed) + static_cast<double>(shifts[static_cast<int64_t>(i) * out_]);
      const auto size = static_cast<double>(g_.in[i]);
      // Beyond the last element's neighbourhood there is nothing; not so for what is no number.
      const bool inside = place > -1 && place < size;
      const double floor = inside ? std::floor(place) : 0, fraction = inside ? place - floor : 0;
      const auto low = static_cast<int64_t>(floor);
      const double low_weight = inside && low >= 0 ? 1 - fraction : 0,
                   high_weight = inside && low + 1 < g_.in[i] ? fraction : 0;
      for (int64_t k = corner_count; k-- > 0;) {
        const Corner before = corners[k];
        const int64_t offset = before.offset * g_.in[i];
        corners[2 * k + 1] = {offset + low + 1, before.weight * high_weight};
        corners[2 * k] = {offset + low, before.weight * low_weight};
      }
      corner_count *= 2;
    }
  }

  ConvGeometry g_;
  size_t axes_ = 0;
  int64_t taps_ = 0, offset_groups_ = 1, out_ = 0, depth_ = 0, pieces_ = 0, units_ = 0, corners_ = 1;
  int64_t weights_elems_ = 0;
};

void InferDeformConv(InferContext& ctx) {
  CheckSameType(ctx);
  SymShape out = InferConvShape(ctx, 1, 3);
  const int64_t groups = ctx.attrs().Int("offset_group", 1), axes = ctx.rank(0) - 2;
  const Dim& channels = ctx.shape(0)[1];
  if (groups < 1 || (channels.known() && channels.value() % groups != 0))
    ctx.Fail("offset_group is " + std::to_string(groups) + ", expected a divisor of the " +
             ToString(SymShape{channels}) + " channels");
  Dim taps = groups;
  for (int64_t i = 0; i < axes; ++i) taps = taps * ctx.shape(1)[static_cast<size_t>(i) + 2];
  const auto check = [&](int input, const char* what, const Dim& second) {
    if (!ctx.has_input(input)) return;
    SymShape want = out;
    want[1] = second;
    const SymShape& got = ctx.shape(input);
    bool fits = got.size() == want.size();
    for (size_t i = 0; fits && i < want.size(); ++i)
      fits = !got[i].known() || !want[i].known() || got[i].is(want[i].value());
    if (!fits) ctx.Fail(std::string(what) + " is " + ToString(got) + ", expected " + ToString(want));
  };
  check(2, "offset", taps * Dim(axes));
  check(4, "mask", taps);
  ctx.SetOutput(0, ctx.dtype(0), std::move(out));
}

const Operator kDeformConv = {.name = "DeformConv",
                              .versions = {19, 22},
                              .min_inputs = 3,
                              .max_inputs = 5,
                              .infer = InferDeformConv,
                              .kernels = {&Make<TypedKernel<DeformConvOf>>},
                              .types = "float, double, float16, bfloat16"};
const RegisterOperator kRegister(kDeformConv);

}  // namespace
}  // namespace sluice
