#include "tools/serve/batch.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace sluice::serve {
namespace {

size_t ElementBytes(const Tensor& tensor) {
  if (tensor.dtype() == DataType::kString) return sizeof(std::string);
  return static_cast<size_t>(DataTypeBits(tensor.dtype()) / 8);
}

// Elements of one row.
int64_t RowElems(const Tensor& tensor) {
  return NumElements(std::span<const int64_t>(tensor.shape()).subspan(1));
}

}  // namespace

std::vector<int64_t> BatchSizes(int64_t max) {
  std::vector<int64_t> sizes;
  for (int64_t power = 1; power <= max; power *= 2) {
    sizes.push_back(power);
    if (power >= 2 && power + power / 2 <= max) sizes.push_back(power + power / 2);
    if (power > max / 2) break;
  }
  if (sizes.empty() || sizes.back() != max) sizes.push_back(std::max<int64_t>(max, 1));
  return sizes;
}

Tensor JoinRows(std::span<const Tensor* const> parts) {
  Shape shape = parts[0]->shape();
  shape[0] = 0;
  for (const Tensor* part : parts) shape[0] += part->shape()[0];
  Tensor whole(parts[0]->dtype(), shape);
  if (whole.dtype() == DataType::kString) {
    std::string* dst = whole.mutable_values<std::string>().data();
    for (const Tensor* part : parts) {
      const auto values = part->values<std::string>();
      dst = std::copy(values.begin(), values.end(), dst);
    }
    return whole;
  }
  char* dst = static_cast<char*>(whole.mutable_data());
  for (const Tensor* part : parts) {
    const auto bytes = static_cast<size_t>(part->byte_size());
    if (bytes != 0) std::memcpy(dst, part->data(), bytes);
    dst += bytes;
  }
  return whole;
}

Tensor RowSplitter::Rows(int64_t begin, int64_t rows) const {
  Shape shape = whole_->shape();
  shape[0] = rows;
  char* data = static_cast<char*>(whole_->mutable_data());
  if (data != nullptr) data += static_cast<size_t>(begin * RowElems(*whole_)) * ElementBytes(*whole_);
  return Tensor::Share(whole_->dtype(), std::move(shape), data, std::shared_ptr<const void>(whole_, data));
}

}  // namespace sluice::serve
