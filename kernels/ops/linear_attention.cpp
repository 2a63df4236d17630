#include <cmath>

#include "kernels/ops/attention_core.h"
#include "kernels/ops/params.h"
#include "kernels/ops/typed_kernel.h"

// LinearAttention (27): for every head of keys and values a matrix S [key size, value size], which each
// position t changes and each query of its group reads, y = scale * S' q. update_rule says how S changes:
//   linear       S += k v'
//   gated        S *= exp(decay), by key element or as a whole; S += k v'
//   delta        S += k (beta (v - S' e))', where e is k, times erase_gate if there is one
//   gated_delta  decay, then delta
// Inputs q, k, v [batch, length, heads * size], past_state [batch, kv_heads, key size, value size], decay,
// beta, erase_gate. Outputs y and S after the last position.

namespace sluice {
namespace {

struct Rule {
  bool gated = false, delta = false;
};

// Columns of S do not depend on one another: a tile is a piece of the columns of one head's S. Scratch: that
// piece, and a position's inputs.
template <typename Sum>
class LinearAttentionOf : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    ReadHeads(ctx);
    const std::string rule = ctx.attrs().String("update_rule", "gated_delta");
    if (rule != "linear" && rule != "gated" && rule != "delta" && rule != "gated_delta")
      ctx.Fail("update_rule is '" + rule + "', expected 'linear', 'gated', 'delta' or 'gated_delta'");
    rule_ = {rule == "gated" || rule == "gated_delta", rule == "delta" || rule == "gated_delta"};
    const auto check = [&](int i, const char* name, bool wanted, bool optional,
                           const std::vector<int64_t>& sizes) {
      if (!wanted && ctx.has_input(i)) ctx.Fail("update_rule '" + rule + "' takes no " + name);
      if (wanted && !optional && !ctx.has_input(i)) ctx.Fail("update_rule '" + rule + "' needs " + name);
      if (!ctx.has_input(i)) return int64_t{0};
      types_[i] = ctx.dtype(i);
      const Shape& shape = ctx.shape(i);
      bool fits =
          shape.size() == 3 && shape[0] == batch_ && shape[1] == length_ && Contains(FloatTypes(), types_[i]);
      fits = fits && std::find(sizes.begin(), sizes.end(), shape[2]) != sizes.end();
      if (!fits)
        ctx.Fail(std::string(name) + " is " + std::string(DataTypeName(types_[i])) + " " + ToString(shape) +
                 ", expected floats " + ToString(Shape{batch_, length_, sizes[0]}) +
                 (sizes.size() > 1 ? " or " + ToString(Shape{batch_, length_, sizes[1]}) : ""));
      return shape[2];
    };
    decay_size_ = check(4, "decay", rule_.gated, false, {kv_heads_, kv_heads_ * k_size_});
    beta_size_ = check(5, "beta", rule_.delta, false, {kv_heads_, 1});
    check(6, "erase_gate", rule_.delta, true, {kv_heads_ * k_size_});
    const auto scale = static_cast<double>(ctx.attrs().Float("scale", 0));
    scale_ = static_cast<Sum>(scale == 0 ? 1 / std::sqrt(static_cast<double>(k_size_)) : scale);
    ctx.SetScratch((kColumns * (k_size_ + 3) + 4 * k_size_) * static_cast<int64_t>(sizeof(Sum)));
  }
  int64_t tiles() const override { return batch_ * kv_heads_ * pieces(); }
  int64_t flops() const override {
    return 2 * batch_ * length_ * k_size_ * v_size_ * (kv_heads_ * (rule_.delta ? 2 : 1) + q_heads_);
  }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const int64_t head = tile / pieces() % kv_heads_, batch = tile / pieces() / kv_heads_;
    const int64_t first = tile % pieces() * kColumns, columns = std::min(kColumns, v_size_ - first);
    Sum* const state = ctx.scratch<Sum>();
    const int64_t state_at = (batch * kv_heads_ + head) * k_size_ * v_size_ + first;
    if (ctx.in<void>(3) == nullptr)
      std::fill_n(state, k_size_ * kColumns, Sum(0));
    else
      LoadLines(types_[3], ctx.in<void>(3), state_at, k_size_, v_size_, columns, state, kColumns);
    for (int64_t t = 0; t < length_; ++t) Step(ctx, batch * length_ + t, head, first, columns, state);
    if (ctx.out<void>(1) == nullptr) return;
    for (int64_t p = 0; p < k_size_; ++p)
      StoreLine(state_type_, ctx.out<void>(1), state_at + p * v_size_, columns, state + p * kColumns);
  }

 private:
  static constexpr int64_t kColumns = 64;

  int64_t pieces() const { return (v_size_ + kColumns - 1) / kColumns; }

  void ReadHeads(PrepareContext& ctx) {
    q_heads_ = ctx.attrs().Int("q_num_heads", 0);
    kv_heads_ = ctx.attrs().Int("kv_num_heads", 0);
    if (q_heads_ <= 0 || kv_heads_ <= 0 || q_heads_ % kv_heads_ != 0)
      ctx.Fail("q_num_heads is " + std::to_string(q_heads_) +
               ", expected a positive multiple of kv_num_heads " + std::to_string(kv_heads_));
    const Shape& q = ctx.shape(0);
    for (int i = 0; i < 3; ++i) {
      const Shape& shape = ctx.shape(i);
      const int64_t heads = i == 0 ? q_heads_ : kv_heads_;
      types_[i] = ctx.dtype(i);
      if (shape.size() != 3 || shape[0] != q[0] || shape[1] != q[1] || shape[2] % heads != 0)
        ctx.Fail("input " + std::to_string(i) + " is " + ToString(shape) +
                 ", expected [batch, length, heads * size] with " + std::to_string(heads) + " heads");
      if (!Contains(FloatTypes(), types_[i]))
        ctx.Unsupported("input " + std::to_string(i) + " of type " + std::string(DataTypeName(types_[i])));
    }
    batch_ = q[0];
    length_ = q[1];
    k_size_ = q[2] / q_heads_;
    v_size_ = ctx.shape(2)[2] / kv_heads_;
    if (ctx.shape(1)[2] != kv_heads_ * k_size_)
      ctx.Fail("keys are " + ToString(ctx.shape(1)) + ", expected a last size of " +
               std::to_string(kv_heads_ * k_size_));
    state_type_ = types_[3] = ctx.has_input(3) ? ctx.dtype(3) : types_[0];
    const Shape state = {batch_, kv_heads_, k_size_, v_size_};
    if (ctx.has_input(3) && (ctx.shape(3) != state || !Contains(FloatTypes(), state_type_)))
      ctx.Fail("past_state is " + std::string(DataTypeName(state_type_)) + " " + ToString(ctx.shape(3)) +
               ", expected floats " + ToString(state));
  }

  void Load(const RunContext& ctx, int i, int64_t at, int64_t n, Sum* to) const {
    LoadLines(types_[i], ctx.in<void>(i), at, 1, 0, n, to, 0);
  }
  static void StoreLine(DataType type, void* dst, int64_t at, int64_t n, const Sum* line) {
    Dispatch(FloatTypes(), type, [&](auto tag) {
      using T = typename decltype(tag)::type;
      T* const to = static_cast<T*>(dst) + at;
      for (int64_t j = 0; j < n; ++j) to[j] = T(line[j]);
    });
  }

  // Position `row` of all batches' positions.
  void Step(const RunContext& ctx, int64_t row, int64_t head, int64_t first, int64_t columns,
            Sum* state) const {
    Sum *const v = state + k_size_ * kColumns, *const sums = v + kColumns;
    Sum *const k = sums + 2 * kColumns, *const q = k + k_size_, *const decay = q + k_size_,
               *const erased = decay + k_size_;
    Load(ctx, 1, (row * kv_heads_ + head) * k_size_, k_size_, k);
    Load(ctx, 2, (row * kv_heads_ + head) * v_size_ + first, columns, v);
    if (rule_.gated) {
      const bool each = decay_size_ != kv_heads_ || k_size_ == 1;
      const int64_t count = each ? k_size_ : 1;
      Load(ctx, 4, (row * kv_heads_ + head) * count, count, decay);
      for (int64_t p = 0; p < count; ++p) decay[p] = std::exp(decay[p]);
      for (int64_t p = 0; p < k_size_; ++p) Scale(state + p * kColumns, columns, decay[each ? p : 0]);
    }
    if (rule_.delta) {
      std::copy_n(k, k_size_, erased);
      if (ctx.in<void>(6) != nullptr) {
        Load(ctx, 6, (row * kv_heads_ + head) * k_size_, k_size_, q);
        for (int64_t p = 0; p < k_size_; ++p) erased[p] *= q[p];
      }
      Sum beta = 0;
      Load(ctx, 5, row * beta_size_ + (beta_size_ == 1 ? 0 : head), 1, &beta);
      Read(state, erased, columns, sums);
      for (int64_t j = 0; j < columns; ++j) v[j] = beta * (v[j] - sums[j]);
    }
    for (int64_t p = 0; p < k_size_; ++p) {
      Sum* const line = state + p * kColumns;
      for (int64_t j = 0; j < columns; ++j) line[j] += k[p] * v[j];
    }
    const int64_t group = q_heads_ / kv_heads_;
    for (int64_t h = head * group; h < (head + 1) * group; ++h) {
      Load(ctx, 0, (row * q_heads_ + h) * k_size_, k_size_, q);
      Read(state, q, columns, sums);
      Scale(sums, columns, scale_);
      if (ctx.out<void>(0) != nullptr)
        StoreLine(types_[0], ctx.out<void>(0), (row * q_heads_ + h) * v_size_ + first, columns, sums);
    }
  }
  static void Scale(Sum* line, int64_t n, Sum factor) {
    for (int64_t j = 0; j < n; ++j) line[j] *= factor;
  }
  // dst = S' x.
  void Read(const Sum* state, const Sum* x, int64_t columns, Sum* dst) const {
    std::fill_n(dst, columns, Sum(0));
    for (int64_t p = 0; p < k_size_; ++p) {
      const Sum* const line = state + p * kColumns;
      for (int64_t j = 0; j < columns; ++j) dst[j] += x[p] * line[j];
    }
  }

  Rule rule_;
  DataType types_[7] = {}, state_type_ = DataType::kUndefined;
  int64_t batch_ = 0, length_ = 0, q_heads_ = 1, kv_heads_ = 1, k_size_ = 0, v_size_ = 0;
  int64_t decay_size_ = 0, beta_size_ = 0;
  Sum scale_ = 1;
};

void InferLinearAttention(InferContext& ctx) {
  const int64_t q_heads = ctx.attrs().Int("q_num_heads"), kv_heads = ctx.attrs().Int("kv_num_heads");
  if (q_heads <= 0 || kv_heads <= 0)
    ctx.Fail("q_num_heads is " + std::to_string(q_heads) + " and kv_num_heads " + std::to_string(kv_heads) +
             ", expected positive numbers");
  for (int i = 0; i < 3; ++i) {
    if (ctx.rank(i) != 3)
      ctx.Fail("input " + std::to_string(i) + " has rank " + std::to_string(ctx.rank(i)) + ", expected 3");
  }
  const SymShape &q = ctx.shape(0), &v = ctx.shape(2);
  const auto over = [](const Dim& size, int64_t heads) {
    return size.known() ? Dim(size.value() / heads) : Dim();
  };
  const Dim v_size = over(v[2], kv_heads);
  ctx.SetOutput(0, ctx.dtype(0), {q[0], q[1], v_size * Dim(q_heads)});
  ctx.SetOutput(1, ctx.has_input(3) ? ctx.dtype(3) : ctx.dtype(0),
                {q[0], kv_heads, over(q[2], q_heads), v_size});
}

const Operator kLinearAttention = {.name = "LinearAttention",
                                   .versions = {27},
                                   .min_inputs = 3,
                                   .max_inputs = 7,
                                   .max_outputs = 2,
                                   .infer = InferLinearAttention,
                                   .kernels = {&Make<SumKernel<LinearAttentionOf>>},
                                   .types = "float, double, float16, bfloat16"};
const RegisterOperator kRegister(kLinearAttention);

}  // namespace
}  // namespace sluice
