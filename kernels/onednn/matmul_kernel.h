#pragma once

#include <memory>

#include "kernels/matmul/epilogue.h"
#include "kernels/onednn/matmul.h"
#include "kernels/pack_cache.h"

namespace sluice::onednn {

// Products of float matrices through oneDNN, one primitive a tile and batch: tiles are ranges of the batch,
// or of rows and columns within it. A constant second factor is packed once, each range of columns on its
// own. A bias and those post-ops that oneDNN has are fused; what else there is follows on the tile just
// computed.
class MatMulKernel : public Kernel {
 public:
  explicit MatMulKernel(MatMulReader reader) : reader_(reader) {}

  std::string name() const override { return "oneDNN matmul " + implementation_; }
  void Prepare(PrepareContext& ctx) override;
  int64_t tiles() const override { return tiles_.count(); }
  int64_t flops() const override { return c_.flops(); }
  void Run(const RunContext& ctx, int64_t tile) const override;

 private:
  // Tiles of the same size share a primitive.
  struct Variant {
    int64_t m, n;
    std::shared_ptr<const MatMulPrimitive> primitive;
  };
  // What a tile runs, by piece of rows and columns.
  struct Cell {
    size_t variant = 0;
    int64_t packed_offset = 0;  // bytes
  };

  MatMulProblem ProblemOf(const PrepareContext& ctx) const;
  bool MakeCells(MatMulProblem problem, std::string* reason);
  void PackB(const Tensor& b);

  const MatMulReader reader_;
  std::string implementation_;
  Contraction c_;
  ContractionTiles tiles_;
  std::vector<FusedOp> post_ops_;
  MatMulEpilogue rest_;
  int a_ = 0, b_ = 1, bias_ = -1;  // inputs
  std::vector<Variant> variants_;
  std::vector<Cell> cells_;  // by tile modulo their number
  PackedWeights packed_;
};

template <MatMulReader kReader>
class MatMulOf : public MatMulKernel {
 public:
  MatMulOf() : MatMulKernel(kReader) {}
};

}  // namespace sluice::onednn
