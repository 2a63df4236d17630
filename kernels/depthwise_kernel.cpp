#include "kernels/depthwise_kernel.h"

#include <algorithm>

#include "kernels/parallel.h"
#include "kernels/simd/depthwise.h"

namespace sluice {
namespace {

// Vectors of output that take about 8 us of one core: several times what a task costs.
constexpr int64_t kTileVectors = 2000;
// Enough for 16 threads to end at about the same time.
constexpr int64_t kMaxTiles = 32;
// Rows of an image from which on 1x1 convolutions are cut into bands rather than channels, and of a band.
constexpr int64_t kBandedRows = 28, kLeastBand = 4;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

void DepthwiseKernel::Prepare(PrepareContext& ctx) {
  if (ctx.dtype(0) != DataType::kFloat) ctx.Decline("not float");
  geometry_ = ConvGeometryOf(ctx);
  const ConvGeometry& g = geometry_;
  const Window& w = g.window;
  if (w.rank() != 2) ctx.Decline("not two spatial axes");
  if (g.groups == 1 || g.groups != g.ic || g.groups != g.oc) ctx.Decline("channels are not one for one");
  if (w.kernel[0] != w.kernel[1] || w.strides[0] != w.strides[1] || !HasDepthwise(w.kernel[0], w.strides[0]))
    ctx.Decline("no code for this kernel and these strides");
  if (w.dilations[0] != 1 || w.dilations[1] != 1) ctx.Decline("dilation");
  if (ctx.constant(1) == nullptr) ctx.Decline("weights are not constant");
  if (ctx.has_input(2) && ctx.constant(2) == nullptr) ctx.Decline("bias is not constant");
  if (ctx.output(0).num_elements() == 0) ctx.Decline("empty tensors");
  const Layout layout = NativeBlockedLayout();
  block_ = BlockOf(layout);
  if (g.oc < block_ / 2) ctx.Decline("less channels than half a block");
  blocks_ = CeilDiv(g.oc, block_);
  register_ops_ = RegisterOps(ctx, layout);
  post_ops_ = BlockedPostOps(ctx, register_ops_.size(), layout);
  ctx.SetInputLayout(0, layout);
  ctx.SetOutputLayout(0, layout);
  ChooseTiles();
  PackWeights(ctx);
}

void DepthwiseKernel::ChooseTiles() {
  const ConvGeometry& g = geometry_;
  const int64_t work = blocks_ * g.out_elems() * g.window.kernel_elems() / 9;
  const int64_t wanted = std::clamp<int64_t>(g.n * work / kTileVectors, 1, kMaxTiles);
  const int64_t of_image = CeilDiv(wanted, g.n);
  if (g.in[0] >= kBandedRows)
    bands_ = std::clamp<int64_t>(of_image, 1, std::max<int64_t>(1, g.out[0] / kLeastBand));
  splits_ = std::clamp<int64_t>(CeilDiv(of_image, bands_), 1, blocks_);
}

// [block of channels][tap][channel of the block]
void DepthwiseKernel::PackWeights(PrepareContext& ctx) {
  const ConvGeometry& g = geometry_;
  const Tensor& weights = *ctx.constant(1);
  const int64_t taps = g.window.kernel_elems(), block = block_, padded = blocks_ * block_;
  packed_ = PackShared(weights, "depthwise " + std::to_string(block) + ' ' + std::to_string(taps),
                       padded * taps * 4, [&](std::byte* bytes) {
                         const auto* from = static_cast<const float*>(weights.data());
                         float* to = reinterpret_cast<float*>(bytes);
                         std::fill_n(to, padded * taps, 0.0f);
                         for (int64_t c = 0; c < g.oc; ++c) {
                           for (int64_t t = 0; t < taps; ++t)
                             to[(c / block * taps + t) * block + c % block] = from[c * taps + t];
                         }
                       });
  ctx.DropInput(1);
  if (!ctx.has_input(2)) return;
  bias_ = PackPadded(*ctx.constant(2), padded);
}

void DepthwiseKernel::Run(const RunContext& ctx, int64_t tile) const {
  const ConvGeometry& g = geometry_;
  const int64_t n = tile / (bands_ * splits_), in = g.in_elems() * block_, out = g.out_elems() * block_;
  RunPart(ctx, {ctx.in<float>(0) + n * blocks_ * in, in}, {ctx.out<float>(0) + n * blocks_ * out, out}, n,
          PieceOf(g.out[0], bands_, tile / splits_ % bands_), PieceOf(blocks_, splits_, tile % splits_));
}

std::optional<RowShape> DepthwiseKernel::row_shape() const {
  const ConvGeometry& g = geometry_;
  const Window& w = g.window;
  return RowShape{g.n,      blocks_,           g.in[0],      g.in[1] * block_, blocks_,
                  g.out[0], g.out[1] * block_, w.strides[0], w.span(0),        w.pads_begin[0]};
}

void DepthwiseKernel::RunRows(const RunContext& ctx, RowsOf<const float> src, RowsOf<float> dst, int64_t n,
                              Range rows) const {
  RunPart(ctx, src, dst, n, rows, {0, blocks_});
}

void DepthwiseKernel::RunPart(const RunContext& ctx, RowsOf<const float> src, RowsOf<float> dst, int64_t n,
                              Range rows, Range blocks) const {
  const ConvGeometry& g = geometry_;
  const Window& w = g.window;
  const int64_t taps = w.kernel_elems();
  DepthwiseRun run;
  run.block = block_;
  run.ih = g.in[0], run.iw = g.in[1], run.ow = g.out[1];
  run.pad_top = w.pads_begin[0], run.pad_left = w.pads_begin[1];
  run.row = rows.begin, run.rows = rows.end - rows.begin;
  const SumOps ops = register_ops_.For(ctx);
  for (int64_t b = blocks.begin; b < blocks.end; ++b) {
    const int64_t plane = (n * blocks_ + b) * g.out_elems() * block_;
    run.src = src.row0 + b * src.plane_stride;
    run.dst = dst.row0 + b * dst.plane_stride;
    run.weights = static_cast<const float*>(packed_->data()) + b * taps * block_;
    run.bias = bias_ ? static_cast<const float*>(bias_->data()) + b * block_ : nullptr;
    run.ops = ops;
    if (ops.operand != nullptr) run.ops.operand = ops.operand + plane;
    RunDepthwise(w.kernel[0], w.strides[0], run);
    if (post_ops_.empty()) continue;
    const int64_t first = rows.begin * g.out[1] * block_;
    post_ops_.Apply(ctx, run.dst + first, plane + first, b * block_, run.rows * g.out[1]);
  }
}

}  // namespace sluice
