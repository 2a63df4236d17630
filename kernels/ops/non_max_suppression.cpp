#include <algorithm>

#include "kernels/ops/params.h"

// NonMaxSuppression (10, 11). boxes [batch, n, 4], scores [batch, class, n], float. The result is int64
// [selected, 3]: batch, class, box; for each batch and class by falling score, ties by rising index.

namespace sluice {
namespace {

struct Box {
  float y0, x0, y1, x1;
  float area() const { return (y1 - y0) * (x1 - x0); }
};

Box BoxOf(const float* p, bool centre) {
  if (centre) return {p[1] - p[3] / 2, p[0] - p[2] / 2, p[1] + p[3] / 2, p[0] + p[2] / 2};
  return {std::min(p[0], p[2]), std::min(p[1], p[3]), std::max(p[0], p[2]), std::max(p[1], p[3])};
}

bool Overlap(const Box& a, const Box& b, float threshold) {
  const float h = std::min(a.y1, b.y1) - std::max(a.y0, b.y0),
              w = std::min(a.x1, b.x1) - std::max(a.x0, b.x0);
  if (!(h > 0 && w > 0) || !(a.area() > 0) || !(b.area() > 0)) return false;
  const float both = h * w;
  return both / (a.area() + b.area() - both) > threshold;
}

class NonMaxSuppressionKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const Shape &boxes = ctx.shape(0), &scores = ctx.shape(1);
    if (ctx.dtype(0) != DataType::kFloat || ctx.dtype(1) != DataType::kFloat)
      ctx.Fail("boxes and scores must be float");
    if (boxes.size() != 3 || scores.size() != 3 || boxes[2] != 4 || boxes[0] != scores[0] ||
        boxes[1] != scores[2]) {
      ctx.Fail("boxes are " + ToString(boxes) + " and scores " + ToString(scores) +
               ", expected [batch, n, 4] and [batch, class, n]");
    }
    const auto scalar = [&](int i, DataType type) {
      if (ctx.has_input(i) && (ctx.dtype(i) != type || NumElements(ctx.shape(i)) != 1)) {
        ctx.Fail("input " + std::to_string(i) + " must be one " + std::string(DataTypeName(type)));
      }
    };
    scalar(2, DataType::kInt64);
    scalar(3, DataType::kFloat);
    scalar(4, DataType::kFloat);
    batch_ = boxes[0];
    n_ = boxes[1];
    classes_ = scores[1];
    centre_ = ctx.attrs().Int("center_point_box", 0) != 0;
  }
  void Run(const RunContext& ctx, int64_t) const override {
    const int64_t limit = ctx.in<int64_t>(2) ? *ctx.in<int64_t>(2) : 0;
    const float overlap = ctx.in<float>(3) ? *ctx.in<float>(3) : 0;
    const float* least = ctx.in<float>(4);
    std::vector<int64_t> selected, order;
    std::vector<Box> kept;
    for (int64_t b = 0; b < batch_ && limit > 0; ++b) {
      const float* boxes = ctx.in<float>(0) + b * n_ * 4;
      for (int64_t c = 0; c < classes_; ++c) {
        const float* scores = ctx.in<float>(1) + (b * classes_ + c) * n_;
        order.clear();
        kept.clear();
        for (int64_t i = 0; i < n_; ++i) {
          // A score that is no number never counts.
          if (scores[i] == scores[i] && (least == nullptr || scores[i] > *least)) order.push_back(i);
        }
        std::stable_sort(order.begin(), order.end(),
                         [&](int64_t x, int64_t y) { return scores[x] > scores[y]; });
        for (int64_t i : order) {
          if (static_cast<int64_t>(kept.size()) >= limit) break;
          const Box box = BoxOf(boxes + i * 4, centre_);
          if (std::any_of(kept.begin(), kept.end(),
                          [&](const Box& other) { return Overlap(box, other, overlap); }))
            continue;
          kept.push_back(box);
          selected.insert(selected.end(), {b, c, i});
        }
      }
    }
    ctx.SetOutput(0, Tensor::From<int64_t>({static_cast<int64_t>(selected.size()) / 3, 3}, selected));
  }

 private:
  int64_t batch_ = 0, n_ = 0, classes_ = 0;
  bool centre_ = false;
};

const Operator kNonMaxSuppression = {
    .name = "NonMaxSuppression",
    .versions = {10, 11},
    .min_inputs = 2,
    .max_inputs = 5,
    .infer =
        [](InferContext& ctx) {
          ctx.SetOutput(0, DataType::kInt64, {Dim(), Dim(3)});
        },
    .kernels = {&Make<NonMaxSuppressionKernel>},
    .types = "float",
};
const RegisterOperator kRegister(kNonMaxSuppression);

}  // namespace
}  // namespace sluice
