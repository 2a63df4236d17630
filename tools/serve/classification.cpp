#include "tools/serve/classification.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "kernels/half.h"

namespace sluice::serve {
namespace {

template <typename T>
std::vector<double> Widen(const Tensor& tensor) {
  const auto values = tensor.values<T>();
  return {values.begin(), values.end()};
}

std::vector<double> ScoresOf(const Tensor& tensor, std::string_view name) {
  switch (tensor.dtype()) {
    case DataType::kFloat16:
      return Widen<Half>(tensor);
    case DataType::kFloat:
      return Widen<float>(tensor);
    case DataType::kDouble:
      return Widen<double>(tensor);
    default:
      throw ServeError(Reason::kInvalid, fmt::format("output '{}' holds no scores to classify by", name));
  }
}

Tensor Classify(const Tensor& scores, std::string_view name, int64_t count,
                const std::vector<std::string>& labels) {
  const std::vector<double> values = ScoresOf(scores, name);
  const bool rows_apart = scores.rank() > 1;
  const int64_t rows = rows_apart ? scores.shape()[0] : 1;
  const int64_t classes = rows == 0 ? 0 : static_cast<int64_t>(values.size()) / rows;
  count = std::min(count, classes);
  Tensor best(DataType::kString, rows_apart ? Shape{rows, count} : Shape{count});
  std::vector<int64_t> order(static_cast<size_t>(classes));
  std::string* dst = best.mutable_values<std::string>().data();
  for (int64_t row = 0; row < rows; ++row) {
    const double* src = values.data() + row * classes;
    std::iota(order.begin(), order.end(), 0);
    // NaN last, equal ones in their order.
    const auto better = [&](int64_t a, int64_t b) {
      if (std::isnan(src[a]) && std::isnan(src[b])) return a < b;
      if (std::isnan(src[a]) || std::isnan(src[b])) return std::isnan(src[b]);
      return src[a] != src[b] ? src[a] > src[b] : a < b;
    };
    std::partial_sort(order.begin(), order.begin() + count, order.end(), better);
    for (int64_t i = 0; i < count; ++i) {
      const auto index = static_cast<size_t>(order[static_cast<size_t>(i)]);
      *dst = fmt::format("{:f}:{}", src[index], index);
      if (index < labels.size()) *dst += ":" + labels[index];
      ++dst;
    }
  }
  return best;
}

}  // namespace

void ClassifyOutputs(const ClassCounts& counts, const std::vector<std::string>& labels,
                     InferResponse& response) {
  for (auto& [name, tensor] : response.outputs)
    if (const auto count = counts.find(name); count != counts.end())
      tensor = Classify(tensor, name, count->second, labels);
}

}  // namespace sluice::serve
