#include "kernels/ops/attention_core.h"
#include "kernels/ops/params.h"
#include "kernels/ops/typed_kernel.h"
#include "sluice/error.h"

// FlexAttention (ai.onnx.preview 1): y = prob_mod(softmax(mask_mod(score_mod(scale q k')))) v for q, k, v of
// [batch, heads, length, size], with fewer heads of k and v than of q where each serves a group. The mods are
// nested graphs from a whole tensor [batch, heads, query, key] to another one; absent ones change nothing.

namespace sluice {
namespace {

constexpr const char* kMods[] = {"score_mod", "mask_mod", "prob_mod"};

void InferFlexAttention(InferContext& ctx) {
  for (int i = 0; i < 3; ++i) {
    if (ctx.rank(i) != 4)
      ctx.Fail("input " + std::to_string(i) + " has rank " + std::to_string(ctx.rank(i)) + ", expected 4");
  }
  const SymShape& q = ctx.shape(0);
  ctx.SetOutput(0, ctx.dtype(2), {q[0], q[1], q[2], ctx.shape(2)[3]});
}

// Without mods: as Attention.
template <typename Sum>
class PlainFlexAttention : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    for (const char* mod : kMods) {
      if (ctx.attrs().Has(mod)) ctx.Decline(std::string("it has a ") + mod);
    }
    AttentionSpec spec = ReadAttention(ctx);
    spec.y.type = ctx.dtype(2);
    core_ = std::make_unique<AttentionCore<Sum>>(spec, false);
    ctx.SetScratch(core_->scratch_bytes());
  }
  int64_t tiles() const override { return core_->tiles(); }
  int64_t flops() const override { return core_->flops(); }
  void Run(const RunContext& ctx, int64_t tile) const override { core_->Run(ctx, tile); }

 private:
  std::unique_ptr<AttentionCore<Sum>> core_;
};

// One tile, which spreads the heads itself: the mods want all scores.
template <typename Sum>
class ModFlexAttention : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    place_ = Describe(ctx.node());
    spec_ = ReadAttention(ctx);
    spec_.y.type = ctx.dtype(2);
    scores_shape_ = {spec_.batch, spec_.q_heads, spec_.q_length, spec_.kv_length};
    CheckMemory(ByteSize(spec_.q.type, NumElements(scores_shape_)));
    for (size_t i = 0; i < 3; ++i) {
      if (!ctx.attrs().Has(kMods[i])) continue;
      const Graph& graph = *ctx.attrs().Subgraph(kMods[i]);
      const auto captures = static_cast<size_t>(ctx.node().captures);
      if (graph.inputs.size() != 1 + captures || graph.outputs.size() != 1)
        ctx.Fail(std::string(kMods[i]) + " has " + std::to_string(graph.inputs.size() - captures) +
                 " inputs and " + std::to_string(graph.outputs.size()) + " outputs, expected one each");
      mods_[i] = ctx.Subgraph(kMods[i]);
    }
    first_capture_ = static_cast<int>(ctx.node().inputs.size()) - ctx.node().captures;
    captures_ = ctx.node().captures;
  }
  int64_t flops() const override { return 2 * NumElements(scores_shape_) * (spec_.qk_size + spec_.v_size); }
  void Run(const RunContext& ctx, int64_t) const override {
    Tensor scores(spec_.q.type, scores_shape_);
    const int64_t heads = spec_.batch * spec_.q_heads;
    ForEachTile(heads, [&](int64_t head) { Score(ctx, head, scores); });
    for (size_t i : {0, 1}) scores = Modified(ctx, i, std::move(scores));
    ForEachTile(heads, [&](int64_t head) { Softmax(head, scores); });
    scores = Modified(ctx, 2, std::move(scores));
    ForEachTile(heads, [&](int64_t head) { Combine(ctx, head, scores); });
  }

 private:
  using Lines = std::vector<Sum>;

  int64_t Elems() const { return spec_.q_length * spec_.kv_length; }
  Lines Load(const Tensor& scores, int64_t head) const {
    Lines lines(static_cast<size_t>(Elems()));
    LoadLines(spec_.q.type, scores.data(), head * Elems(), 1, 0, Elems(), lines.data(), 0);
    return lines;
  }
  static void StoreAt(DataType type, void* dst, int64_t at, const Sum* from, int64_t n) {
    Dispatch(FloatTypes(), type, [&](auto tag) {
      using T = typename decltype(tag)::type;
      T* const to = static_cast<T*>(dst) + at;
      for (int64_t i = 0; i < n; ++i) to[i] = T(from[i]);
    });
  }
  Lines Rows(const RunContext& ctx, int input, const AttentionSpec::Rows& rows, int64_t head, int64_t length,
             int64_t size) const {
    const int64_t batch = head / spec_.q_heads, h = head % spec_.q_heads;
    const int64_t own = input == 0 ? h : h / (spec_.q_heads / spec_.kv_heads);
    Lines lines(static_cast<size_t>(length * size));
    LoadLines(rows.type, ctx.in<void>(input), batch * rows.batch + own * rows.head, length, rows.row, size,
              lines.data(), size);
    return lines;
  }

  void Score(const RunContext& ctx, int64_t head, Tensor& scores) const {
    const Lines q = Rows(ctx, 0, spec_.q, head, spec_.q_length, spec_.qk_size);
    const Lines k = Rows(ctx, 1, spec_.k, head, spec_.kv_length, spec_.qk_size);
    Lines line(static_cast<size_t>(spec_.kv_length));
    for (int64_t i = 0; i < spec_.q_length; ++i) {
      for (int64_t j = 0; j < spec_.kv_length; ++j) {
        const Sum *a = q.data() + i * spec_.qk_size, *b = k.data() + j * spec_.qk_size;
        Sum sum = 0;
        for (int64_t p = 0; p < spec_.qk_size; ++p) sum += a[p] * b[p];
        line[static_cast<size_t>(j)] = sum * static_cast<Sum>(spec_.scale);
      }
      StoreAt(spec_.q.type, scores.mutable_data(), head * Elems() + i * spec_.kv_length, line.data(),
              spec_.kv_length);
    }
  }
  void Softmax(int64_t head, Tensor& scores) const {
    Lines lines = Load(scores, head);
    for (int64_t i = 0; i < spec_.q_length; ++i) {
      Sum* const line = lines.data() + i * spec_.kv_length;
      Sum max = -std::numeric_limits<Sum>::infinity(), sum = 0;
      for (int64_t j = 0; j < spec_.kv_length; ++j) max = std::max(max, line[j]);
      for (int64_t j = 0; j < spec_.kv_length; ++j) sum += line[j] = std::exp(line[j] - max);
      for (int64_t j = 0; j < spec_.kv_length; ++j) line[j] /= sum;
    }
    StoreAt(spec_.q.type, scores.mutable_data(), head * Elems(), lines.data(), Elems());
  }
  void Combine(const RunContext& ctx, int64_t head, const Tensor& scores) const {
    const Lines probabilities = Load(scores, head);
    const Lines v = Rows(ctx, 2, spec_.v, head, spec_.kv_length, spec_.v_size);
    Lines line(static_cast<size_t>(spec_.v_size));
    for (int64_t i = 0; i < spec_.q_length; ++i) {
      std::fill(line.begin(), line.end(), Sum(0));
      for (int64_t j = 0; j < spec_.kv_length; ++j) {
        const Sum p = probabilities[static_cast<size_t>(i * spec_.kv_length + j)];
        for (int64_t c = 0; c < spec_.v_size; ++c)
          line[static_cast<size_t>(c)] += p * v[static_cast<size_t>(j * spec_.v_size + c)];
      }
      StoreAt(spec_.y.type, ctx.out<void>(0), (head * spec_.q_length + i) * spec_.v_size, line.data(),
              spec_.v_size);
    }
  }
  Tensor Modified(const RunContext& ctx, size_t i, Tensor scores) const {
    if (mods_[i] == nullptr) return scores;
    std::vector<Value> values = {Value(std::move(scores))};
    for (int c = 0; c < captures_; ++c) values.push_back(ctx.value(first_capture_ + c));
    std::vector<Value> results = mods_[i]->Run(std::move(values));
    const Value& result = results.at(0);
    if (!result.is_tensor() || result.tensor().dtype() != spec_.q.type ||
        result.tensor().shape() != scores_shape_)
      throw Error(ErrorCode::kInvalidArgument, place_ + ": the result of " + kMods[i] + " is not " +
                                                   std::string(DataTypeName(spec_.q.type)) + " " +
                                                   ToString(scores_shape_));
    return result.Owned().tensor();
  }

  std::string place_;
  AttentionSpec spec_;
  Shape scores_shape_;
  std::shared_ptr<SubgraphRunner> mods_[3];
  int first_capture_ = 0, captures_ = 0;
};

const Operator kFlexAttention = {
    .name = "FlexAttention",
    .versions = {1},
    .min_inputs = 3,
    .max_inputs = 3,
    .infer = InferFlexAttention,
    .kernels = {&Make<SumKernel<PlainFlexAttention>>, &Make<SumKernel<ModFlexAttention>>},
    .domain = "ai.onnx.preview",
    .types = "float, double, float16, bfloat16"};
const RegisterOperator kRegister(kFlexAttention);

}  // namespace
}  // namespace sluice
