#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace sluice::serve {

// Bytes of requests that a server holds at a time, against a limit. Thread-safe.
class ByteBudget {
 public:
  explicit ByteBudget(int64_t limit) : limit_(limit) {}
  bool Take(int64_t bytes) {
    if (used_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= limit_) return true;
    used_.fetch_sub(bytes, std::memory_order_relaxed);
    return false;
  }
  void Give(int64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  int64_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  const int64_t limit_;
  std::atomic<int64_t> used_{0};
};

// A request's body. Behind its end lie kPadding bytes that may be read, as simdjson wants. What it holds is
// taken from the budget until it ends; memory that was asked for and not filled is not, the system gives it
// when it is first touched.
class Body {
 public:
  static constexpr size_t kAlignment = 64;
  static constexpr size_t kPadding = 64;

  explicit Body(std::shared_ptr<ByteBudget> budget) : budget_(std::move(budget)) {}
  ~Body();
  Body(const Body&) = delete;
  Body& operator=(const Body&) = delete;

  // Room for `bytes` in all, so that the byte at `aligned` lies on kAlignment. Throws
  // ServeError{kOverloaded} where there is no memory.
  void Reserve(size_t bytes, size_t aligned);
  // The room behind what is there.
  std::span<std::byte> room() { return {data_ + size_, capacity_ - size_}; }
  // That many bytes of the room were filled. Throws ServeError{kOverloaded} beyond the budget.
  void Commit(size_t bytes);
  // Copies, and grows by doubling. Throws ServeError{kTooLarge} beyond max_bytes, {kOverloaded} as above.
  void Append(std::string_view bytes, size_t max_bytes);

  // That many bytes more are held with the body, such as copies of parts of it. Throws
  // ServeError{kOverloaded} beyond the budget.
  void Charge(int64_t bytes);

  const std::shared_ptr<ByteBudget>& budget() const { return budget_; }
  size_t size() const { return size_; }
  std::byte* data() { return data_; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  void Free();

  std::shared_ptr<ByteBudget> budget_;
  std::byte* memory_ = nullptr;
  std::byte* data_ = nullptr;
  size_t size_ = 0, capacity_ = 0;
  size_t aligned_ = 0;
  int64_t charged_ = 0, extra_ = 0;
};

}  // namespace sluice::serve
