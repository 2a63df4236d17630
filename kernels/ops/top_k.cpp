#include <algorithm>
#include <bit>
#include <complex>

#include "kernels/dispatch.h"
#include "kernels/ops/axis_split.h"
#include "kernels/parallel.h"

// TopK (1, 10, 11, 24) of numeric tensors. Equal elements come in the order of their indices; NaN counts as
// the largest. The result is sorted whether asked or not.

namespace sluice {
namespace {

// k, an attribute in version 1; nothing where a run decides.
template <typename Context>
std::optional<int64_t> KOf(const Context& ctx) {
  std::optional<int64_t> k;
  if (ctx.since_version() < 10) {
    k = ctx.attrs().Int("k");
  } else if (const auto input = InputInts(ctx, 1)) {
    if (input->size() != 1) ctx.Fail("k has " + std::to_string(input->size()) + " elements, expected 1");
    k = input->front();
  }
  if (k && *k < 0) ctx.Fail("k is " + std::to_string(*k));
  return k;
}

// An element by what it sorts by.
struct Entry {
  uint64_t key;
  int64_t index;
  bool operator<(const Entry& other) const {
    return key != other.key ? key < other.key : index < other.index;
  }
};

// Unsigned numbers in the order of the elements; the same for both zeros, the largest for NaN.
template <typename T>
uint64_t KeyOf(T value) {
  if constexpr (std::is_same_v<ComputeType<T>, float> || std::is_same_v<T, double>) {
    constexpr uint64_t kSign = uint64_t{1} << 63;
    const auto x = static_cast<double>(value) + 0.0;  // -0 becomes 0
    const auto bits = std::bit_cast<uint64_t>(x);
    return x != x ? ~uint64_t{0} : (bits & kSign) != 0 ? ~bits : bits | kSign;
  } else if constexpr (std::is_signed_v<T>) {
    return static_cast<uint64_t>(static_cast<int64_t>(value)) ^ (uint64_t{1} << 63);
  } else {
    return value;
  }
}

class TopKKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    split_ = SplitAt(ctx, ctx.shape(0), false, ctx.attrs().Int("axis", -1));
    k_ = *KOf(ctx);
    if (k_ > split_.size)
      ctx.Fail("k is " + std::to_string(k_) + ", the axis has size " + std::to_string(split_.size));
    largest_ = ctx.attrs().Int("largest", 1) != 0;
    const bool found = Dispatch(NumericTypes(), ctx.dtype(0),
                                [&](auto tag) { run_ = &TopKKernel::RunAs<typename decltype(tag)::type>; });
    if (!found) ctx.Unsupported("input of type " + std::string(DataTypeName(ctx.dtype(0))));
    ctx.SetScratch(ByteSize(DataType::kComplex128, split_.size));
    static_assert(sizeof(Entry) == sizeof(std::complex<double>));
  }
  int64_t tiles() const override {
    return PiecesOf(split_.outer * split_.inner, 8 * 1024 / (split_.size + 1) + 1);
  }
  void Run(const RunContext& ctx, int64_t tile) const override {
    (this->*run_)(ctx, PieceOf(split_.outer * split_.inner, tiles(), tile));
  }

 private:
  template <typename T>
  void RunAs(const RunContext& ctx, Range range) const {
    Entry* entries = ctx.scratch<Entry>();
    for (int64_t line = range.begin; line < range.end; ++line) {
      const int64_t outer = line / split_.inner, inner = line % split_.inner;
      const T* src = ctx.in<T>(0) + outer * split_.size * split_.inner + inner;
      const uint64_t flip = largest_ ? ~uint64_t{0} : 0;
      for (int64_t i = 0; i < split_.size; ++i) entries[i] = {KeyOf(src[i * split_.inner]) ^ flip, i};
      SortFirst(entries);
      const int64_t dst = outer * k_ * split_.inner + inner;
      T* values = ctx.out<T>(0);
      int64_t* indices = ctx.out<int64_t>(1);
      for (int64_t i = 0; i < k_; ++i) {
        if (values != nullptr) values[dst + i * split_.inner] = src[entries[i].index * split_.inner];
        if (indices != nullptr) indices[dst + i * split_.inner] = entries[i].index;
      }
    }
  }

  // Puts the k smallest entries in front, in order.
  void SortFirst(Entry* entries) const {
    // A heap of k pays while k is small.
    if (k_ < split_.size / 16) {
      std::partial_sort(entries, entries + k_, entries + split_.size);
    } else {
      if (k_ < split_.size) std::nth_element(entries, entries + k_, entries + split_.size);
      std::sort(entries, entries + k_);
    }
  }

  AxisSplit split_;
  int64_t k_ = 0;
  bool largest_ = true;
  void (TopKKernel::*run_)(const RunContext&, Range) const = nullptr;
};

void InferTopK(InferContext& ctx) {
  if (ctx.num_inputs() != (ctx.since_version() < 10 ? 1 : 2))
    ctx.Fail("has " + std::to_string(ctx.num_inputs()) + " inputs");
  SymShape shape = ctx.shape(0);
  Dim& size = shape[static_cast<size_t>(ctx.Axis(ctx.attrs().Int("axis", -1), ctx.rank(0)))];
  const auto k = KOf(ctx);
  if (k && size.known() && *k > size.value())
    ctx.Fail("k is " + std::to_string(*k) + ", the axis has size " + std::to_string(size.value()));
  size = k ? Dim(*k) : Dim();
  ctx.SetOutput(0, ctx.dtype(0), shape);
  ctx.SetOutput(1, DataType::kInt64, std::move(shape));
}

const Operator kTopK = {.name = "TopK",
                        .versions = {1, 10, 11, 24},
                        .max_inputs = 2,
                        .min_outputs = 1,
                        .max_outputs = 2,
                        .infer = InferTopK,
                        .kernels = {&Make<TopKKernel>},
                        .types = "T"};
const RegisterOperator kRegister(kTopK);

}  // namespace
}  // namespace sluice
