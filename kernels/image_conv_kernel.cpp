#include "kernels/image_conv_kernel.h"

#include <algorithm>
#include <cstring>

#include "kernels/parallel.h"

namespace sluice {
namespace {

// About 15 us of one core: ten times what a task costs. MobileNet's steps take 50 us and must feed several
// threads.
constexpr int64_t kTileFlops = 2'500'000;
// Enough for this many threads to end at about the same time.
constexpr int64_t kThreads = 16, kMaxTiles = 2 * kThreads;
// Bytes of a panel's weights, and of a chunk's input in scratch, that stay in an L2 cache together.
constexpr int64_t kWeightsBytes = 192 * 1024, kScratchBytes = 384 * 1024;
// A flat run is this many blocks of registers: its outputs stay in the L1 cache until the post-ops are done.
constexpr int64_t kRunBlocks = 4;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

void ImageConvKernel::Prepare(PrepareContext& ctx) {
  if (ctx.dtype(0) != DataType::kFloat) ctx.Decline("not float");
  geometry_ = ConvGeometryOf(ctx);
  const ConvGeometry& g = geometry_;
  const Window& w = g.window;
  if (w.rank() != 2) ctx.Decline("not two spatial axes");
  if (g.groups != 1) ctx.Decline("groups");
  if (ctx.constant(1) == nullptr) ctx.Decline("weights are not constant");
  if (ctx.has_input(2) && ctx.constant(2) == nullptr) ctx.Decline("bias is not constant");
  if (g.flops() == 0 || ctx.output(0).num_elements() == 0) ctx.Decline("empty tensors");
  for (size_t i = 0; i < 2; ++i) {
    if (w.pads_begin[i] < 0 || w.pads_end[i] < 0) ctx.Decline("negative padding");
  }

  const Layout layout = NativeBlockedLayout();
  block_ = BlockOf(layout);
  // What comes row-major is only worth reordering if it fills a block.
  plain_ = g.ic < block_ && ctx.input(0).layout == Layout::kPlain;
  depth_ = plain_ ? g.ic : block_;
  planes_ = CeilDiv(g.ic, depth_);
  last_depth_ = g.ic - (planes_ - 1) * depth_;
  taps_ = w.kernel_elems();
  line_ = (g.out[1] - 1) * w.strides[1] + w.span(1);
  const bool padded = w.pads_begin[0] > 0 || w.pads_begin[1] > 0 || line_ > g.in[1] ||
                      (g.out[0] - 1) * w.strides[0] + w.span(0) > g.in[0];
  copies_ = plain_ || padded;
  flat_ = !copies_ && taps_ == 1 && w.strides[0] == 1 && w.strides[1] == 1;
  cut_ = CutOf({0, g.out_elems()});
  lines_ = !flat_ && g.out[0] > 1 && 2 * g.out[1] <= DirectConvOutputs() ? 2 : 1;
  runs_ = flat_ ? cut_.runs : CeilDiv(g.out[0], lines_);
  panels_ = CeilDiv(CeilDiv(g.oc, block_) * block_, DirectConvPanel());
  ChooseTiles();

  register_ops_ = RegisterOps(ctx, layout);
  post_ops_ = BlockedPostOps(ctx, register_ops_.size(), layout);

  ctx.SetInputLayout(0, plain_ ? Layout::kPlain : layout);
  ctx.SetOutputLayout(0, layout);
  PackWeights(ctx);
  if (copies_) {
    const int64_t rows = InputRows(std::min(runs_, CeilDiv(g.n * runs_, bands_)));
    ctx.SetScratch(chunk_ * rows * line_ * depth_ * static_cast<int64_t>(sizeof(float)));
  }
}

int64_t ImageConvKernel::InputRows(int64_t runs) const {
  return (runs * lines_ - 1) * geometry_.window.strides[0] + geometry_.window.span(0);
}

// The split that moves the least memory: every range of panels reads all input, every band reads all weights.
void ImageConvKernel::ChooseTiles() {
  const ConvGeometry& g = geometry_;
  const int64_t wanted = std::clamp<int64_t>(g.flops() / kTileFlops, 1, kMaxTiles), all = g.n * runs_;
  const auto weights = static_cast<double>(panels_ * DirectConvPanel() * g.ic * taps_);
  const double row = static_cast<double>(g.ic * g.in[1]) * (copies_ ? 2 : 1);
  const double run_rows = flat_ ? static_cast<double>(g.in[0]) / static_cast<double>(runs_)
                                : static_cast<double>(geometry_.window.strides[0] * lines_);
  const double halo = flat_ ? 0 : static_cast<double>(InputRows(1)) - run_rows;
  double least = 0;
  for (int64_t splits = 1; splits <= panels_; ++splits) {
    // Another band for the sake of a few more tiles would read all weights again.
    const int64_t bands = std::min(splits >= kThreads ? 1 : CeilDiv(wanted, splits), all);
    const double cost =
        static_cast<double>(bands) * weights +
        static_cast<double>(splits) * row *
            (static_cast<double>(all) * run_rows + static_cast<double>(bands) * std::max(0.0, halo));
    // Fewer tiles than threads leave some without work.
    const int64_t busy = std::min(wanted, kThreads);
    const double idle = static_cast<double>(busy) / static_cast<double>(std::min(busy, bands * splits));
    if (splits > 1 && cost * idle >= least) continue;
    least = cost * idle;
    bands_ = bands;
    splits_ = splits;
  }
  // Weights that stay in L2 cost nothing to read again: then bands whose input fits with them, as long as
  // most of its rows are their own.
  if (copies_ && weights * 4 <= kScratchBytes) {
    const int64_t rows = kScratchBytes / (planes_ * line_ * depth_ * 4), span = geometry_.window.span(0);
    const int64_t most = (rows - span) / geometry_.window.strides[0] / lines_ + 1;
    if (rows >= 2 * span) bands_ = std::max(bands_, CeilDiv(all, most));
  }
  const int64_t weights_plane = taps_ * depth_ * DirectConvPanel() * 4;
  int64_t most = std::max<int64_t>(1, kWeightsBytes / weights_plane);
  if (copies_) {
    const int64_t plane = InputRows(std::min(runs_, CeilDiv(all, bands_))) * line_ * depth_ * 4;
    most = std::min(most, std::max<int64_t>(1, kScratchBytes / plane));
  }
  chunk_ = CeilDiv(planes_, CeilDiv(planes_, most));
}

void ImageConvKernel::PackWeights(PrepareContext& ctx) {
  const ConvGeometry& g = geometry_;
  const Tensor& weights = *ctx.constant(1);
  const int64_t width = DirectConvPanel();
  const std::string format = "direct " + std::to_string(width) + " " + std::to_string(depth_) + " " +
                             std::to_string(g.oc) + " " + std::to_string(g.ic) + " " + std::to_string(taps_);
  // [panel][plane][tap][channel][channel of the panel]
  packed_ = PackShared(weights, format, panels_ * g.ic * taps_ * width * 4, [&](std::byte* bytes) {
    const auto* from = static_cast<const float*>(weights.data());
    ForEachTile(panels_, [&](int64_t panel) {
      float* to = reinterpret_cast<float*>(bytes) + panel * g.ic * taps_ * width;
      const int64_t first = panel * width, channels = std::min(width, g.oc - first);
      const int64_t elems = g.ic * taps_;
      // So many neighbours of every channel at a time: lines of the cache are read once, several in a row.
      constexpr int64_t kNeighbours = 64;
      std::vector<float> lines(static_cast<size_t>(kNeighbours * channels));
      for (int64_t elem = 0; elem < elems; elem += kNeighbours) {
        const int64_t count = std::min(kNeighbours, elems - elem);
        InterleaveFloats(from + first * elems + elem, elems, channels, count, lines.data());
        for (int64_t e = 0; e < count; ++e) {
          const int64_t ic = (elem + e) / taps_, tap = (elem + e) % taps_, plane = ic / depth_;
          const int64_t depth = plane + 1 < planes_ ? depth_ : last_depth_;
          float* line = to + (plane * depth_ * taps_ + tap * depth + ic % depth_) * width;
          std::fill(std::copy_n(lines.data() + e * channels, channels, line), line + width, 0.0f);
        }
      }
    });
  });
  ctx.DropInput(1);
  if (!ctx.has_input(2)) return;
  bias_ = PackPadded(*ctx.constant(2), panels_ * width);
}

ImageConvKernel::Cut ImageConvKernel::CutOf(Range outputs) {
  const int64_t blocks = CeilDiv(outputs.end - outputs.begin, DirectConvOutputs());
  return {outputs, blocks, CeilDiv(blocks, kRunBlocks)};
}

Range ImageConvKernel::RunOutputs(const Cut& cut, int64_t run) const {
  if (!flat_) return {0, geometry_.out[1] * std::min(lines_, geometry_.out[0] - run * lines_)};
  const Range blocks = PieceOf(cut.blocks, cut.runs, run);
  const int64_t first = cut.outputs.begin, all = cut.outputs.end - first;
  return {first + PieceOf(all, cut.blocks, blocks.begin).begin,
          first + PieceOf(all, cut.blocks, blocks.end - 1).end};
}

// to: [plane][row][line_][channel of the plane], zeros where the input ends.
void ImageConvKernel::CopyIn(RowsOf<const float> image, int64_t first_run, int64_t runs, int64_t plane,
                             int64_t planes, float* to) const {
  const ConvGeometry& g = geometry_;
  const int64_t ih = g.in[0], iw = g.in[1], rows = InputRows(runs), left = g.window.pads_begin[1];
  const int64_t top = first_run * lines_ * g.window.strides[0] - g.window.pads_begin[0];
  const int64_t count = std::clamp<int64_t>(line_ - left, 0, iw),
                right = std::max<int64_t>(0, line_ - left - count);
  for (int64_t p = plane; p < plane + planes; ++p) {
    const float* from = image.row0 + p * image.plane_stride;
    for (int64_t i = 0; i < rows; ++i, to += line_ * depth_) {
      const int64_t row = top + i;
      if (row < 0 || row >= ih) {
        std::fill_n(to, line_ * depth_, 0.0f);
        continue;
      }
      std::fill_n(to, std::min(left, line_) * depth_, 0.0f);
      if (plain_)
        InterleaveFloats(from + row * iw, image.plane_stride, g.ic, count, to + left * depth_);
      else
        std::memcpy(to + left * depth_, from + row * iw * depth_,
                    static_cast<size_t>(count * depth_) * sizeof(float));
      std::fill_n(to + (left + count) * depth_, right * depth_, 0.0f);
    }
  }
}

void ImageConvKernel::Run(const RunContext& ctx, int64_t tile) const {
  const ConvGeometry& g = geometry_;
  const Range panels = PieceOf(panels_, splits_, tile % splits_),
              all = PieceOf(g.n * runs_, bands_, tile / splits_);
  const int64_t in = g.in_elems() * (plain_ ? 1 : depth_), in_planes = plain_ ? g.ic : planes_;
  const int64_t out = g.out_elems() * block_, out_planes = CeilDiv(g.oc, block_);
  for (int64_t first = all.begin; first < all.end;) {
    const int64_t n = first / runs_;
    const Range runs{first - n * runs_, std::min(all.end - n * runs_, runs_)};
    RunPart(ctx, {ctx.in<float>(0) + n * in_planes * in, in}, {ctx.out<float>(0) + n * out_planes * out, out},
            n, cut_, runs, panels);
    first = n * runs_ + runs.end;
  }
}

std::optional<RowShape> ImageConvKernel::row_shape() const {
  const ConvGeometry& g = geometry_;
  const Window& w = g.window;
  if (lines_ != 1) return std::nullopt;
  return RowShape{g.n,
                  plain_ ? g.ic : planes_,
                  g.in[0],
                  g.in[1] * (plain_ ? 1 : depth_),
                  CeilDiv(g.oc, block_),
                  g.out[0],
                  g.out[1] * block_,
                  w.strides[0],
                  w.span(0),
                  w.pads_begin[0]};
}

int64_t ImageConvKernel::RowScratchBytes(int64_t rows) const {
  return copies_ ? chunk_ * InputRows(rows) * line_ * depth_ * static_cast<int64_t>(sizeof(float)) : 0;
}

void ImageConvKernel::RunRows(const RunContext& ctx, RowsOf<const float> src, RowsOf<float> dst, int64_t n,
                              Range rows) const {
  const int64_t width = geometry_.out[1];
  const Cut cut = flat_ ? CutOf({rows.begin * width, rows.end * width}) : cut_;
  RunPart(ctx, src, dst, n, cut, flat_ ? Range{0, cut.runs} : rows, {0, panels_});
}

void ImageConvKernel::RunPart(const RunContext& ctx, RowsOf<const float> src, RowsOf<float> dst, int64_t n,
                              const Cut& cut, Range runs, Range panels) const {
  const SumOps ops = register_ops_.For(ctx);
  for (int64_t plane = 0; plane < planes_; plane += chunk_) {
    const int64_t planes = std::min(chunk_, planes_ - plane);
    Source source{src.row0 + plane * src.plane_stride, src.plane_stride, geometry_.in[1] * depth_};
    if (copies_) {
      float* scratch = ctx.scratch<float>();
      CopyIn(src, runs.begin, runs.end - runs.begin, plane, planes, scratch);
      source = {scratch, InputRows(runs.end - runs.begin) * line_ * depth_, line_ * depth_};
    }
    for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
      RunPanel(ctx, ops, source, dst, n, cut, runs, plane, planes, panel);
    }
  }
}

void ImageConvKernel::RunPanel(const RunContext& ctx, const SumOps& ops, const Source& source,
                               RowsOf<float> dst, int64_t n, const Cut& cut, Range runs, int64_t plane,
                               int64_t planes, int64_t panel) const {
  const ConvGeometry& g = geometry_;
  const Window& w = g.window;
  const int64_t width = DirectConvPanel(), lanes = width / 2, c = panel * width;
  const int64_t oc_blocks = CeilDiv(g.oc, block_), plane_elems = g.out_elems() * block_;
  const bool last = plane + planes == planes_;
  DirectConvRun run{};
  run.planes = planes;
  run.depth = depth_;
  run.last_depth = last ? last_depth_ : depth_;
  run.plane_stride = source.plane_stride;
  run.kh = w.kernel[0];
  run.kw = w.kernel[1];
  run.row_stride = source.row_stride * w.dilations[0];
  run.col_stride = depth_ * w.dilations[1];
  if (plain_ && w.dilations[1] == 1) {
    // The taps of a line are side by side.
    run.depth = run.last_depth = depth_ * run.kw;
    run.kw = 1;
  }
  run.step = depth_ * w.strides[1];
  run.weights = static_cast<const float*>(packed_->data()) + (panel * g.ic + plane * depth_) * taps_ * width;
  run.bias = bias_ ? static_cast<const float*>(bias_->data()) + c : nullptr;
  run.dst_step = block_;
  run.dst_vector = lanes < block_ ? lanes : dst.plane_stride;
  run.vectors = oc_blocks * block_ - c <= lanes ? 1 : 2;
  run.resume = plane > 0;
  if (last) run.ops = ops;
  // The next panel's weights come while this one's are in use.
  int64_t passes = 0;
  for (int64_t r = runs.begin; r < runs.end; ++r) {
    const Range outputs = RunOutputs(cut, r);
    passes += CeilDiv(outputs.end - outputs.begin, DirectConvOutputs());
  }
  run.ahead_passes = passes;
  run.ahead = run.weights + g.ic * taps_ * width;
  // A panel is part of one block, or two of them.
  const int64_t block_count = std::min(std::max<int64_t>(1, width / block_), oc_blocks - c / block_);
  for (int64_t r = runs.begin; r < runs.end; ++r) {
    const Range outputs = RunOutputs(cut, r);
    const int64_t line = flat_ ? 0 : r * lines_, line_outputs = g.out[1];
    // In scratch the band's first line is the first.
    const int64_t src_line = (copies_ ? line - runs.begin * lines_ : line) * w.strides[0];
    run.src = source.data + src_line * source.row_stride + outputs.begin * run.step;
    const int64_t in_plane = (line * line_outputs + outputs.begin) * block_;
    const int64_t offset = (n * oc_blocks + c / block_) * plane_elems + in_plane;
    float* to = dst.row0 + c / block_ * dst.plane_stride + in_plane;
    run.dst = to + c % block_;
    if (run.ops.operand != nullptr) run.ops.operand = ops.operand + offset + c % block_;
    run.count = outputs.end - outputs.begin;
    run.gap =
        !flat_ && run.count > line_outputs ? w.strides[0] * source.row_stride - line_outputs * run.step : 0;
    RunDirectConv(run);
    run.ahead_done += CeilDiv(run.count, DirectConvOutputs());
    if (!last || post_ops_.empty()) continue;
    for (int64_t b = 0; b < block_count; ++b) {
      post_ops_.Apply(ctx, to + b * dst.plane_stride, offset + b * plane_elems, (c / block_ + b) * block_,
                      run.count);
    }
  }
}

}  // namespace sluice
