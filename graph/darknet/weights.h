#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <string>

#include "sluice/tensor.h"

namespace sluice::darknet {

// The numbers of a network, handed out in the order in which its layers ask for them: from a weights file, or
// made up where there is none.
class Weights {
 public:
  // The bytes of a weights file, with its header of version 0.1 (32-bit `seen`) or 0.2 (64-bit); `owner`
  // keeps them alive for the tensors that are views of them. `file` names it in messages. Throws
  // Error{kInvalidModel}.
  Weights(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, std::string file);
  // Random ones, of a size that keeps activations near 1; the same for the same seed. More than `most_bytes`
  // are refused with Error{kInvalidModel}; the default is ten times what the largest published networks take.
  explicit Weights(uint64_t seed, std::string file = "weights", size_t most_bytes = size_t{4} << 30)
      : file_(std::move(file)), most_bytes_(most_bytes), random_(seed) {}

  bool made_up() const { return bytes_.empty(); }
  // Whether [connected] weights are stored transposed, as versions from 1000 on do.
  bool transposed() const { return transposed_; }
  // The third number of the version; tells who wrote the file: pjreddie's writes 0, AlexeyAB's 5.
  int64_t revision() const { return revision_; }

  // The next floats. `fan_in` scales made-up ones. A view of the file where its alignment allows. Past the
  // end of the file a tensor has no elements behind it; Finish tells.
  Tensor Take(Shape shape, int64_t fan_in);
  // The next floats where made-up ones are `mean` plus noise of deviation `spread`.
  Tensor TakeNear(Shape shape, float mean, float spread);

  // Whether more was taken than the file has: the elements of what was taken last must not be touched.
  bool overrun() const { return !made_up() && wanted_bytes_ > bytes_.size(); }
  // Numbers that the file's own network would not have; the first is what Finish tells.
  void Doubt(const std::string& what);
  // Throws Error{kInvalidModel} with both numbers of bytes unless exactly all of the file was taken, and for
  // a doubt.
  void Finish() const;

 private:
  Tensor Next(Shape shape);
  // Adds the bytes of such a tensor to those wanted, checked for overflow, and returns them.
  size_t Count(const Shape& shape);

  std::span<const std::byte> bytes_;
  std::shared_ptr<const void> owner_;
  std::string file_, doubt_;
  bool transposed_ = false;
  int64_t revision_ = 0;
  size_t header_bytes_ = 0;
  size_t wanted_bytes_ = 0;
  size_t most_bytes_ = 0;
  std::mt19937_64 random_;
};

}  // namespace sluice::darknet
