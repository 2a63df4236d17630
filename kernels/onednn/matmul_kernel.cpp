#include "kernels/onednn/matmul_kernel.h"

#include <array>

#include "kernels/onednn/threading.h"
#include "kernels/parallel.h"
#include "kernels/scratch.h"

namespace sluice::onednn {
namespace {

using Reach = FusedOp::Reach;

// oneDNN's blocks of rows and columns in its widest kernels.
constexpr int64_t kRowUnit = 16, kColumnUnit = 64;
// Running a primitive costs about 2 us, in which the panels get this far.
constexpr int64_t kMinFlops = 200'000;

// A matrix that oneDNN can read: one stride is 1, the other steps over whole lines.
bool IsDense(int64_t rows, int64_t cols, const Offsets& row, const Offsets& col) {
  if (!row.linear() || !col.linear()) return false;
  const bool by_rows = (cols == 1 || col.stride() == 1) && (rows == 1 || row.stride() >= cols);
  const bool by_cols = (rows == 1 || row.stride() == 1) && (cols == 1 || col.stride() >= rows);
  return by_rows || by_cols;
}

}  // namespace

void MatMulKernel::Prepare(PrepareContext& ctx) {
  if (ctx.dtype(0) != DataType::kFloat) ctx.Decline("not float");
  MatMulSpec spec = reader_(ctx);
  a_ = spec.a;
  b_ = spec.b;
  c_ = std::move(spec.product);
  if (!c_.has_output() || c_.k == 0) ctx.Decline("empty tensors");
  if (!IsDense(c_.m, c_.k, c_.a_m, c_.a_k) || !IsDense(c_.k, c_.n, c_.b_k, c_.b_n) || !c_.c_m.linear() ||
      !c_.c_n.linear() || (c_.n > 1 && c_.c_n.stride() != 1)) {
    ctx.Decline("the factors are no dense matrices");
  }
  if (c_.flops() / c_.batch < kMinFlops) ctx.Decline("too small to pay for a call of oneDNN");
  tiles_ = ContractionTiles(c_, kRowUnit, kColumnUnit, sizeof(float));
  // Anything but a bias follows on the result, and so does what comes after it.
  const bool plain = spec.alpha == 1 && (spec.addend < 0 || spec.beta == 0);
  const bool biased = spec.alpha == 1 && spec.beta == 1 && spec.addend >= 0 && c_.d_batch.linear() &&
                      c_.d_batch.stride() == 0 && c_.d_m.linear() && c_.d_m.stride() == 0 &&
                      c_.d_n.linear() && (c_.n == 1 || c_.d_n.stride() == 1);
  const int64_t rank = static_cast<int64_t>(ctx.output(0).shape.size());
  if (biased) {
    bias_ = spec.addend;
    spec.addend = -1;
  }
  if (plain || biased) post_ops_ = FusePostOps(ctx, c_.n == 1 ? -1 : rank - 1);

  const SingleThreaded single_threaded;
  std::string reason;
  if (!MakeCells(ProblemOf(ctx), &reason)) {
    post_ops_.clear();
    if (!MakeCells(ProblemOf(ctx), &reason)) ctx.Decline(reason);
  }
  rest_ = MatMulEpilogue(ctx, spec, post_ops_.size());
  implementation_ = variants_[0].primitive->implementation();
  if (packed_ == nullptr && ctx.constant(b_) != nullptr && c_.one_b()) PackB(*ctx.constant(b_));
  if (packed_ != nullptr) ctx.DropInput(b_);
  int64_t scratch = 0;
  for (const Variant& v : variants_) scratch = std::max(scratch, v.primitive->scratch_bytes());
  ctx.SetScratch(scratch);
}

MatMulProblem MatMulKernel::ProblemOf(const PrepareContext& ctx) const {
  MatMulProblem p;
  p.k = c_.k;
  p.a_row = c_.a_m.stride();
  p.a_col = c_.a_k.stride();
  p.b_row = c_.b_k.stride();
  p.b_col = c_.b_n.stride();
  p.dst_row = c_.m == 1 ? c_.n : c_.c_m.stride();
  p.has_bias = bias_ >= 0;
  p.packed_b = ctx.constant(b_) != nullptr && c_.one_b();
  p.post_ops = post_ops_;
  return p;
}

bool MatMulKernel::MakeCells(MatMulProblem problem, std::string* reason) {
  variants_.clear();
  cells_.clear();
  for (int64_t i = 0; i < tiles_.count(); ++i) {
    const ContractionTiles::Tile tile = tiles_[i];
    if (i > 0 && tile.m.begin == 0 && tile.n.begin == 0) break;  // the next piece of the batch
    problem.m = tile.m.end - tile.m.begin;
    problem.n = tile.n.end - tile.n.begin;
    size_t variant = 0;
    while (variant < variants_.size() &&
           (variants_[variant].m != problem.m || variants_[variant].n != problem.n)) {
      ++variant;
    }
    if (variant == variants_.size()) {
      variants_.push_back({problem.m, problem.n, MatMulPrimitive::Make(problem, reason)});
      if (variants_.back().primitive == nullptr) return false;
    }
    cells_.push_back({variant, 0});
  }
  return true;
}

void MatMulKernel::PackB(const Tensor& b) {
  struct Slice {
    const MatMulPrimitive* primitive;
    int64_t column, to;
  };
  std::vector<Slice> slices;
  std::string format = "matmul";
  int64_t bytes = 0, pack_scratch = 0;
  for (size_t i = 0; i < cells_.size(); ++i) {
    const MatMulPrimitive* primitive = variants_[cells_[i].variant].primitive.get();
    const int64_t column = tiles_[static_cast<int64_t>(i)].n.begin;
    bool found = false;
    for (const Slice& slice : slices) {
      if (slice.column != column || slice.primitive->packed_format() != primitive->packed_format()) continue;
      cells_[i].packed_offset = slice.to;
      found = true;
      break;
    }
    if (found) continue;
    cells_[i].packed_offset = bytes;
    slices.push_back({primitive, column, bytes});
    format += '|' + std::to_string(column) + ' ' + primitive->packed_format();
    pack_scratch = std::max(pack_scratch, primitive->pack_scratch_bytes());
    bytes += (primitive->packed_bytes() + 63) / 64 * 64;
  }
  packed_ = PackShared(b, format, bytes, [&](std::byte* to) {
    const float* from = static_cast<const float*>(b.data());
    ForEachTile(static_cast<int64_t>(slices.size()), [&](int64_t i) {
      const SingleThreaded single_threaded;
      const Scratch scratch(pack_scratch);
      const Slice& slice = slices[static_cast<size_t>(i)];
      slice.primitive->PackB(from + c_.b_n[slice.column], to + slice.to, scratch.data());
    });
  });
}

void MatMulKernel::Run(const RunContext& ctx, int64_t index) const {
  const SingleThreaded single_threaded;
  const ContractionTiles::Tile tile = tiles_[index];
  const Cell& cell = cells_[static_cast<size_t>(index) % cells_.size()];
  const MatMulPrimitive& primitive = *variants_[cell.variant].primitive;
  const float* bias = bias_ < 0 ? nullptr : ctx.in<float>(bias_) + c_.d_n[tile.n.begin];
  for (int64_t batch = tile.batch.begin; batch < tile.batch.end; ++batch) {
    const void* b = packed_ ? static_cast<const void*>(static_cast<const std::byte*>(packed_->data()) +
                                                       cell.packed_offset)
                            : ctx.in<float>(b_) + c_.b_batch[batch] + c_.b_n[tile.n.begin];
    const int64_t at = c_.c_batch[batch] + c_.c_m[tile.m.begin] + c_.c_n[tile.n.begin];
    std::array<const void*, 32> operands;
    size_t count = 0;
    for (const FusedOp& fused : post_ops_) {
      if (fused.reach == Reach::kNone) continue;
      const int64_t offset = fused.reach == Reach::kFull      ? at
                             : fused.reach == Reach::kChannel ? tile.n.begin
                                                              : 0;
      operands[count++] = ctx.in<float>(fused.op.operand) + offset;
    }
    float* dst = ctx.out<float>(0) + at;
    primitive.Execute(ctx.in<float>(a_) + c_.a_batch[batch] + c_.a_m[tile.m.begin], b, bias, dst,
                      {operands.data(), count}, ctx.scratch<void>());
    if (rest_.empty()) continue;
    const int64_t ld = c_.m == 1 ? c_.n : c_.c_m.stride();
    rest_.Apply<float>(ctx, c_, {batch, tile.m, tile.n, ld}, dst);
  }
}

}  // namespace sluice::onednn
