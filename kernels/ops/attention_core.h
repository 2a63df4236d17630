#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "kernels/dispatch.h"
#include "kernels/ops/attention_spec.h"
#include "kernels/parallel.h"
#include "kernels/simd/gemm.h"
#include "kernels/simd/normalize.h"

namespace sluice {

// `lines` lines of `n` elements, `stride` apart, as Sum.
template <typename Sum>
void LoadLines(DataType type, const void* src, int64_t at, int64_t lines, int64_t stride, int64_t n, Sum* dst,
               int64_t dst_stride) {
  Dispatch(FloatTypes(), type, [&](auto tag) {
    const auto* from = static_cast<const typename decltype(tag)::type*>(src) + at;
    for (int64_t i = 0; i < lines; ++i)
      for (int64_t j = 0; j < n; ++j) dst[i * dst_stride + j] = static_cast<Sum>(from[i * stride + j]);
  });
}

// Attention in the type of the sums, one tile at a time: queries that share a head of k and v. Scores exist
// for a block of keys only, transposed ([key][query], so that k is read where it lies and what is done to the
// queries is done to lanes); the softmax is corrected as larger scores appear.
template <typename Sum>
class AttentionCore {
 public:
  explicit AttentionCore(const AttentionSpec& spec, bool shows_qk) : s_(spec), shows_qk_(shows_qk) {
    const int64_t heads = s_.batch * s_.kv_heads, rows = s_.group_rows();
    if (heads == 0 || rows == 0) return;
    // Many rows amortise reading k and v; at least 16 tiles feed the threads.
    rows_ = kMaxRows;
    while (rows_ > kWidth && heads * ((rows + rows_ - 1) / rows_) < 16) rows_ /= 2;
    pieces_ = (rows + rows_ - 1) / rows_;
  }

  int64_t tiles() const { return s_.batch * s_.kv_heads * pieces_; }
  int64_t scratch_bytes() const {
    const int64_t sums =
        rows_ * (s_.qk_size + s_.v_size + kKeys + 4) + kKeys * (s_.qk_size + VPanels() * kWidth);
    return sums * static_cast<int64_t>(sizeof(Sum)) + rows_ * 2 * static_cast<int64_t>(sizeof(int64_t));
  }
  int64_t flops() const {
    return 2 * s_.batch * s_.q_heads * s_.q_length * s_.keys() * (s_.qk_size + s_.v_size);
  }

  void Run(const RunContext& ctx, int64_t tile) const {
    Tile t = Begin(ctx, tile);
    const bool all_keys = shows_qk_ && s_.qk_output != AttentionSpec::kSoftmax;
    const Keys seen = all_keys ? Keys{0, s_.keys()} : t.seen;
    std::fill_n(t.acc, t.rows * s_.v_size, Sum(0));
    std::fill_n(t.max, rows_, -std::numeric_limits<Sum>::infinity());
    std::fill_n(t.sum, rows_, Sum(0));
    ForEachBlock(seen, [&](const Block& block) {
      Score(ctx, t, block, all_keys);
      Accumulate(ctx, t, block);
    });
    Store(ctx, t);
    if (!shows_qk_ || all_keys) return;
    // The softmax is known only now: the scores are computed again.
    ForEachBlock(Keys{0, s_.keys()}, [&](const Block& block) {
      Score(ctx, t, block, false);
      for (int64_t r = 0; r < t.rows; ++r) t.shift[r] = Finite(t.max[r]);
      Exp(t, block.count);
      for (int64_t j = 0; j < block.count; ++j)
        for (int64_t r = 0; r < t.rows; ++r)
          t.scores[j * rows_ + r] = t.sum[r] == 0 ? Sum(0) : t.scores[j * rows_ + r] / t.sum[r];
      Show(ctx, t, block);
    });
  }

 private:
  static constexpr int64_t kWidth = kPanelWidth<Sum>;
  static constexpr int64_t kMaxRows = 128, kKeys = 128;

  struct Keys {
    int64_t begin, end;
  };
  // Keys that lie together, in the past or not.
  struct Block {
    bool past;
    int64_t key, count;
  };
  struct Tile {
    int64_t batch, head, first, rows;  // head of k and v; queries [first, first + rows) of the group
    Keys seen;                         // keys that any of the queries sees
    bool same;                         // and all see them all
    Sum *q, *acc, *scores, *k, *v;
    Sum *max, *sum, *shift, *factor;  // of each query
    int64_t *low, *high;              // the keys that each query sees
  };

  int64_t VPanels() const { return (s_.v_size + kWidth - 1) / kWidth; }
  static Sum Finite(Sum max) { return max == -std::numeric_limits<Sum>::infinity() ? Sum(0) : max; }
  int64_t HeadOf(const Tile& t, int64_t r) const {
    return t.head * (s_.q_heads / s_.kv_heads) + (t.first + r) / s_.q_length;
  }
  int64_t QueryOf(const Tile& t, int64_t r) const { return (t.first + r) % s_.q_length; }
  static int64_t At(const AttentionSpec::Rows& rows, int64_t batch, int64_t head, int64_t row) {
    return batch * rows.batch + head * rows.head + row * rows.row;
  }

  Tile Begin(const RunContext& ctx, int64_t tile) const {
    Tile t;
    t.batch = tile / pieces_ / s_.kv_heads;
    t.head = tile / pieces_ % s_.kv_heads;
    t.first = tile % pieces_ * rows_;
    t.rows = std::min(rows_, s_.group_rows() - t.first);
    t.low = ctx.scratch<int64_t>();
    t.high = t.low + rows_;
    Sum* free = reinterpret_cast<Sum*>(t.high + rows_);
    const auto take = [&](int64_t n) { return std::exchange(free, free + n); };
    t.scores = take(rows_ * kKeys);
    t.q = take(rows_ * s_.qk_size);
    t.v = take(VPanels() * kWidth * kKeys);
    t.k = take(kKeys * s_.qk_size);
    for (Sum** row : {&t.max, &t.sum, &t.shift, &t.factor}) *row = take(rows_);
    t.acc = take(rows_ * s_.v_size);

    // Queries as panels, scaled; lanes beyond them are zero.
    std::fill_n(t.q, rows_ * s_.qk_size, Sum(0));
    for (int64_t r = 0; r < t.rows; ++r) {
      Sum* const to = t.q + r / kWidth * kWidth * s_.qk_size + r % kWidth;
      LoadLines(s_.q.type, ctx.in<void>(0), At(s_.q, t.batch, HeadOf(t, r), QueryOf(t, r)), s_.qk_size, 1, 1,
                to, kWidth);
      for (int64_t p = 0; p < s_.qk_size; ++p) to[p * kWidth] *= Sum(s_.scale);
    }
    SetRanges(ctx, t);
    return t;
  }

  // The keys [low, high) that each query sees by its position.
  void SetRanges(const RunContext& ctx, Tile& t) const {
    // Far beyond any number of keys, so that sums of positions stay in range.
    constexpr int64_t kFar = int64_t{1} << 40;
    const int64_t nonpad = s_.nonpad ? std::clamp(ctx.in<int64_t>(6)[t.batch], -kFar, kFar) : s_.keys();
    const int64_t valid = std::clamp<int64_t>(nonpad, 0, s_.keys());
    const int64_t offset = s_.has_past() || !s_.nonpad ? s_.past_length : nonpad - s_.q_length;
    t.seen = {s_.keys(), 0};
    t.same = true;
    for (int64_t r = 0; r < t.rows; ++r) {
      const int64_t position = QueryOf(t, r) + offset;
      Keys keys{0, valid};
      if (s_.causal || s_.window > 0) keys.end = std::clamp<int64_t>(position + 1, 0, valid);
      if (s_.window > 0) keys.begin = std::clamp<int64_t>(position + 1 - s_.window, 0, keys.end);
      t.low[r] = keys.begin;
      t.high[r] = keys.end;
      t.seen = {std::min(t.seen.begin, keys.begin), std::max(t.seen.end, keys.end)};
      t.same = t.same && keys.begin == 0 && keys.end == s_.keys();
    }
  }

  template <typename Fn>
  void ForEachBlock(Keys keys, const Fn& fn) const {
    for (int64_t key = keys.begin; key < keys.end;) {
      const bool past = key < s_.past_length;
      const int64_t end = std::min({keys.end, key + kKeys, past ? s_.past_length : keys.end});
      fn(Block{past, key, end - key});
      key = end;
    }
  }

  // Scores of a block: scaled products, capped, masked. `show`: as the node's fourth output wants them.
  void Score(const RunContext& ctx, const Tile& t, const Block& block, bool show) const {
    const AttentionSpec::Rows& rows = block.past ? s_.past_k : s_.k;
    const void* const k = ctx.in<void>(block.past ? 4 : 1);
    const int64_t at = At(rows, t.batch, t.head, block.key - (block.past ? 0 : s_.past_length));
    PanelProblem<Sum> problem{block.count,         rows_,    s_.qk_size, t.k,  s_.qk_size, 1, t.q,
                              kWidth * s_.qk_size, t.scores, rows_,      false};
    if (rows.type == kDataType<Sum>) {
      problem.a = static_cast<const Sum*>(k) + at;
      problem.a_row = rows.row;
    } else {
      LoadLines(rows.type, k, at, block.count, rows.row, s_.qk_size, t.k, s_.qk_size);
    }
    MultiplyPanels(problem);
    if (show && s_.qk_output == AttentionSpec::kScaled) Show(ctx, t, block);
    if (s_.softcap > 0) {
      const Sum cap = static_cast<Sum>(s_.softcap);
      for (int64_t i = 0; i < block.count * rows_; ++i) t.scores[i] = cap * std::tanh(t.scores[i] / cap);
    }
    if (show && s_.qk_output == AttentionSpec::kCapped) Show(ctx, t, block);
    AddMask(ctx, t, block);
    if (!t.same) KeepRanges(t, block);
    if (show && s_.qk_output == AttentionSpec::kMasked) Show(ctx, t, block);
  }

  // Masks the keys that a query does not see by its position.
  void KeepRanges(const Tile& t, const Block& block) const {
    // In positions of the block, which Sum holds exactly.
    Sum *const low = t.shift, *const high = t.factor;
    for (int64_t r = 0; r < t.rows; ++r) {
      low[r] = static_cast<Sum>(std::clamp<int64_t>(t.low[r] - block.key, 0, block.count));
      high[r] = static_cast<Sum>(std::clamp<int64_t>(t.high[r] - block.key, 0, block.count));
    }
    for (int64_t j = 0; j < block.count; ++j) {
      const Sum key = static_cast<Sum>(j);
      Sum* const line = t.scores + j * rows_;
      for (int64_t r = 0; r < t.rows; ++r)
        line[r] = key >= low[r] && key < high[r] ? line[r] : -std::numeric_limits<Sum>::infinity();
    }
  }

  void AddMask(const RunContext& ctx, const Tile& t, const Block& block) const {
    const AttentionSpec::Mask& mask = s_.mask;
    if (mask.type == DataType::kUndefined) return;
    constexpr Sum kMasked = -std::numeric_limits<Sum>::infinity();
    const int64_t given = std::clamp<int64_t>(mask.keys - block.key, 0, block.count);
    std::fill(t.scores + given * rows_, t.scores + block.count * rows_, kMasked);
    const auto add = [&](const auto* from, const auto& addend) {
      from += t.batch * mask.batch + block.key * mask.key;
      if (mask.head == 0 && mask.row == 0) {
        for (int64_t j = 0; j < given; ++j) {
          const Sum value = addend(from[j * mask.key]);
          for (int64_t r = 0; r < t.rows; ++r) t.scores[j * rows_ + r] += value;
        }
        return;
      }
      // The lines of a few keys stay in the nearest cache while the queries' rows of the mask are read.
      constexpr int64_t kLines = 16;
      for (int64_t first = 0; first < given; first += kLines) {
        const int64_t last = std::min(given, first + kLines);
        int64_t head = HeadOf(t, 0), query = QueryOf(t, 0);
        for (int64_t r = 0; r < t.rows; ++r) {
          const auto* row = from + head * mask.head + query * mask.row;
          for (int64_t j = first; j < last; ++j) t.scores[j * rows_ + r] += addend(row[j * mask.key]);
          if (++query < s_.q_length) continue;
          query = 0;
          ++head;
        }
      }
    };
    if (mask.type == DataType::kBool) {
      add(ctx.in<bool>(3), [](bool keep) { return keep ? Sum(0) : kMasked; });
    } else {
      Dispatch(FloatTypes(), mask.type, [&](auto tag) {
        using T = typename decltype(tag)::type;
        add(ctx.in<T>(3), [](T value) { return static_cast<Sum>(value); });
      });
    }
  }

  void Exp(const Tile& t, int64_t keys) const {
    if constexpr (std::is_same_v<Sum, float>) {
      ExpLanes(t.scores, keys, t.rows, rows_, t.shift, t.scores);
    } else {
      for (int64_t j = 0; j < keys; ++j)
        for (int64_t r = 0; r < t.rows; ++r)
          t.scores[j * rows_ + r] = std::exp(t.scores[j * rows_ + r] - t.shift[r]);
    }
  }

  // acc = acc * factor + exp(scores - max) v, and the same for the sums of exp.
  void Accumulate(const RunContext& ctx, const Tile& t, const Block& block) const {
    for (int64_t r = 0; r < t.rows; ++r) t.factor[r] = t.max[r];
    for (int64_t j = 0; j < block.count; ++j) {
      const Sum* const line = t.scores + j * rows_;
      for (int64_t r = 0; r < t.rows; ++r) t.max[r] = line[r] > t.max[r] ? line[r] : t.max[r];
    }
    for (int64_t r = 0; r < t.rows; ++r) {
      t.shift[r] = Finite(t.max[r]);
      t.factor[r] = std::exp(t.factor[r] - t.shift[r]);
      t.sum[r] *= t.factor[r];
    }
    Exp(t, block.count);
    for (int64_t j = 0; j < block.count; ++j) {
      const Sum* const line = t.scores + j * rows_;
      for (int64_t r = 0; r < t.rows; ++r) t.sum[r] += line[r];
    }
    for (int64_t r = 0; r < t.rows; ++r) {
      if (t.factor[r] == 1) continue;
      for (int64_t p = 0; p < s_.v_size; ++p) t.acc[r * s_.v_size + p] *= t.factor[r];
    }
    const AttentionSpec::Rows& rows = block.past ? s_.past_v : s_.v;
    const void* const v = ctx.in<void>(block.past ? 5 : 2);
    const int64_t at = At(rows, t.batch, t.head, block.key - (block.past ? 0 : s_.past_length));
    for (int64_t panel = 0; panel < VPanels(); ++panel) {
      const int64_t n = std::min(kWidth, s_.v_size - panel * kWidth);
      Sum* const to = t.v + panel * block.count * kWidth;
      if (n < kWidth) std::fill_n(to, block.count * kWidth, Sum(0));
      LoadLines(rows.type, v, at + panel * kWidth, block.count, rows.row, n, to, kWidth);
    }
    MultiplyPanels(PanelProblem<Sum>{t.rows, s_.v_size, block.count, t.scores, 1, rows_, t.v,
                                     block.count * kWidth, t.acc, s_.v_size, true});
  }

  // A query that sees no key gives zeros.
  void Store(const RunContext& ctx, const Tile& t) const {
    if (ctx.out<void>(0) == nullptr) return;
    Dispatch(FloatTypes(), s_.y.type, [&](auto tag) {
      using T = typename decltype(tag)::type;
      for (int64_t r = 0; r < t.rows; ++r) {
        T* const to = ctx.out<T>(0) + At(s_.y, t.batch, HeadOf(t, r), QueryOf(t, r));
        const Sum factor = t.sum[r] == 0 ? Sum(0) : Sum(1) / t.sum[r];
        for (int64_t p = 0; p < s_.v_size; ++p) to[p] = T(t.acc[r * s_.v_size + p] * factor);
      }
    });
  }

  // The scores of a block as the node's fourth output.
  void Show(const RunContext& ctx, const Tile& t, const Block& block) const {
    if (ctx.out<void>(3) == nullptr) return;
    Dispatch(FloatTypes(), s_.q.type, [&](auto tag) {
      using T = typename decltype(tag)::type;
      for (int64_t r = 0; r < t.rows; ++r) {
        const int64_t row = (t.batch * s_.q_heads + HeadOf(t, r)) * s_.q_length + QueryOf(t, r);
        T* const to = ctx.out<T>(3) + row * s_.keys() + block.key;
        for (int64_t j = 0; j < block.count; ++j) to[j] = T(t.scores[j * rows_ + r]);
      }
    });
  }

  AttentionSpec s_;
  bool shows_qk_ = false;
  int64_t rows_ = 0, pieces_ = 0;
};

}  // namespace sluice
