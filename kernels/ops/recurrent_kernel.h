#pragma once

#include "kernels/kernel.h"
#include "kernels/matmul/panel_product.h"
#include "kernels/ops/recurrent_cell.h"
#include "kernels/pack_cache.h"
#include "sluice/error.h"

namespace sluice {

inline int64_t RecurrentDirections(const Attributes& attrs) {
  const std::string direction = attrs.String("direction", "forward");
  if (direction == "bidirectional") return 2;
  // Version 1 of GRU and LSTM misspells its default.
  if (direction != "forward" && direction != "foward" && direction != "reverse") {
    throw Error(ErrorCode::kInvalidModel,
                "direction is '" + direction + "', expected forward, reverse or bidirectional");
  }
  return 1;
}

// A tile is one direction of some sequences of the batch, through all of time.
template <RecurrentCell kCell, typename T>
class RecurrentKernel : public Kernel {
  using Sum = ProductSum<T>;
  static constexpr int64_t kGates = GatesOf(kCell);
  // Rows of x that are multiplied at once: enough to use w well, few enough for their gates to stay in cache.
  static constexpr int64_t kRows = 96;
  static constexpr int64_t kMinTileRows = 4, kMaxTiles = 64;
  static constexpr int64_t kMaxEmptySteps = 1 << 20;

 public:
  void Prepare(PrepareContext& ctx) override {
    const Attributes& attrs = ctx.attrs();
    batch_first_ = attrs.Int("layout", 0) != 0;
    dirs_ = RecurrentDirections(attrs);
    reverse_ = attrs.String("direction", "forward") == "reverse";
    seq_ = ctx.shape(0)[batch_first_ ? 1 : 0];
    batch_ = ctx.shape(0)[batch_first_ ? 0 : 1];
    in_ = ctx.shape(0)[2];
    hidden_ = ctx.shape(2)[2];
    step_.hidden = hidden_;
    if (attrs.Has("clip")) step_.clip = std::abs(static_cast<Sum>(attrs.Float("clip")));
    step_.linear_before_reset = attrs.Int("linear_before_reset", 0) != 0;
    step_.input_forget = attrs.Int("input_forget", 0) != 0;
    std::vector<std::string> defaults = {"Tanh"};
    if (kCell == RecurrentCell::kGru) defaults = {"Sigmoid", "Tanh"};
    if (kCell == RecurrentCell::kLstm) defaults = {"Sigmoid", "Tanh", "Tanh"};
    functions_ = ReadGateFunctions(attrs, static_cast<size_t>(dirs_), std::move(defaults));
    place_ = Describe(ctx.node());
    // Steps that no element stands for could be any number.
    if (in_ == 0 && seq_ > kMaxEmptySteps)
      ctx.Unsupported("has sequences of " + std::to_string(seq_) + " empty steps");

    pieces_ = PiecesOf(batch_, kMinTileRows, kMaxTiles / dirs_);
    rows_ = (batch_ + pieces_ - 1) / pieces_;
    steps_ = std::clamp<int64_t>(kRows / std::max<int64_t>(1, rows_), 1, std::max<int64_t>(1, seq_));
    const int64_t gates = kGates * hidden_;
    w_parts_ = {{0, gates}};
    r_parts_ = {{0, gates}};
    // The hidden gate's product waits for the reset gate.
    if (kCell == RecurrentCell::kGru) r_parts_ = {{0, 2 * hidden_}, {2 * hidden_, gates}};
    w_ = Pack(ctx, 1, in_, w_parts_);
    r_ = Pack(ctx, 2, hidden_, r_parts_);

    Work work;
    Lay(work, nullptr);
    ctx.SetScratch(work.elems * static_cast<int64_t>(sizeof(Sum)));
  }

  int64_t tiles() const override { return dirs_ * pieces_; }
  int64_t flops() const override {
    const double steps = static_cast<double>(dirs_) * static_cast<double>(seq_) * static_cast<double>(batch_);
    const double sums = static_cast<double>(kGates * hidden_) * static_cast<double>(in_ + hidden_);
    return static_cast<int64_t>(std::min(2 * steps * sums, 4e18));
  }

  void Run(const RunContext& ctx, int64_t tile) const override {
    const int64_t dir = tile / pieces_;
    const Range rows = PieceOf(batch_, pieces_, tile % pieces_);
    if (rows.begin == rows.end || hidden_ == 0) return;
    Work s;
    Lay(s, ctx.scratch<Sum>());
    const Sum* w = Weights(ctx, 1, w_, in_, w_parts_, dir, s.w);
    const Sum* r = Weights(ctx, 2, r_, hidden_, r_parts_, dir, s.r);
    CellStep<Sum> cell = step_;
    cell.functions = &functions_[functions_.size() / static_cast<size_t>(dirs_) * static_cast<size_t>(dir)];
    LoadBias(ctx, dir, s.bias);
    cell.bias = s.bias;
    if (const T* p = ctx.in<T>(7)) {
      for (int64_t j = 0; j < 3 * hidden_; ++j) s.peepholes[j] = static_cast<Sum>(p[dir * 3 * hidden_ + j]);
      cell.peepholes = s.peepholes;
    }
    Clear(ctx, dir, rows);
    LoadState(ctx, 5, dir, rows, s.h);
    if (kCell == RecurrentCell::kLstm) LoadState(ctx, 6, dir, rows, s.c);
    const int64_t count = rows.end - rows.begin, gates = kGates * hidden_;
    const bool reverse = reverse_ || dir == 1;
    for (int64_t first = 0; first < seq_; first += steps_) {
      const int64_t last = std::min(first + steps_, seq_);
      LoadX(ctx, rows, first, last, reverse, s.x);
      MultiplyPanels(PanelProblem<Sum>{(last - first) * count, gates, in_, s.x, in_, 1, w,
                                       in_ * kPanelWidth<Sum>, s.gates, gates, false});
      for (int64_t step = first; step < last; ++step) {
        Sum* const now = s.gates + (step - first) * count * gates;
        AddRecurrent(r, count, now, cell, s);
        for (int64_t i = 0; i < count; ++i) {
          const int64_t time = TimeOf(ctx, rows.begin + i, step, reverse);
          if (time < 0) continue;
          Sum* const h = s.h + i * hidden_;
          if constexpr (kCell == RecurrentCell::kRnn) cell.Rnn(now + i * gates, h);
          if constexpr (kCell == RecurrentCell::kGru) cell.Gru(now + i * gates, s.rest + i * hidden_, h);
          if constexpr (kCell == RecurrentCell::kLstm)
            cell.Lstm(now + i * gates, h, s.c + i * hidden_, s.rest);
          if (T* y = ctx.out<T>(0)) Store(h, y + YOffset(time, dir, rows.begin + i));
        }
      }
    }
    for (int64_t i = 0; i < count; ++i) {
      const int64_t at = StateOffset(dir, rows.begin + i);
      if (T* y_h = ctx.out<T>(1)) Store(s.h + i * hidden_, y_h + at);
      if (T* y_c = ctx.out<T>(2)) Store(s.c + i * hidden_, y_c + at);
    }
  }

 private:
  // Parts of a tile's scratch.
  struct Work {
    Sum *x, *gates, *h, *c, *bias, *peepholes, *rest, *w, *r;
    int64_t elems = 0;
  };

  void Lay(Work& s, Sum* base) const {
    const auto take = [&](int64_t elems) {
      Sum* part = base == nullptr ? nullptr : base + s.elems;
      s.elems += (elems + kPanelWidth<Sum> - 1) / kPanelWidth<Sum> * kPanelWidth<Sum>;
      return part;
    };
    const int64_t gates = kGates * hidden_;
    s.x = take(steps_ * rows_ * in_);
    s.gates = take(steps_ * rows_ * gates);
    s.h = take(rows_ * hidden_);
    s.c = take(kCell == RecurrentCell::kLstm ? rows_ * hidden_ : 0);
    // The hidden gate's recurrent bias of GRU is apart.
    s.bias = take(gates + hidden_);
    s.peepholes = take(kCell == RecurrentCell::kLstm ? 3 * hidden_ : 0);
    s.rest = take(rows_ * hidden_);
    s.w = take(w_ ? 0 : PackedElems(in_, w_parts_));
    s.r = take(r_ ? 0 : PackedElems(hidden_, r_parts_));
  }

  static int64_t PackedElems(int64_t k, const std::vector<Range>& parts) {
    int64_t columns = 0;
    for (const Range& part : parts) {
      columns += (part.end - part.begin + kPanelWidth<Sum> - 1) / kPanelWidth<Sum> * kPanelWidth<Sum>;
    }
    return columns * k;
  }

  // Panels of the transposed [gates * hidden, k] weights of one direction, each part apart.
  static void PackDirection(const T* weights, int64_t k, const std::vector<Range>& parts, Sum* to) {
    for (const Range& part : parts) {
      PackPanels(
          Offsets({{k, 1}}), Offsets({{part.end, k}}), {0, k}, part,
          [weights](int64_t offset, int64_t) { return static_cast<Sum>(weights[offset]); }, to);
      to += PackedElems(k, {part});
    }
  }

  PackedWeights Pack(const PrepareContext& ctx, int input, int64_t k, const std::vector<Range>& parts) const {
    const Tensor* weights = ctx.constant(input);
    const int64_t elems = PackedElems(k, parts);
    if (weights == nullptr || elems == 0) return nullptr;
    std::string format = "recurrent " + std::string(DataTypeName(ctx.dtype(0)));
    for (int64_t number : {dirs_, k, parts.back().end, static_cast<int64_t>(parts.size())}) {
      format += ' ' + std::to_string(number);
    }
    return PackShared(*weights, format, dirs_ * elems * static_cast<int64_t>(sizeof(Sum)),
                      [&](std::byte* to) {
                        for (int64_t dir = 0; dir < dirs_; ++dir) {
                          PackDirection(static_cast<const T*>(weights->data()) + dir * kGates * hidden_ * k,
                                        k, parts, reinterpret_cast<Sum*>(to) + dir * elems);
                        }
                      });
  }

  const Sum* Weights(const RunContext& ctx, int input, const PackedWeights& packed, int64_t k,
                     const std::vector<Range>& parts, int64_t dir, Sum* scratch) const {
    if (packed) return static_cast<const Sum*>(packed->data()) + dir * PackedElems(k, parts);
    PackDirection(ctx.in<T>(input) + dir * kGates * hidden_ * k, k, parts, scratch);
    return scratch;
  }

  int64_t StateOffset(int64_t dir, int64_t row) const {
    return (batch_first_ ? row * dirs_ + dir : dir * batch_ + row) * hidden_;
  }
  int64_t YOffset(int64_t time, int64_t dir, int64_t row) const {
    return (batch_first_ ? (row * seq_ + time) * dirs_ + dir : (time * dirs_ + dir) * batch_ + row) * hidden_;
  }

  // The position of x that `step` reads, -1 after a sequence's end.
  int64_t TimeOf(const RunContext& ctx, int64_t row, int64_t step, bool reverse) const {
    int64_t length = seq_;
    if (const int32_t* lengths = ctx.in<int32_t>(4)) {
      length = lengths[row];
      if (length < 0 || length > seq_) {
        throw Error(ErrorCode::kInvalidArgument, place_ + ": sequence_lens has " + std::to_string(length) +
                                                     ", expected 0 to " + std::to_string(seq_));
      }
    }
    return step >= length ? -1 : reverse ? length - 1 - step : step;
  }

  void Store(const Sum* from, T* to) const {
    for (int64_t j = 0; j < hidden_; ++j) to[j] = static_cast<T>(from[j]);
  }

  // w's and r's biases are added up, but for that part of GRU's that the reset gate scales.
  void LoadBias(const RunContext& ctx, int64_t dir, Sum* to) const {
    const int64_t gates = kGates * hidden_;
    std::fill(to, to + gates + hidden_, Sum(0));
    const T* b = ctx.in<T>(3);
    if (b == nullptr) return;
    b += dir * 2 * gates;
    for (int64_t j = 0; j < gates; ++j) {
      const bool apart = kCell == RecurrentCell::kGru && step_.linear_before_reset && j >= 2 * hidden_;
      to[j] = static_cast<Sum>(b[j]);
      to[apart ? j + hidden_ : j] += static_cast<Sum>(b[gates + j]);
    }
  }

  void LoadState(const RunContext& ctx, int input, int64_t dir, Range rows, Sum* to) const {
    const T* state = ctx.in<T>(input);
    for (int64_t row = rows.begin; row < rows.end; ++row, to += hidden_) {
      for (int64_t j = 0; j < hidden_; ++j) {
        to[j] = state == nullptr ? Sum(0) : static_cast<Sum>(state[StateOffset(dir, row) + j]);
      }
    }
  }

  // y is zero beyond the end of a sequence.
  void Clear(const RunContext& ctx, int64_t dir, Range rows) const {
    T* y = ctx.out<T>(0);
    if (y == nullptr || ctx.in<int32_t>(4) == nullptr) return;
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      for (int64_t time = 0; time < seq_; ++time) {
        std::fill_n(y + YOffset(time, dir, row), hidden_, static_cast<T>(0.0f));
      }
    }
  }

  // [steps, rows, in], zeros where a sequence has ended.
  void LoadX(const RunContext& ctx, Range rows, int64_t first, int64_t last, bool reverse, Sum* to) const {
    for (int64_t step = first; step < last; ++step) {
      for (int64_t row = rows.begin; row < rows.end; ++row, to += in_) {
        const int64_t time = TimeOf(ctx, row, step, reverse);
        const T* from = ctx.in<T>(0) + (batch_first_ ? row * seq_ + time : time * batch_ + row) * in_;
        for (int64_t j = 0; j < in_; ++j) to[j] = time < 0 ? Sum(0) : static_cast<Sum>(from[j]);
      }
    }
  }

  // Adds h * r to the gates, and activates GRU's reset gate. The product for GRU's hidden gate goes to rest
  // where the reset gate scales it.
  void AddRecurrent(const Sum* r, int64_t count, Sum* gates, const CellStep<Sum>& cell, const Work& s) const {
    const int64_t panel = hidden_ * kPanelWidth<Sum>, width = kGates * hidden_;
    MultiplyPanels(
        PanelProblem<Sum>{count, r_parts_[0].end, hidden_, s.h, hidden_, 1, r, panel, gates, width, true});
    if constexpr (kCell == RecurrentCell::kGru) {
      for (int64_t i = 0; i < count; ++i) {
        cell.GruReset(gates + i * width, s.h + i * hidden_, s.rest + i * hidden_);
      }
      r += PackedElems(hidden_, {r_parts_[0]});
      if (cell.linear_before_reset) {
        MultiplyPanels(
            PanelProblem<Sum>{count, hidden_, hidden_, s.h, hidden_, 1, r, panel, s.rest, hidden_, false});
      } else {
        MultiplyPanels(PanelProblem<Sum>{count, hidden_, hidden_, s.rest, hidden_, 1, r, panel,
                                         gates + 2 * hidden_, width, true});
      }
    }
  }

  bool batch_first_ = false, reverse_ = false;
  int64_t dirs_ = 1, seq_ = 0, batch_ = 0, in_ = 0, hidden_ = 0;
  int64_t pieces_ = 1, rows_ = 0, steps_ = 1;  // of the batch; the most rows in one; steps multiplied at once
  CellStep<Sum> step_;                         // without its pointers
  std::vector<GateFunction> functions_;        // of both directions
  std::vector<Range> w_parts_, r_parts_;       // gates that are multiplied together
  PackedWeights w_, r_;                        // null: packed in Run
  std::string place_;
};

}  // namespace sluice
