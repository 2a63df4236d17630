#include <algorithm>

#include "kernels/dispatch.h"
#include "kernels/ops/params.h"
#include "kernels/parallel.h"
#include "kernels/strided_copy.h"

// Col2Im (18): [n, c * block, positions] -> [n, c, image...], where overlapping blocks add up. Numbers.

namespace sluice {
namespace {

struct Params {
  std::vector<int64_t> image, block, dilations, pads, strides, counts;  // counts: positions of the block
};

template <typename Context>
std::optional<Params> ParamsOf(const Context& ctx) {
  const auto image = InputInts(ctx, 1), block = InputInts(ctx, 2);
  if (!image || !block) return std::nullopt;
  const size_t rank = image->size();
  Params p{*image,
           *block,
           ctx.attrs().Ints("dilations", std::vector<int64_t>(rank, 1)),
           ctx.attrs().Ints("pads", std::vector<int64_t>(2 * rank, 0)),
           ctx.attrs().Ints("strides", std::vector<int64_t>(rank, 1)),
           {}};
  if (rank == 0 || p.block.size() != rank || p.dilations.size() != rank || p.pads.size() != 2 * rank ||
      p.strides.size() != rank) {
    ctx.Fail("image_shape, block_shape, dilations, pads and strides have different ranks");
  }
  constexpr int64_t kMax = int64_t{1} << 31;
  const auto in_range = [&](int64_t value, int64_t least) {
    if (value < least || value > kMax)
      ctx.Fail("the value " + std::to_string(value) + " is outside [" + std::to_string(least) + ", 2^31]");
  };
  for (size_t i = 0; i < rank; ++i) {
    in_range(p.image[i], 1);
    in_range(p.block[i], 1);
    in_range(p.dilations[i], 1);
    in_range(p.strides[i], 1);
    in_range(p.pads[i], 0);
    in_range(p.pads[i + rank], 0);
    const int64_t room = p.image[i] + p.pads[i] + p.pads[i + rank] - 1;
    const int64_t extent = (p.block[i] - 1) * p.dilations[i];  // below 2^62
    p.counts.push_back(room < extent ? 0 : (room - extent) / p.strides[i] + 1);
  }
  return p;
}

void InferCol2Im(InferContext& ctx) {
  if (ctx.rank(0) != 3) ctx.Fail("input is " + ToString(ctx.shape(0)) + ", expected rank 3");
  const auto params = ParamsOf(ctx);
  if (!params) return ctx.SetUnknownShape(0, ctx.dtype(0));
  const int64_t block = NumElements(params->block), positions = NumElements(params->counts);
  const Dim &columns = ctx.shape(0)[1], &length = ctx.shape(0)[2];
  if ((columns.known() && columns.value() % block != 0) || (length.known() && length.value() != positions)) {
    ctx.Fail("input is " + ToString(ctx.shape(0)) + ", expected [n, multiple of " + std::to_string(block) +
             ", " + std::to_string(positions) + "]");
  }
  SymShape shape = {ctx.shape(0)[0], columns.known() ? Dim(columns.value() / block) : Dim()};
  for (int64_t size : params->image) shape.emplace_back(size);
  if (const auto concrete = ToShape(shape)) CheckMemory(ByteSize(ctx.dtype(0), NumElements(*concrete)));
  ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
}

// Tile: whole images of one channel, in which no other tile writes.
class Col2ImKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    if (!Contains(NumericTypes(), type_)) ctx.Unsupported("adding " + std::string(DataTypeName(type_)));
    const auto params = ParamsOf(ctx);
    if (!params) ctx.Unsupported("image_shape and block_shape are not known");
    params_ = *params;
    block_ = NumElements(params_.block);
    positions_ = NumElements(params_.counts);
    image_ = NumElements(params_.image);
    planes_ = NumElements(ctx.shape(0)) == 0 ? ctx.output(0).num_elements() / image_
                                             : ctx.shape(0)[0] * ctx.shape(0)[1] / block_;
    strides_ = RowMajorStrides(params_.image);
  }
  int64_t tiles() const override {
    return PiecesOf(planes_, 16 * 1024 / (block_ * std::max<int64_t>(positions_, 1)) + 1);
  }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const auto piece = PieceOf(planes_, tiles(), tile);
    Dispatch(NumericTypes(), type_, [&](auto tag) {
      using T = typename decltype(tag)::type;
      for (int64_t p = piece.begin; p < piece.end; ++p)
        Plane(ctx.in<T>(0) + p * block_ * positions_, ctx.out<T>(0) + p * image_);
    });
  }

 private:
  template <typename T>
  void Plane(const T* src, T* dst) const {
    std::fill_n(dst, image_, T(0));
    for (int64_t b = 0; b < block_; ++b) {
      for (int64_t at = 0; at < positions_; ++at) {
        int64_t offset = 0, in_block = b, position = at;
        bool inside = true;
        for (size_t d = params_.image.size(); d-- > 0;) {
          const int64_t x = position % params_.counts[d] * params_.strides[d] +
                            in_block % params_.block[d] * params_.dilations[d] - params_.pads[d];
          position /= params_.counts[d];
          in_block /= params_.block[d];
          inside = inside && x >= 0 && x < params_.image[d];
          offset += x * strides_[d];
        }
        if (inside)
          dst[offset] = static_cast<T>(static_cast<ComputeType<T>>(dst[offset]) +
                                       static_cast<ComputeType<T>>(src[b * positions_ + at]));
      }
    }
  }

  DataType type_ = DataType::kUndefined;
  Params params_;
  Shape strides_;
  int64_t block_ = 1, positions_ = 0, image_ = 0, planes_ = 0;
};

const Operator kCol2Im = {.name = "Col2Im",
                          .versions = {18},
                          .min_inputs = 3,
                          .max_inputs = 3,
                          .infer = InferCol2Im,
                          .kernels = {&Make<Col2ImKernel>},
                          .types = "T"};
const RegisterOperator kRegister(kCol2Im);

}  // namespace
}  // namespace sluice
