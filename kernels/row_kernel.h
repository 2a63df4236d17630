#pragma once

#include <algorithm>
#include <optional>

#include "kernels/kernel.h"
#include "kernels/parallel.h"

namespace sluice {

// Planes of one image, [plane][row][element of the row]: where row 0 of the first plane is, or would be if it
// were in memory, and how far it is from one plane to the next, in floats.
template <typename T>
struct RowsOf {
  T* row0;
  int64_t plane_stride;
};

// How the rows of a step's output lie above those of its first input. Both are float images, dense.
struct RowShape {
  int64_t n;
  int64_t in_planes, in_rows, in_row_elems;
  int64_t out_planes, out_rows, out_row_elems;
  // Row y of the output is made of rows [y * stride - pad, y * stride - pad + span) of the input.
  int64_t stride = 1, span = 1, pad = 0;

  // The rows of the input under some rows of the output, as far as there are any.
  Range Under(Range rows) const {
    const int64_t begin = std::clamp<int64_t>(rows.begin * stride - pad, 0, in_rows);
    return {begin, std::clamp<int64_t>((rows.end - 1) * stride - pad + span, begin, in_rows)};
  }
  // The most rows under so many.
  int64_t MostUnder(int64_t rows) const { return std::min(in_rows, (rows - 1) * stride + span); }
  int64_t out_bytes() const { return n * out_planes * out_rows * out_row_elems * 4; }
};

// A kernel that can make some rows of an image from some rows, wherever they are.
class RowKernel : public Kernel {
 public:
  // Nothing if what was prepared cannot.
  virtual std::optional<RowShape> row_shape() const = 0;
  // What RunRows wants of ctx.scratch() for so many rows.
  virtual int64_t RowScratchBytes(int64_t rows) const = 0;
  // Rows of image `n` with the results of Run. Of ctx the inputs but for the first are used, of the rows of
  // src those under `rows`.
  virtual void RunRows(const RunContext& ctx, RowsOf<const float> src, RowsOf<float> dst, int64_t n,
                       Range rows) const = 0;
};

}  // namespace sluice
