#pragma once

#include <algorithm>

#include "kernels/dispatch.h"
#include "kernels/kernel.h"
#include "kernels/parallel.h"
#include "kernels/post_ops.h"
#include "kernels/simd/normalize.h"

namespace sluice {

// A tensor [n, c, spatial...] as runs of positions with up to `lanes` channels side by side, `ld` elements
// from position to position.
struct ChannelRuns {
  int64_t n = 1, blocks = 1, lanes = 1, positions = 1, channels = 1, ld = 1;
  Layout layout = Layout::kPlain;

  ChannelRuns() = default;
  ChannelRuns(const Shape& shape, Layout order) : layout(order) {
    if (!shape.empty()) n = shape[0];
    if (shape.size() > 1) channels = shape[1];
    for (size_t i = 2; i < shape.size(); ++i) positions *= shape[i];
    lanes = ld = BlockOf(layout);
    if (layout == Layout::kChannelsLast) {
      ld = channels;
      lanes = std::clamp<int64_t>(channels, 1, kLastLanes);
    }
    blocks = (channels + lanes - 1) / lanes;
  }

  int64_t count() const { return n * blocks; }
  int64_t elems() const { return n * channels * positions; }
  int64_t first_channel(int64_t run) const { return run % blocks * lanes; }
  int64_t valid(int64_t run) const { return std::min(lanes, channels - first_channel(run)); }
  // Lanes that lie in memory: the valid ones, and the padding of a block.
  int64_t stored(int64_t run) const { return layout == Layout::kChannelsLast ? valid(run) : lanes; }
  int64_t begin(int64_t run) const {
    if (layout == Layout::kChannelsLast) return run / blocks * positions * channels + first_channel(run);
    return run * positions * lanes;
  }

  // Of channels-last, side by side: a cache line's four.
  static constexpr int64_t kLastLanes = 64;
};

// The base of normalisations by channel: keeps the layout of floats and applies the post-ops.
template <typename T>
class ChannelKernel : public Kernel {
 protected:
  using Sum = ComputeType<T>;

  // y = (x - mean) * factor + bias by lane, in scratch; zero for the padding of blocks.
  struct Lanes {
    Sum *mean, *factor, *bias;
  };

  void PrepareRuns(PrepareContext& ctx, const Shape& shape, Layout layout) {
    ctx.SetInputLayout(0, layout);
    ctx.SetOutputLayout(0, layout);
    ctx.AllowInPlace(0, 0);
    // Without spatial axes the channels lie side by side.
    runs_ = ChannelRuns(shape, shape.size() == 2 ? Layout::kChannelsLast : layout);
    epsilon_ = static_cast<double>(ctx.attrs().Float("epsilon", 1e-5f));
    // A rectifier is applied on the way; the rest follows while the piece is in the cache.
    size_t fused = 0;
    if (std::is_same_v<T, float> && !ctx.post_ops().empty()) {
      const PostOp& op = ctx.post_ops()[0];
      fused = op.kind == PostOp::Kind::kRelu || op.kind == PostOp::Kind::kLeakyRelu;
      if (fused) negative_ = op.kind == PostOp::Kind::kRelu ? 0 : op.alpha;
    }
    post_ops_ = PostOpRunner(ctx, fused);
    lane_bytes_ = (runs_.lanes * static_cast<int64_t>(sizeof(double)) + 63) / 64 * 64;
    // Row-major pieces are whole lines, as post-ops take them.
    lines_ = runs_.lanes == 1 && shape.size() > 2;
    const int64_t line = lines_ ? std::max<int64_t>(1, shape.back()) : 1;
    step_ = std::max<int64_t>(1, kPiece / (runs_.lanes * line)) * line;
    const int64_t piece_bytes =
        std::is_same_v<T, float> ? 0 : step_ * runs_.lanes * static_cast<int64_t>(sizeof(Sum));
    ctx.SetScratch(kArrays * lane_bytes_ + piece_bytes);
  }
  static Layout LayoutOf(const PrepareContext& ctx) {
    return std::is_same_v<T, float> ? ctx.input(0).layout : Layout::kPlain;
  }

  Lanes LanesOf(const RunContext& ctx) const {
    return {Array<Sum>(ctx, 0), Array<Sum>(ctx, 1), Array<Sum>(ctx, 2)};
  }
  // For sums: one number a lane.
  double* Sums(const RunContext& ctx, int64_t which) const { return Array<double>(ctx, 3 + which); }

  // Sets one lane's numbers from statistics in double.
  static void SetLane(const Lanes& lanes, int64_t j, double mean, double factor, double bias) {
    lanes.mean[j] = static_cast<Sum>(mean);
    lanes.factor[j] = static_cast<Sum>(factor);
    // What rounding the mean loses counts where the factor is large.
    lanes.bias[j] = static_cast<Sum>(bias + (static_cast<double>(lanes.mean[j]) - mean) * factor);
  }

  // A run's positions in pieces.
  int64_t pieces() const { return (runs_.positions + step_ - 1) / step_; }
  void ScalePieces(const RunContext& ctx, int64_t run, const Lanes& lanes, Range pieces) const {
    for (int64_t j = runs_.valid(run); j < runs_.stored(run); ++j) SetLane(lanes, j, 0, 0, 0);
    for (int64_t i = pieces.begin; i < pieces.end; ++i)
      ScalePiece(ctx, run, lanes, i * step_, std::min(step_, runs_.positions - i * step_));
  }

  ChannelRuns runs_;
  double epsilon_ = 1e-5;

 private:
  static constexpr int64_t kArrays = 5;
  static constexpr int64_t kPiece = 4096;  // elements that stay in the first cache until the post-ops

  template <typename U>
  U* Array(const RunContext& ctx, int64_t which) const {
    return reinterpret_cast<U*>(ctx.scratch<std::byte>() + which * lane_bytes_);
  }

  void ScalePiece(const RunContext& ctx, int64_t run, const Lanes& lanes, int64_t first,
                  int64_t positions) const {
    const int64_t at = runs_.begin(run) + first * runs_.ld, count = runs_.stored(run);
    const T* src = ctx.in<T>(0) + at;
    T* dst = ctx.out<T>(0) + at;
    if constexpr (std::is_same_v<T, float>) {
      ScaleLanes(src, positions, count, runs_.ld, {lanes.mean, lanes.factor, lanes.bias, negative_}, dst);
      if (!post_ops_.empty()) post_ops_.Apply(ctx, dst, PieceAt(run, first, positions, runs_.ld));
    } else {
      Sum* values = Array<Sum>(ctx, kArrays);
      for (int64_t i = 0; i < positions; ++i) {
        for (int64_t j = 0; j < count; ++j)
          values[i * count + j] =
              (static_cast<Sum>(src[i * runs_.ld + j]) - lanes.mean[j]) * lanes.factor[j] + lanes.bias[j];
      }
      if (!post_ops_.empty()) post_ops_.Apply(ctx, values, PieceAt(run, first, positions, count));
      for (int64_t i = 0; i < positions; ++i) {
        for (int64_t j = 0; j < count; ++j) dst[i * runs_.ld + j] = static_cast<T>(values[i * count + j]);
      }
    }
  }

  PostOpRunner::Piece PieceAt(int64_t run, int64_t first, int64_t positions, int64_t ld) const {
    if (lines_) return post_ops_.Lines(run * runs_.positions + first, positions);
    return post_ops_.Block(run / runs_.blocks, runs_.first_channel(run), runs_.valid(run), first, positions,
                           ld);
  }

  int64_t lane_bytes_ = 0, step_ = 1;
  bool lines_ = false;
  float negative_ = 1;
  PostOpRunner post_ops_;
};

// Inputs 1 to count - 1 have one element for each channel of x; fails otherwise.
void CheckChannels(InferContext& ctx, int count);

}  // namespace sluice
