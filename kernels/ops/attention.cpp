#include <cstring>

#include "kernels/forwarding_kernel.h"
#include "kernels/ops/attention_core.h"

// Attention (23, 24): y = softmax(scale q k' + masks) v for every head. Inputs q, k, v as [batch, heads,
// length, size] or [batch, length, heads * size], with fewer heads of k and v than of q where each serves a
// group; attn_mask, boolean (false: masked) or added; past_key and past_value, which come before k and v; and
// the number of valid keys of each batch item. Outputs y, the keys and values with their past, and scores as
// qk_matmul_output_mode asks. A query that sees no key gives zeros.

namespace sluice {
namespace {

// Past and new keys or values after one another, [batch, heads, past + length, size].
class Presents {
 public:
  Presents() = default;
  Presents(const AttentionSpec& spec, const AttentionSpec::Rows& past, const AttentionSpec::Rows& rows,
           int64_t size)
      : past_(past),
        rows_(rows),
        past_length_(spec.past_length),
        keys_(spec.keys()),
        heads_(spec.kv_heads),
        lines_(spec.batch * spec.kv_heads * spec.keys()),
        bytes_(DataTypeBits(rows.type) / 8),
        size_(size) {}

  // A tile moves at least 64 KiB, so that it outweighs its dispatch.
  int64_t tiles() const { return lines_ == 0 ? 0 : PiecesOf(lines_ * size_ * bytes_, 64 * 1024); }
  void Run(const void* past, const void* rows, void* dst, int64_t tile) const {
    if (dst == nullptr) return;
    const Range range = PieceOf(lines_, tiles(), tile);
    const auto bytes = static_cast<size_t>(size_ * bytes_);
    auto* to = static_cast<std::byte*>(dst) + range.begin * size_ * bytes_;
    for (int64_t line = range.begin; line < range.end; ++line, to += bytes) {
      const int64_t key = line % keys_, head = line / keys_ % heads_, batch = line / keys_ / heads_;
      const bool is_past = key < past_length_;
      const AttentionSpec::Rows& from = is_past ? past_ : rows_;
      const int64_t at =
          batch * from.batch + head * from.head + (is_past ? key : key - past_length_) * from.row;
      std::memcpy(to, static_cast<const std::byte*>(is_past ? past : rows) + at * bytes_, bytes);
    }
  }

 private:
  AttentionSpec::Rows past_, rows_;
  int64_t past_length_ = 0, keys_ = 0, heads_ = 0, lines_ = 0, bytes_ = 1, size_ = 0;
};

template <typename Sum>
class AttentionOf : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const AttentionSpec spec = ReadAttention(ctx);
    core_ = std::make_unique<AttentionCore<Sum>>(spec, ctx.has_output(3));
    if (ctx.has_output(1)) keys_ = Presents(spec, spec.past_k, spec.k, spec.qk_size);
    if (ctx.has_output(2)) values_ = Presents(spec, spec.past_v, spec.v, spec.v_size);
    ctx.SetScratch(core_->scratch_bytes());
  }
  int64_t tiles() const override { return core_->tiles() + keys_.tiles() + values_.tiles(); }
  int64_t flops() const override { return core_->flops(); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    if (tile < core_->tiles()) return core_->Run(ctx, tile);
    tile -= core_->tiles();
    if (tile < keys_.tiles()) return keys_.Run(ctx.in<void>(4), ctx.in<void>(1), ctx.out<void>(1), tile);
    values_.Run(ctx.in<void>(5), ctx.in<void>(2), ctx.out<void>(2), tile - keys_.tiles());
  }

 private:
  std::unique_ptr<AttentionCore<Sum>> core_;
  Presents keys_, values_;
};

// Sums and softmax in float, or in double where the data or softmax_precision is.
class AttentionKernel : public ForwardingKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const int64_t precision = ctx.attrs().Int("softmax_precision", 0);
    const auto type = static_cast<DataType>(precision);
    if (precision != 0 && (precision < 0 || precision > 255 || !Contains(FloatTypes(), type)))
      ctx.Fail("softmax_precision is " + std::to_string(precision) + ", expected a floating-point type");
    const bool wide = ctx.dtype(0) == DataType::kDouble || type == DataType::kDouble;
    if (wide)
      impl_ = std::make_unique<AttentionOf<double>>();
    else
      impl_ = std::make_unique<AttentionOf<float>>();
    impl_->Prepare(ctx);
  }
};

const Operator kAttention = {.name = "Attention",
                             .versions = {23, 24},
                             .min_inputs = 3,
                             .max_inputs = 7,
                             .max_outputs = 4,
                             .infer = InferAttention,
                             .kernels = {&Make<AttentionKernel>},
                             .types = "float, double, float16, bfloat16"};
const RegisterOperator kRegister(kAttention);

}  // namespace
}  // namespace sluice
