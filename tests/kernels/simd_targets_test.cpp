// Vectorised loops on every instruction set that this processor has, on memory that ends where a page that
// cannot be touched begins, and at odd addresses.
#include "tests/kernels/simd_targets.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "kernels/moments.h"
#include "kernels/simd/normalize.h"

namespace sluice::test {
namespace {

// `count` floats right before a page without access.
class Fenced {
 public:
  explicit Fenced(size_t count) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    bytes_ = (count * sizeof(float) + page - 1) / page * page + page;
    memory_ =
        static_cast<char*>(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
    mprotect(memory_ + bytes_ - page, page, PROT_NONE);
    data_ = reinterpret_cast<float*>(memory_ + bytes_ - page) - count;
    for (size_t i = 0; i < count; ++i) data_[i] = 0.25f * static_cast<float>(i * i % 23) - 2;
  }
  ~Fenced() { munmap(memory_, bytes_); }
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;
  float* data() const { return data_; }
  float operator[](int64_t i) const { return data_[i]; }

 private:
  size_t bytes_;
  char* memory_;
  float* data_;
};

TEST(SimdTargets, MomentsOfRows) {
  OnEveryTarget([] {
    for (int64_t length : {1, 3, 5, 8, 17, 33, 100}) {
      for (int64_t rows : {1, 3, 12}) {
        const Fenced src(static_cast<size_t>(rows * length));
        FoldBox box;
        box.count = rows;
        box.count_step = length;
        box.length = length;
        box.length_step = 1;
        double mean[12], variance[12];
        MomentsOf<float>(src.data(), box, mean, variance);
        for (int64_t j = 0; j < rows; ++j) {
          double sum = 0, squares = 0;
          for (int64_t i = 0; i < length; ++i) sum += static_cast<double>(src[j * length + i]);
          sum /= static_cast<double>(length);
          for (int64_t i = 0; i < length; ++i) {
            const double off = static_cast<double>(src[j * length + i]) - sum;
            squares += off * off;
          }
          ASSERT_NEAR(mean[j], sum, 1e-5) << "row " << j << " of " << rows << ", length " << length;
          ASSERT_NEAR(variance[j], squares / static_cast<double>(length), 1e-5)
              << "row " << j << ", length " << length;
        }
      }
    }
  });
}

TEST(SimdTargets, ScaleRow) {
  OnEveryTarget([] {
    for (int64_t n = 1; n <= 40; ++n) {
      const auto count = static_cast<size_t>(n);
      const Fenced src(count), scale(count), bias(count), dst(count);
      ScaleRow(src.data(), n, 0.5f, 2.0f, scale.data(), bias.data(), dst.data());
      for (int64_t i = 0; i < n; ++i)
        ASSERT_FLOAT_EQ(dst[i], (src[i] - 0.5f) * 2.0f * scale[i] + bias[i]) << i << " of " << n;
    }
  });
}

}  // namespace
}  // namespace sluice::test
