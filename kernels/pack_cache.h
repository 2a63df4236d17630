#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sluice/tensor.h"

namespace sluice {

// Weights in the order that a kernel wants them, 64-byte aligned.
using PackedWeights = std::shared_ptr<const Tensor>;

// The packed form of `weights`, shared by everyone in the process who packs the same bytes with the same
// `format`; it lives as long as somebody holds it. `format` names all that `pack` depends on beside the
// bytes. `pack` writes all of `packed_bytes` that anybody reads. Thread-safe.
PackedWeights PackShared(const Tensor& weights, const std::string& format, int64_t packed_bytes,
                         const std::function<void(std::byte*)>& pack);

// `values` of float, followed by zeros up to `elems`.
PackedWeights PackPadded(const Tensor& values, int64_t elems);

// While it lives, PackShared on this thread packs without looking for others who did, which costs a reading of the
// weights: for kernels that run once.
class PackAloneScope {
 public:
  PackAloneScope();
  ~PackAloneScope();
  PackAloneScope(const PackAloneScope&) = delete;
  PackAloneScope& operator=(const PackAloneScope&) = delete;

 private:
  bool outer_;
};

// Packed weights that are there already, and who wants to know of new ones. Any thread calls it, many at once.
class PackSource {
 public:
  virtual ~PackSource() = default;
  // What PackShared would give; null: it is packed. Throws Error where `weights` has lost its elements.
  virtual PackedWeights Find(const Tensor& weights, const std::string& format, int64_t packed_bytes) = 0;
  // PackShared gives `packed`, which Find did not have.
  virtual void Note(const Tensor& weights, const std::string& format, const PackedWeights& packed) = 0;
};

// While it lives, PackShared on this thread asks `source` first. Scopes nest: the innermost counts.
class PackSourceScope {
 public:
  explicit PackSourceScope(PackSource& source);
  ~PackSourceScope();
  PackSourceScope(const PackSourceScope&) = delete;
  PackSourceScope& operator=(const PackSourceScope&) = delete;

 private:
  PackSource* outer_;
};

// Notes memory that a kernel holds beside packed weights.
void CountHeld(int64_t bytes);

// While it lives, notes what kernels prepared on this thread hold. Scopes nest: the innermost notes it.
class HeldScope {
 public:
  HeldScope();
  ~HeldScope();
  HeldScope(const HeldScope&) = delete;
  HeldScope& operator=(const HeldScope&) = delete;

  // What PackShared gave, each once, but for what nobody else holds any more.
  std::vector<PackedWeights> TakePacked();
  int64_t counted_bytes() const { return counted_bytes_; }

 private:
  friend void CountHeld(int64_t bytes);
  friend PackedWeights PackShared(const Tensor&, const std::string&, int64_t,
                                  const std::function<void(std::byte*)>&);
  std::vector<PackedWeights> given_;
  int64_t counted_bytes_ = 0;
  HeldScope* outer_;
};

}  // namespace sluice
