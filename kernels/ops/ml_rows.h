#pragma once

#include <algorithm>
#include <string>

#include "kernels/ops/ml_scores.h"
#include "kernels/parallel.h"

namespace sluice {

// Throws Error{kInvalidModel} unless the list `name` has as many entries as expected.
inline void CheckSize(const std::string& name, size_t size, int64_t expected) {
  if (static_cast<int64_t>(size) != expected)
    throw Error(ErrorCode::kInvalidModel,
                name + " has " + std::to_string(size) + " entries, expected " + std::to_string(expected));
}

// Base of the models that see one row of features at a time.
class RowKernel : public Kernel {
 public:
  int64_t tiles() const override { return PiecesOf(rows_.rows, 16 * 1024 / (row_work_ + 1) + 1); }

 protected:
  // `work`: multiplications a row; `scores`: doubles of scratch.
  void PrepareRows(PrepareContext& ctx, int64_t work, int64_t scores) {
    type_ = ctx.dtype(0);
    rows_ = Rows(ctx, ctx.shape(0));
    row_work_ = std::max<int64_t>(work, 1);
    if (!Contains(MlTypes(), type_)) ctx.Unsupported("features of type " + std::string(DataTypeName(type_)));
    ctx.SetScratch(ByteSize(DataType::kDouble, scores));
  }
  // Calls fn(row, features, scratch) for the rows of a tile.
  template <typename Fn>
  void ForEachRow(const RunContext& ctx, int64_t tile, const Fn& fn) const {
    const Range range = PieceOf(rows_.rows, tiles(), tile);
    Dispatch(MlTypes(), type_, [&](auto tag) {
      const auto* src = ctx.in<typename decltype(tag)::type>(0);
      for (int64_t row = range.begin; row < range.end; ++row)
        fn(row, src + row * rows_.columns, ctx.scratch<double>());
    });
  }

  Rows rows_;

 private:
  DataType type_ = DataType::kUndefined;
  int64_t row_work_ = 1;
};

}  // namespace sluice
