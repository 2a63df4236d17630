#pragma once

#include <vector>

#include "kernels/row_kernel.h"

namespace sluice {

// Kernels of which each takes what the one before makes, run together (depth first): a few rows pass through
// all of them before the next few, so that what lies between stays in the L2 cache and never is in memory as
// a whole. Results are those of the kernels one after the other.
//
// A tile is a band of rows of one image; rows that two bands need are made for both. Bands that one thread
// runs together go on where the last one ended. Scratch: a few rows of everything between.
class RowChain : public Kernel {
 public:
  static constexpr size_t kMaxStages = 4;

  // Whether `next`, prepared on the output of `first`, a RowChain or a kernel on its own, can join it and is
  // expected to gain by that.
  static bool Pays(const Kernel& first, const Kernel& next);
  // Of a RowChain, or a kernel with a row_shape(), and one with a row_shape() whose input is its output. The
  // step's first `inputs` inputs are those of `first`. What lies between takes at most `buffer_bytes`, or a
  // row of each; 0: a quarter of the L2 cache.
  static std::unique_ptr<RowChain> Join(std::unique_ptr<Kernel> first, size_t inputs,
                                        std::unique_ptr<Kernel> next, int64_t buffer_bytes = 0);

  std::string name() const override;
  void Prepare(PrepareContext&) override {}
  int64_t tiles() const override { return stages_.back().shape.n * bands_; }
  int64_t flops() const override;
  int64_t scratch_bytes() const { return buffers_bytes_ + stage_scratch_bytes_; }
  void Run(const RunContext& ctx, int64_t tile) const override { RunTogether(ctx, tile, 1); }
  int64_t together() const override { return bands_; }
  void RunTogether(const RunContext& ctx, int64_t first, int64_t count) const override;

 private:
  struct Stage {
    std::unique_ptr<RowKernel> kernel;
    RowShape shape;
    size_t first_input = 0;     // of the step's, the stage's own first one
    int64_t rows = 0;           // of its output that are kept at most, but for the last stage
    int64_t buffer_offset = 0;  // of these in scratch, in floats
  };

  void Plan(int64_t buffer_bytes);

  std::vector<Stage> stages_;
  int64_t bands_ = 1, strip_ = 1;  // of an image; rows of the last output that are made at once
  int64_t buffers_bytes_ = 0, stage_scratch_bytes_ = 0;
};

}  // namespace sluice
