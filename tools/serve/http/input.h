#pragma once

#include <algorithm>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace sluice::serve {

// Bytes read and not yet understood. Starts small, since most connections idle.
class InputBuffer {
 public:
  std::string_view text() const { return {bytes_.data() + begin_, end_ - begin_}; }
  size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }

  // Room for a read, with the buffer grown to at most `most` bytes; empty when it is full. Moves what is
  // there.
  std::span<char> Room(size_t most) {
    if (begin_ > 0) {
      std::memmove(bytes_.data(), bytes_.data() + begin_, size());
      end_ -= begin_;
      begin_ = 0;
    }
    if (end_ == bytes_.size())
      bytes_.resize(std::max(bytes_.size(), std::min(most, std::max(kFirstBytes, 2 * bytes_.size()))));
    return {bytes_.data() + end_, bytes_.size() - end_};
  }
  void Commit(size_t bytes) { end_ += bytes; }
  void Consume(size_t bytes) { begin_ += bytes; }
  // Back to the size of an idle connection. Requires empty().
  void Shrink() {
    begin_ = end_ = 0;
    if (bytes_.size() > kFirstBytes) std::vector<char>(kFirstBytes).swap(bytes_);
  }

 private:
  static constexpr size_t kFirstBytes = 4 << 10;

  std::vector<char> bytes_;
  size_t begin_ = 0, end_ = 0;
};

}  // namespace sluice::serve
