#include <algorithm>

#include "kernels/ops/params.h"
#include "kernels/ops/typed_kernel.h"
#include "kernels/parallel.h"

// RotaryEmbedding (23): the first rotary_embedding_dim elements of every head (all of them where it is 0) are
// pairs that turn by the angle of their position: (a, b) -> (a cos - b sin, a sin + b cos). A pair is two
// neighbours if `interleaved`, otherwise one element of each half. x is [batch, heads, length, size] or
// [batch, length, heads * size]; cosines and sines are [positions, dim / 2] with position_ids [batch,
// length], without them [batch, length, dim / 2].

namespace sluice {
namespace {

template <typename T>
class RotaryOf : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    place_ = Describe(ctx.node());
    const Shape& shape = ctx.shape(0);
    const bool flat = shape.size() == 3;
    if (!flat && shape.size() != 4)
      ctx.Fail("x has rank " + std::to_string(shape.size()) + ", expected 3 or 4");
    const int64_t batch = shape[0];
    int64_t row = 0;
    if (flat) {
      heads_ = ctx.attrs().Int("num_heads", 0);
      if (heads_ <= 0 || shape[2] % heads_ != 0)
        ctx.Fail("num_heads is " + std::to_string(heads_) + ", expected a divisor of the last size of x " +
                 ToString(shape));
      length_ = shape[1];
      size_ = shape[2] / heads_;
      head_step_ = size_;
      row = heads_ * size_;
    } else {
      heads_ = shape[1];
      length_ = shape[2];
      size_ = shape[3];
      head_step_ = length_ * size_;
      row = size_;
    }
    row_step_ = row;
    const int64_t dim = ctx.attrs().Int("rotary_embedding_dim", 0);
    if (dim < 0 || dim > size_ || (dim == 0 ? size_ : dim) % 2 != 0)
      ctx.Fail("rotary_embedding_dim is " + std::to_string(dim) + " for heads of " + std::to_string(size_) +
               " elements, expected an even number not above");
    pairs_ = (dim == 0 ? size_ : dim) / 2;
    interleaved_ = ctx.attrs().Int("interleaved", 0) != 0;
    has_ids_ = ctx.has_input(3);
    for (int i : {1, 2}) {
      const Shape& cache = ctx.shape(i);
      const bool fits =
          has_ids_ ? cache.size() == 2 && cache[1] == pairs_ : cache == Shape{batch, length_, pairs_};
      if (!fits || ctx.dtype(i) != ctx.dtype(0))
        ctx.Fail("input " + std::to_string(i) + " is " + std::string(DataTypeName(ctx.dtype(i))) + " " +
                 ToString(cache) + ", expected " + std::string(DataTypeName(ctx.dtype(0))) + " " +
                 (has_ids_ ? "[positions, " + std::to_string(pairs_) + "]"
                           : ToString(Shape{batch, length_, pairs_})));
      positions_ = i == 1 ? cache[0] : std::min(positions_, cache[0]);
    }
    if (has_ids_ && (ctx.dtype(3) != DataType::kInt64 || ctx.shape(3) != Shape{batch, length_}))
      ctx.Fail("position_ids are " + std::string(DataTypeName(ctx.dtype(3))) + " " + ToString(ctx.shape(3)) +
               ", expected int64 " + ToString(Shape{batch, length_}));
    rows_ = batch * length_;
    ctx.AllowInPlace(0, 0);
  }
  // A tile has at least 2^13 elements, so that it outweighs its dispatch.
  int64_t tiles() const override { return rows_ == 0 ? 0 : PiecesOf(rows_ * heads_ * size_, 1 << 13); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const auto [begin, end] = PieceOf(rows_, tiles(), tile);
    for (int64_t row = begin; row < end; ++row) {
      const int64_t angles = (has_ids_ ? Position(ctx, row) : row) * pairs_;
      const T *cos = ctx.in<T>(1) + angles, *sin = ctx.in<T>(2) + angles;
      const int64_t at = row / length_ * heads_ * length_ * size_ + row % length_ * row_step_;
      for (int64_t h = 0; h < heads_; ++h)
        Turn(ctx.in<T>(0) + at + h * head_step_, cos, sin, ctx.out<T>(0) + at + h * head_step_);
    }
  }

 private:
  using Real = ComputeType<T>;

  int64_t Position(const RunContext& ctx, int64_t row) const {
    const int64_t position = ctx.in<int64_t>(3)[row];
    if (position < 0 || position >= positions_)
      throw Error(ErrorCode::kInvalidArgument, place_ + ": position_ids[" + std::to_string(row) + "] is " +
                                                   std::to_string(position) + ", expected less than " +
                                                   std::to_string(positions_));
    return position;
  }
  void Turn(const T* src, const T* cos, const T* sin, T* dst) const {
    const int64_t step = interleaved_ ? 2 : 1, other = interleaved_ ? 1 : pairs_;
    for (int64_t i = 0; i < pairs_; ++i) {
      const auto a = static_cast<Real>(src[i * step]), b = static_cast<Real>(src[i * step + other]);
      const auto c = static_cast<Real>(cos[i]), s = static_cast<Real>(sin[i]);
      dst[i * step] = static_cast<T>(a * c - b * s);
      dst[i * step + other] = static_cast<T>(a * s + b * c);
    }
    if (src != dst) std::copy(src + 2 * pairs_, src + size_, dst + 2 * pairs_);
  }

  std::string place_;
  int64_t rows_ = 0, heads_ = 0, length_ = 0, size_ = 0, head_step_ = 0, row_step_ = 0;
  int64_t pairs_ = 0, positions_ = 0;
  bool interleaved_ = false, has_ids_ = false;
};

const Operator kRotaryEmbedding = {.name = "RotaryEmbedding",
                                   .versions = {23},
                                   .min_inputs = 3,
                                   .max_inputs = 4,
                                   .infer = InferSameAsFirst,
                                   .kernels = {&Make<TypedKernel<RotaryOf>>},
                                   .types = "float, double, float16, bfloat16"};
const RegisterOperator kRegister(kRotaryEmbedding);

}  // namespace
}  // namespace sluice
