#include <algorithm>
#include <cmath>

#include "kernels/dispatch.h"
#include "kernels/kernel.h"
#include "kernels/parallel.h"

// Det (11, 22): determinants of float matrices, by elimination in double.

namespace sluice {
namespace {

// Destroys the matrix a, n x n.
double Determinant(double* a, int64_t n) {
  double det = 1;
  for (int64_t k = 0; k < n; ++k) {
    int64_t pivot = k;
    for (int64_t i = k + 1; i < n; ++i) {
      if (std::abs(a[i * n + k]) > std::abs(a[pivot * n + k])) pivot = i;
    }
    if (pivot != k) {
      std::swap_ranges(a + k * n, a + (k + 1) * n, a + pivot * n);
      det = -det;
    }
    const double top = a[k * n + k];
    det *= top;
    if (top == 0) return 0;
    for (int64_t i = k + 1; i < n; ++i) {
      const double factor = a[i * n + k] / top;
      for (int64_t j = k + 1; j < n; ++j) a[i * n + j] -= factor * a[k * n + j];
    }
  }
  return det;
}

class DetKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    n_ = ctx.shape(0).back();
    matrices_ = ctx.output(0).num_elements();
    if (!Contains(FloatTypes(), type_)) ctx.Unsupported("input of type " + std::string(DataTypeName(type_)));
    if (matrices_ > 0) ctx.SetScratch(ByteSize(DataType::kDouble, n_ * n_));
  }
  int64_t tiles() const override { return PiecesOf(matrices_, 32 * 1024 / (n_ * n_ + 1) + 1); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const Range range = PieceOf(matrices_, tiles(), tile);
    auto* work = ctx.scratch<double>();
    Dispatch(FloatTypes(), type_, [&](auto tag) {
      using T = typename decltype(tag)::type;
      for (int64_t i = range.begin; i < range.end; ++i) {
        const T* src = ctx.in<T>(0) + i * n_ * n_;
        for (int64_t j = 0; j < n_ * n_; ++j) work[j] = static_cast<double>(src[j]);
        ctx.out<T>(0)[i] = static_cast<T>(static_cast<ComputeType<T>>(Determinant(work, n_)));
      }
    });
  }

 private:
  DataType type_ = DataType::kUndefined;
  int64_t n_ = 0, matrices_ = 0;
};

void InferDet(InferContext& ctx) {
  const SymShape& src = ctx.shape(0);
  const size_t rank = src.size();
  if (rank < 2 || (src[rank - 1].known() && src[rank - 2].known() && !(src[rank - 1] == src[rank - 2])))
    ctx.Fail("input is " + ToString(src) + ", expected square matrices");
  ctx.SetOutput(0, ctx.dtype(0), SymShape(src.begin(), src.end() - 2));
}

const Operator kDet = {.name = "Det",
                       .versions = {11, 22},
                       .infer = InferDet,
                       .kernels = {&Make<DetKernel>},
                       .types = "float, double, float16, bfloat16"};
const RegisterOperator kRegister(kDet);

}  // namespace
}  // namespace sluice
