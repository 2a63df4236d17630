#include "tools/serve/top_classes.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "kernels/half.h"

namespace sluice::serve {
namespace {

template <typename T>
std::vector<float> Convert(const Tensor& tensor) {
  std::vector<float> scores;
  scores.reserve(static_cast<size_t>(tensor.num_elements()));
  for (const T value : tensor.values<T>()) scores.push_back(static_cast<float>(value));
  return scores;
}

// None: the tensor is of another type.
std::optional<std::vector<float>> ScoresOf(const Tensor& tensor) {
  switch (tensor.dtype()) {
    case DataType::kFloat16:
      return Convert<Half>(tensor);
    case DataType::kFloat:
      return Convert<float>(tensor);
    case DataType::kDouble:
      return Convert<double>(tensor);
    default:
      return {};
  }
}

}  // namespace

void AddTop(const NamedValues& outputs, const std::vector<ValueInfo>& infos, int64_t top,
            const std::vector<std::string>& labels, InferResponse& response) {
  std::optional<std::vector<float>> scores;
  Shape shape;
  for (const ValueInfo& info : infos) {
    const auto found = outputs.find(info.name);
    if (found == outputs.end() || !found->second.is_tensor()) continue;
    const Tensor& tensor = found->second.tensor();
    if (tensor.rank() < 1 || !(scores = ScoresOf(tensor))) continue;
    shape = tensor.shape();
    break;
  }
  if (!scores) throw ServeError(Reason::kInvalid, "parameter 'top': the model has no scores");
  while (shape.size() > 2 && shape.back() == 1) shape.pop_back();
  const int64_t classes = shape.back(), count = std::min(top, classes);
  shape.back() = count;
  Tensor best(DataType::kFloat, shape), indices(DataType::kInt64, shape), names(DataType::kString, shape);
  float* best_at = best.mutable_values<float>().data();
  int64_t* index_at = indices.mutable_values<int64_t>().data();
  std::string* name_at = names.mutable_values<std::string>().data();
  std::vector<int64_t> order(static_cast<size_t>(classes));
  const int64_t rows = classes == 0 ? 0 : static_cast<int64_t>(scores->size()) / classes;
  for (int64_t row = 0; row < rows; ++row) {
    const float* from = scores->data() + row * classes;
    std::iota(order.begin(), order.end(), int64_t{0});
    // Values that are no numbers come last; equal ones by their number.
    const auto rank = [from](int64_t i) {
      return std::isnan(from[i]) ? -std::numeric_limits<float>::infinity() : from[i];
    };
    std::partial_sort(order.begin(), order.begin() + count, order.end(),
                      [&](int64_t a, int64_t b) { return rank(a) != rank(b) ? rank(a) > rank(b) : a < b; });
    for (int64_t i = 0; i < count; ++i) {
      const int64_t label = order[static_cast<size_t>(i)];
      *best_at++ = from[label];
      *index_at++ = label;
      *name_at++ = label < static_cast<int64_t>(labels.size()) ? labels[static_cast<size_t>(label)]
                                                               : std::to_string(label);
    }
  }
  response.outputs.emplace_back("top_scores", std::move(best));
  response.outputs.emplace_back("top_indices", std::move(indices));
  response.outputs.emplace_back("top_labels", std::move(names));
}

}  // namespace sluice::serve
