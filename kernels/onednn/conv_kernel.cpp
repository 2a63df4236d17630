#include "kernels/onednn/conv_kernel.h"

#include <algorithm>

#include "kernels/onednn/threading.h"
#include "kernels/parallel.h"
#include "kernels/scratch.h"
#include "sluice/error.h"

namespace sluice::onednn {
namespace {

// About 20 us of one core: ten times what a task of TBB costs.
constexpr int64_t kTileFlops = 2'500'000;
// A depthwise convolution waits for memory: it takes as long as one of this many times its operations.
constexpr int64_t kDepthwiseWeight = 6;
// Enough for 16 threads to end at about the same time.
constexpr int64_t kMaxTiles = 32;
// Narrower ranges of output channels lose register reuse in oneDNN's kernels.
constexpr int64_t kMinTileChannels = 64;
// A band's rows against the rows that it shares with its neighbours: below this, copying shows.
constexpr int64_t kMinRowsPerHaloRow = 3;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Where the last block of channels is not full, oneDNN 2.6's kernels for SSE4.1 and AVX read and leave what
// they should not beyond the last channel; those for AVX2 and AVX-512 keep zeros there.
bool PartialBlocksWork() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") != 0;
#else
  return true;
#endif
}

}  // namespace

void ConvKernel::Prepare(PrepareContext& ctx) {
  if (ctx.dtype(0) != DataType::kFloat) ctx.Decline("not float");
  geometry_ = transposed_ ? ConvTransposeGeometryOf(ctx) : ConvGeometryOf(ctx);
  const ConvGeometry& g = geometry_;
  if (g.in.size() > 3) ctx.Decline("more than three spatial axes");
  if (g.flops() == 0 || ctx.output(0).num_elements() == 0) ctx.Decline("empty tensors");
  for (int64_t pad : g.window.pads_end) {
    if (pad < 0) ctx.Decline("negative padding");
  }
  has_bias_ = ctx.has_input(2);
  post_ops_ = FusePostOps(ctx, 1);
  rest_ = PostOpRunner(ctx, post_ops_.size());

  const SingleThreaded single_threaded;
  std::string reason;
  if (!ChooseLayouts(ctx, &reason)) ctx.Decline(reason);
  DropWrongPostOps(ctx, &reason);
  src_planes_ = PlanesOf(src_layout_, g.ic, g.in);
  dst_planes_ = PlanesOf(dst_layout_, g.oc, g.out);
  MakeTiles(ChooseSplit(), &reason);
  if (tiles_.empty()) ctx.Decline(reason);
  implementation_ = variants_[0].primitive->implementation();

  ctx.SetInputLayout(0, src_layout_);
  ctx.SetOutputLayout(0, dst_layout_);
  for (const FusedOp& fused : post_ops_) {
    if (fused.reach == FusedOp::Reach::kFull) ctx.SetInputLayout(fused.op.operand, dst_layout_);
  }
  PackWeights(ctx);
  int64_t full_operands = 0;
  for (const FusedOp& fused : post_ops_) full_operands += fused.reach == FusedOp::Reach::kFull;
  for (const Variant& v : variants_) {
    primitive_scratch_ = std::max(primitive_scratch_, FloatsOf(v.primitive->scratch_bytes()));
    if (!banded_) continue;
    src_scratch_ = std::max(src_scratch_, RoundUp16(src_planes_.count(v.channels_in) * BandInputRows(v.rows) *
                                                    src_planes_.row_elems));
    if (dst_planes_.count(v.channels_out) > 1) {
      dst_scratch_ = std::max(dst_scratch_,
                              RoundUp16(dst_planes_.count(v.channels_out) * v.rows * dst_planes_.row_elems));
    }
  }
  ctx.SetScratch((weights_scratch_ + primitive_scratch_ + src_scratch_ + dst_scratch_ * (1 + full_operands)) *
                 static_cast<int64_t>(sizeof(float)));
}

// oneDNN 2.6's convolution by matrix product takes the wrong elements of an operand like the output.
void ConvKernel::DropWrongPostOps(PrepareContext& ctx, std::string* reason) {
  const auto full = std::find_if(post_ops_.begin(), post_ops_.end(),
                                 [](const FusedOp& fused) { return fused.reach == FusedOp::Reach::kFull; });
  if (full == post_ops_.end() || implementation_.find("gemm") == std::string::npos) return;
  post_ops_.erase(full, post_ops_.end());
  rest_ = PostOpRunner(ctx, post_ops_.size());
  if (!ChooseLayouts(ctx, reason)) ctx.Decline(*reason);
}

// Blocked where oneDNN has fast code for it; a first convolution, of up to 3 channels, reads them plain.
bool ConvKernel::ChooseLayouts(PrepareContext&, std::string* reason) {
  const ConvGeometry& g = geometry_;
  const Layout blocked = NativeBlockedLayout();
  std::vector<std::pair<Layout, Layout>> candidates;
  const auto whole = [&](int64_t channels) {
    return channels % BlockOf(blocked) == 0 || PartialBlocksWork();
  };
  if (g.groups == 1 && g.ic < 4 && !transposed_ && whole(g.oc))
    candidates.push_back({Layout::kPlain, blocked});
  if (whole(g.ic) && whole(g.oc)) candidates.push_back({blocked, blocked});
  candidates.push_back({Layout::kChannelsLast, Layout::kChannelsLast});
  candidates.push_back({Layout::kPlain, Layout::kPlain});
  for (const auto& [src, dst] : candidates) {
    src_layout_ = src;
    dst_layout_ = dst;
    const auto primitive = MakePrimitive(1, g.ic, g.oc, g.groups, g.out[0], false, reason);
    if (!primitive) continue;
    implementation_ = primitive->implementation();
    return true;
  }
  return false;
}

int64_t ConvKernel::BandInputRows(int64_t rows) const {
  return (rows - 1) * geometry_.window.strides[0] + geometry_.window.span(0);
}

std::shared_ptr<const ConvPrimitive> ConvKernel::MakePrimitive(int64_t n, int64_t ic, int64_t oc,
                                                               int64_t groups, int64_t rows, bool banded,
                                                               std::string* reason) const {
  const ConvGeometry& g = geometry_;
  ConvProblem p;
  p.transposed = transposed_;
  p.n = n;
  p.groups = groups;
  p.ic = ic;
  p.oc = oc;
  p.in = g.in;
  p.out = g.out;
  p.kernel = g.window.kernel;
  p.strides = g.window.strides;
  p.dilations = g.window.dilations;
  p.pads_begin = g.window.pads_begin;
  p.pads_end = g.window.pads_end;
  if (banded) {
    p.in[0] = BandInputRows(rows);
    p.out[0] = rows;
    p.pads_begin[0] = p.pads_end[0] = 0;
  }
  // oneDNN wants the padding that makes the sizes come out, not the one stated.
  for (size_t i = 0; i < p.in.size() && !transposed_; ++i) {
    p.pads_end[i] = (p.out[i] - 1) * p.strides[i] + g.window.span(i) - p.in[i] - p.pads_begin[i];
  }
  for (size_t i = 0; i < p.in.size() && transposed_; ++i) {
    p.pads_end[i] = (p.in[i] - 1) * p.strides[i] + g.window.span(i) - p.out[i] - p.pads_begin[i];
  }
  p.src_layout = src_layout_;
  p.dst_layout = dst_layout_;
  p.has_bias = has_bias_;
  const int64_t taps = g.window.kernel_elems();
  if (transposed_) {
    p.weights_ic_stride = g.oc_per_group() * taps;
    p.weights_oc_stride = taps;
    p.weights_group_stride = g.ic_per_group() * g.oc_per_group() * taps;
  } else {
    p.weights_ic_stride = taps;
    p.weights_oc_stride = g.ic_per_group() * taps;
    p.weights_group_stride = g.oc_per_group() * g.ic_per_group() * taps;
  }
  p.post_ops = post_ops_;
  return ConvPrimitive::Make(p, reason);
}

ConvKernel::Planes ConvKernel::PlanesOf(Layout layout, int64_t channels,
                                        const std::vector<int64_t>& spatial) const {
  Planes planes;
  planes.rows = spatial[0];
  for (size_t i = 1; i < spatial.size(); ++i) planes.row_elems *= spatial[i];
  planes.row_elems *= layout == Layout::kChannelsLast ? channels : BlockOf(layout);
  planes.channels_per_plane = layout == Layout::kChannelsLast ? 0 : BlockOf(layout);
  return planes;
}

ConvKernel::Split ConvKernel::ChooseSplit() const {
  const ConvGeometry& g = geometry_;
  Split split{1, 1, 1, g.oc};
  const int64_t work = g.groups > 1 && g.ic_per_group() == 1 ? g.flops() * kDepthwiseWeight : g.flops();
  const int64_t wanted = std::clamp<int64_t>(work / kTileFlops, 1, kMaxTiles);
  if (g.n >= wanted) {
    split.images = wanted;
    return split;
  }
  split.images = g.n;
  const int64_t per_image = CeilDiv(wanted, g.n);
  if (dst_layout_ != Layout::kChannelsLast) {
    const int64_t src_block = BlockOf(src_layout_), dst_block = BlockOf(dst_layout_);
    const int64_t icg = g.ic_per_group(), ocg = g.oc_per_group();
    int64_t units = 1;
    if (g.groups == 1 && dst_block > 1) {
      split.unit = RoundUp16(std::max(kMinTileChannels, dst_block));
      units = g.oc / split.unit;
    } else if (g.groups > 1 && icg == 1 && ocg == 1) {
      split.unit = dst_block;
      units = g.oc / split.unit;
    } else if (g.groups > 1 && icg % src_block == 0 && ocg % dst_block == 0) {
      split.unit = ocg;
      units = g.groups;
    }
    split.channels = std::clamp<int64_t>(per_image, 1, std::max<int64_t>(1, units));
  }
  const int64_t halo = std::max<int64_t>(1, g.window.span(0) - g.window.strides[0]);
  if (!transposed_ && split.channels < per_image) {
    const int64_t least = std::max<int64_t>(2, CeilDiv(kMinRowsPerHaloRow * halo, g.window.strides[0]));
    split.bands = std::clamp<int64_t>(per_image / split.channels, 1, std::max<int64_t>(1, g.out[0] / least));
  }
  return split;
}

size_t ConvKernel::VariantOf(int64_t n, int64_t ic, int64_t oc, int64_t groups, int64_t rows,
                             std::string* reason) {
  for (size_t i = 0; i < variants_.size(); ++i) {
    const Variant& v = variants_[i];
    if (v.n == n && v.channels_in == ic && v.channels_out == oc && v.groups == groups && v.rows == rows)
      return i;
  }
  auto primitive = MakePrimitive(n, ic, oc, groups, rows, banded_, reason);
  variants_.push_back({n, ic, oc, groups, rows, primitive});
  return variants_.size() - 1;
}

void ConvKernel::MakeTiles(const Split& split, std::string* reason) {
  const ConvGeometry& g = geometry_;
  banded_ = split.bands > 1;
  const int64_t units = CeilDiv(g.oc, split.unit), taps = g.window.kernel_elems();
  for (int64_t image = 0; image < split.images; ++image) {
    const Range images = PieceOf(g.n, split.images, image);
    for (int64_t piece = 0; piece < split.channels; ++piece) {
      const Range range = PieceOf(units, split.channels, piece);
      const int64_t oc_begin = range.begin * split.unit, oc_end = std::min(g.oc, range.end * split.unit);
      const int64_t oc = oc_end - oc_begin;
      const int64_t groups = g.groups == 1 ? 1 : oc / g.oc_per_group();
      const int64_t ic = groups * g.ic_per_group();
      const int64_t ic_begin = g.groups == 1 ? 0 : oc_begin / g.oc_per_group() * g.ic_per_group();
      for (int64_t band = 0; band < split.bands; ++band) {
        const Range rows = PieceOf(g.out[0], split.bands, band);
        const int64_t count = rows.end - rows.begin;
        const size_t variant = VariantOf(images.end - images.begin, ic, oc, groups, count, reason);
        if (!variants_[variant].primitive) {
          tiles_.clear();
          return;
        }
        const int64_t offset = !transposed_    ? oc_begin * g.ic_per_group() * taps
                               : g.groups == 1 ? oc_begin * taps
                                               : ic_begin * g.oc_per_group() * taps;
        tiles_.push_back({variant, images.begin, oc_begin, ic_begin, rows.begin, count, offset, 0});
      }
    }
  }
}

// Each range of channels is packed on its own, in the order that its primitive takes.
void ConvKernel::PackWeights(PrepareContext& ctx) {
  const Tensor* weights = ctx.constant(1);
  int64_t pack_scratch = 0;
  if (weights == nullptr) {
    for (const Variant& v : variants_) {
      weights_scratch_ = std::max(weights_scratch_, FloatsOf(v.primitive->packed_bytes()));
      pack_scratch = std::max(pack_scratch, v.primitive->pack_scratch_bytes());
    }
    weights_scratch_ += FloatsOf(pack_scratch);
    return;
  }
  std::string format = "conv";
  struct Slice {
    const ConvPrimitive* primitive;
    int64_t from, to;
  };
  std::vector<Slice> slices;
  int64_t bytes = 0;
  for (Tile& tile : tiles_) {
    const ConvPrimitive* primitive = variants_[tile.primitive].primitive.get();
    bool found = false;
    for (const Slice& slice : slices) {
      if (slice.from != tile.weights_offset || slice.primitive->packed_format() != primitive->packed_format())
        continue;
      tile.packed_offset = slice.to;
      found = true;
      break;
    }
    if (found) continue;
    tile.packed_offset = bytes;
    slices.push_back({primitive, tile.weights_offset, bytes});
    format += '|' + std::to_string(tile.weights_offset) + ' ' + primitive->packed_format();
    pack_scratch = std::max(pack_scratch, primitive->pack_scratch_bytes());
    bytes += (primitive->packed_bytes() + 63) / 64 * 64;
  }
  packed_ = PackShared(*weights, format, bytes, [&](std::byte* to) {
    ForEachTile(static_cast<int64_t>(slices.size()), [&](int64_t i) {
      const SingleThreaded single_threaded;
      const Scratch scratch(pack_scratch);
      const Slice& slice = slices[static_cast<size_t>(i)];
      slice.primitive->PackWeights(static_cast<const float*>(weights->data()) + slice.from, to + slice.to,
                                   scratch.data());
    });
  });
  ctx.DropInput(1);
}

}  // namespace sluice::onednn
