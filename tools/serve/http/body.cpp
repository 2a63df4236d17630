#include "tools/serve/http/body.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "tools/serve/types.h"

namespace sluice::serve {
namespace {

constexpr int64_t kChargeStep = 64 << 10;  // so that small reads do not each touch the shared count
constexpr size_t kFirstBytes = 4 << 10;

}  // namespace

Body::~Body() {
  Free();
  budget_->Give(charged_ + extra_);
}

void Body::Free() { std::free(memory_); }

void Body::Reserve(size_t bytes, size_t aligned) {
  if (bytes <= capacity_) return;
  const size_t memory_bytes = kAlignment + bytes + kPadding;
  const size_t rounded = (memory_bytes + kAlignment - 1) / kAlignment * kAlignment;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(kAlignment, rounded));
  if (memory == nullptr) throw ServeError(Reason::kOverloaded, "no memory for this request now", 1);
  aligned_ = aligned;
  std::byte* data = memory + (kAlignment - aligned % kAlignment) % kAlignment;
  if (size_ > 0) std::memcpy(data, data_, size_);
  Free();
  memory_ = memory;
  data_ = data;
  capacity_ = bytes;
  std::memset(data_ + capacity_, 0, kPadding);
}

void Body::Commit(size_t bytes) {
  size_ += bytes;
  if (static_cast<int64_t>(size_) <= charged_) return;
  const int64_t step = (static_cast<int64_t>(size_) - charged_ + kChargeStep - 1) / kChargeStep * kChargeStep;
  if (!budget_->Take(step)) throw ServeError(Reason::kOverloaded, "too many bytes of requests in flight", 1);
  charged_ += step;
}

void Body::Charge(int64_t bytes) {
  if (!budget_->Take(bytes)) throw ServeError(Reason::kOverloaded, "too many bytes of requests in flight", 1);
  extra_ += bytes;
}

void Body::Append(std::string_view bytes, size_t max_bytes) {
  if (bytes.size() > max_bytes - std::min(max_bytes, size_))
    throw ServeError(Reason::kTooLarge, "the request is larger than " + std::to_string(max_bytes) + " bytes");
  if (size_ + bytes.size() > capacity_)
    Reserve(std::min(max_bytes, std::max({kFirstBytes, size_ + bytes.size(), 2 * capacity_})), aligned_);
  if (!bytes.empty()) std::memcpy(data_ + size_, bytes.data(), bytes.size());
  Commit(bytes.size());
}

}  // namespace sluice::serve
