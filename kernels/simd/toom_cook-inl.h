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

// Element `row` of M x, where what is zero in M is not computed. Unrolled, so that M's numbers are known.
template <const auto& matrix, size_t row, size_t start, size_t column, class D>
HWY_INLINE void AddTerms(D d, const hwy::HWY_NAMESPACE::Vec<D>* x, hwy::HWY_NAMESPACE::Vec<D>& sum) {
  namespace hn = hwy::HWY_NAMESPACE;
  if constexpr (column < matrix[row].size()) {
    constexpr double kFactor = matrix[row][column];
    if constexpr (column == start || kFactor == 0)
      ;
    else if constexpr (kFactor == 1)
      sum = hn::Add(sum, x[column]);
    else if constexpr (kFactor == -1)
      sum = hn::Sub(sum, x[column]);
    else
      sum = hn::MulAdd(hn::Set(d, static_cast<float>(kFactor)), x[column], sum);
    AddTerms<matrix, row, start, column + 1>(d, x, sum);
  }
}
template <const auto& matrix, size_t row, class D>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> LineOf(D d, const hwy::HWY_NAMESPACE::Vec<D>* x) {
  namespace hn = hwy::HWY_NAMESPACE;
  // From the first term that is not multiplied on, or the first one.
  constexpr size_t kStart = [] {
    size_t first = 0, one = 0;
    while (matrix[row][first] == 0) ++first;
    while (one < matrix[row].size() && matrix[row][one] != 1) ++one;
    return one < matrix[row].size() ? one : first;
  }();
  constexpr double kFactor = matrix[row][kStart];
  hn::Vec<D> sum = x[kStart];
  if constexpr (kFactor != 1) sum = hn::Mul(hn::Set(d, static_cast<float>(kFactor)), sum);
  AddTerms<matrix, row, kStart, 0>(d, x, sum);
  return sum;
}
// y = M x.
template <const auto& matrix, size_t row = 0, class D>
HWY_INLINE void MultiplyLine(D d, const hwy::HWY_NAMESPACE::Vec<D>* x, hwy::HWY_NAMESPACE::Vec<D>* y) {
  if constexpr (row < matrix.size()) {
    y[row] = LineOf<matrix, row>(d, x);
    MultiplyLine<matrix, row + 1>(d, x, y);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#endif
