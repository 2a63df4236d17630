#include "kernels/row_chain.h"

#include <array>
#include <cstring>

#include "kernels/cache_sizes.h"

namespace sluice {
namespace {

// About 15 us of one core: ten times what a task costs.
constexpr int64_t kTileFlops = 2'500'000;
// Enough for 16 threads to end at about the same time; fewer than kFewTiles leave a server's cores idle.
constexpr int64_t kMaxTiles = 32, kFewTiles = 8;
// What may be computed twice, as a share of all. MobileNetV2's first block gains a quarter on one thread.
constexpr double kMostTwice = 0.08;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t Padded(int64_t bytes) { return CeilDiv(bytes, 64) * 64; }

// What a chain does, seen from outside.
struct Link {
  RowShape shape;
  int64_t flops;
};

// The share of operations that bands of so many rows of the last output compute twice.
double TwiceShare(const std::vector<Link>& links, int64_t rows) {
  double all = 0, twice = 0;
  auto needed = static_cast<double>(rows), own = needed;
  for (size_t i = links.size(); i-- > 0;) {
    const auto flops = static_cast<double>(links[i].flops);
    all += flops;
    twice += flops * (needed / own - 1);
    needed =
        (needed - 1) * static_cast<double>(links[i].shape.stride) + static_cast<double>(links[i].shape.span);
    own *= static_cast<double>(links[i].shape.stride);
  }
  return twice / std::max(1.0, all);
}

// Tiles that the work asks for.
int64_t WantedTiles(const std::vector<Link>& links) {
  int64_t flops = 0;
  for (const Link& link : links) flops += link.flops;
  return std::clamp<int64_t>(flops / kTileFlops, 1, kMaxTiles);
}

// Of an image: as many as are wanted, if they do not compute too much twice.
int64_t Bands(const std::vector<Link>& links) {
  const RowShape& last = links.back().shape;
  int64_t bands =
      std::clamp<int64_t>(CeilDiv(WantedTiles(links), last.n), 1, std::max<int64_t>(1, last.out_rows / 2));
  while (bands > 1 && TwiceShare(links, last.out_rows / bands) > kMostTwice) --bands;
  return bands;
}

}  // namespace

bool RowChain::Pays(const Kernel& first, const Kernel& next) {
  std::vector<Link> links;
  const auto add = [&](const Kernel& kernel) {
    const auto* const by_rows = dynamic_cast<const RowKernel*>(&kernel);
    const auto shape = by_rows == nullptr ? std::nullopt : by_rows->row_shape();
    if (shape) links.push_back({*shape, kernel.flops()});
    return shape.has_value();
  };
  if (const auto* const chain = dynamic_cast<const RowChain*>(&first)) {
    if (chain->stages_.size() == kMaxStages) return false;
    for (const Stage& stage : chain->stages_) links.push_back({stage.shape, stage.kernel->flops()});
  } else if (!add(first)) {
    return false;
  }
  const RowShape above = links.back().shape;
  if (!add(next)) return false;
  const RowShape& below = links.back().shape;
  if (above.n != below.n || above.out_planes != below.in_planes || above.out_rows != below.in_rows ||
      above.out_row_elems != below.in_row_elems) {
    return false;
  }
  // Where what lies between stays in the cache anyway there is nothing to gain.
  return above.out_bytes() > L2Bytes() / 2 &&
         below.n * Bands(links) >= std::min(kFewTiles, WantedTiles(links));
}

std::unique_ptr<RowChain> RowChain::Join(std::unique_ptr<Kernel> first, size_t inputs,
                                         std::unique_ptr<Kernel> next, int64_t buffer_bytes) {
  auto chain = std::make_unique<RowChain>();
  const auto add = [&](std::unique_ptr<Kernel> kernel, size_t first_input) {
    Stage stage;
    stage.kernel.reset(&dynamic_cast<RowKernel&>(*kernel.release()));
    stage.shape = *stage.kernel->row_shape();
    stage.first_input = first_input;
    chain->stages_.push_back(std::move(stage));
  };
  if (auto* const before = dynamic_cast<RowChain*>(first.get()))
    chain->stages_ = std::move(before->stages_);
  else
    add(std::move(first), 0);
  add(std::move(next), inputs);
  chain->Plan(buffer_bytes > 0 ? buffer_bytes : L2Bytes() / 4);
  return chain;
}

void RowChain::Plan(int64_t buffer_bytes) {
  std::vector<Link> links;
  for (const Stage& stage : stages_) links.push_back({stage.shape, stage.kernel->flops()});
  const RowShape& last = stages_.back().shape;
  bands_ = Bands(links);
  const auto place = [&](int64_t strip) {
    int64_t rows = strip, bytes = 0;
    stage_scratch_bytes_ = 0;
    for (size_t i = stages_.size(); i-- > 0;) {
      Stage& stage = stages_[i];
      stage.rows = rows;
      stage_scratch_bytes_ = std::max(stage_scratch_bytes_, stage.kernel->RowScratchBytes(rows));
      if (i + 1 < stages_.size()) {
        stage.buffer_offset = bytes / 4;
        bytes += Padded(stage.shape.out_planes * rows * stage.shape.out_row_elems * 4);
      }
      rows = stage.shape.MostUnder(rows);
    }
    buffers_bytes_ = bytes;
  };
  strip_ = CeilDiv(last.out_rows, bands_);
  for (place(strip_); strip_ > 1 && buffers_bytes_ > buffer_bytes; place(strip_)) --strip_;
}

std::string RowChain::name() const {
  std::string text;
  for (const Stage& stage : stages_) text += (text.empty() ? "" : ", ") + stage.kernel->name();
  return text + " by rows";
}

int64_t RowChain::flops() const {
  int64_t sum = 0;
  for (const Stage& stage : stages_) sum += stage.kernel->flops();
  return sum;
}

void RowChain::RunTogether(const RunContext& ctx, int64_t first, int64_t count) const {
  const size_t last = stages_.size() - 1;
  const RowShape &in = stages_[0].shape, &out = stages_[last].shape;
  const int64_t n = first / bands_;
  const Range all{PieceOf(out.out_rows, bands_, first % bands_).begin,
                  PieceOf(out.out_rows, bands_, first % bands_ + count - 1).end};
  auto* const buffers = ctx.scratch<float>();
  const int64_t in_plane = in.in_rows * in.in_row_elems, out_plane = out.out_rows * out.out_row_elems;
  // Of what each stage but the last makes: rows [held, made) are in its buffer.
  std::array<int64_t, kMaxStages> held{}, made{};
  for (int64_t row = all.begin; row < all.end; row += strip_) {
    std::array<Range, kMaxStages> rows{};
    rows[last] = {row, std::min(row + strip_, all.end)};
    for (size_t i = last; i-- > 0;) {
      const Stage& stage = stages_[i];
      rows[i] = {made[i], made[i]};
      if (rows[i + 1].begin == rows[i + 1].end) continue;
      const Range needed = stages_[i + 1].shape.Under(rows[i + 1]);
      const int64_t row_elems = stage.shape.out_row_elems, kept = made[i] - needed.begin;
      for (int64_t p = 0; kept > 0 && p < stage.shape.out_planes; ++p) {
        float* const plane = buffers + stage.buffer_offset + p * stage.rows * row_elems;
        std::memmove(plane, plane + (needed.begin - held[i]) * row_elems,
                     static_cast<size_t>(kept * row_elems) * sizeof(float));
      }
      held[i] = needed.begin;
      rows[i] = {std::max(made[i], needed.begin), std::max(made[i], needed.end)};
    }
    RowsOf<const float> src{ctx.in<float>(0) + n * in.in_planes * in_plane, in_plane};
    for (size_t i = 0; i <= last; ++i) {
      const Stage& stage = stages_[i];
      const int64_t row_elems = stage.shape.out_row_elems;
      RowsOf<float> dst{ctx.out<float>(0) + n * out.out_planes * out_plane, out_plane};
      if (i < last) {
        dst = {buffers + stage.buffer_offset - held[i] * row_elems, stage.rows * row_elems};
        made[i] = rows[i].end;
      }
      if (rows[i].begin < rows[i].end) {
        const auto inputs = ctx.inputs().subspan(stage.first_input);
        stage.kernel->RunRows(
            RunContext(inputs, ctx.outputs(), ctx.scratch<std::byte>() + buffers_bytes_, nullptr), src, dst,
            n, rows[i]);
      }
      src = {dst.row0, dst.plane_stride};
    }
  }
}

}  // namespace sluice
