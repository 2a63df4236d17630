// Matrices of transforms applied to vectors, for every instruction set: included once by each file that
// Highway includes again.

#if defined(SLUICE_TOOM_COOK_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_TOOM_COOK_INL
#undef SLUICE_TOOM_COOK_INL
#else
#define SLUICE_TOOM_COOK_INL
#endif

#include <hwy/highway.h>

#include <cstddef>

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {

// y = M x, where what is zero in M is not computed. Unrolled, so that M's numbers are known.
template <const auto& matrix, size_t row, size_t column, class D>
HWY_INLINE void AddTerms(D d, const hwy::HWY_NAMESPACE::Vec<D>* x, hwy::HWY_NAMESPACE::Vec<D>& sum) {
  namespace hn = hwy::HWY_NAMESPACE;
  if constexpr (column < matrix[row].size()) {
    constexpr double kFactor = matrix[row][column];
    if constexpr (kFactor == 1)
      sum = hn::Add(sum, x[column]);
    else if constexpr (kFactor == -1)
      sum = hn::Sub(sum, x[column]);
    else if constexpr (kFactor != 0)
      sum = hn::MulAdd(hn::Set(d, static_cast<float>(kFactor)), x[column], sum);
    AddTerms<matrix, row, column + 1>(d, x, sum);
  }
}
template <const auto& matrix, size_t row = 0, class D>
HWY_INLINE void MultiplyLine(D d, const hwy::HWY_NAMESPACE::Vec<D>* x, hwy::HWY_NAMESPACE::Vec<D>* y) {
  namespace hn = hwy::HWY_NAMESPACE;
  if constexpr (row < matrix.size()) {
    // From the first term on.
    constexpr size_t kFirst = [] {
      size_t first = 0;
      while (matrix[row][first] == 0) ++first;
      return first;
    }();
    constexpr double kFactor = matrix[row][kFirst];
    hn::Vec<D> sum = x[kFirst];
    if constexpr (kFactor != 1) sum = hn::Mul(hn::Set(d, static_cast<float>(kFactor)), sum);
    AddTerms<matrix, row, kFirst + 1>(d, x, sum);
    y[row] = sum;
    MultiplyLine<matrix, row + 1>(d, x, y);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#endif
