#include "kernels/pack_cache.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <random>
#include <tuple>
#include <utility>
#include <vector>

#include "graph/mapped_file.h"
#include "kernels/parallel.h"

namespace sluice {
namespace {

struct Hash {
  uint64_t low, high;
  auto operator<=>(const Hash&) const = default;
};

// Unknown outside of the process, so that no file can be made to collide with another's weights.
uint64_t Secret() {
  static const uint64_t secret = [] {
    std::random_device device;
    return (static_cast<uint64_t>(device()) << 32 | device()) | 1;
  }();
  return secret;
}

uint64_t Mix(uint64_t a, uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// Two independent 64-bit multiply-and-fold hashes over 16-byte steps, of four streams in turn: a multiplication
// waits for that of its own stream alone.
Hash HashOfPiece(const unsigned char* bytes, size_t size, uint64_t seed) {
  const uint64_t k0 = Secret(), k1 = Mix(k0, 0x9e3779b97f4a7c15u) | 1, k2 = Mix(k1, 0xd1b54a32d192ed03u) | 1;
  constexpr size_t kStreams = 4, kStep = 16;
  const auto add = [&](Hash& hash, const unsigned char* from, size_t count) {
    uint64_t words[2] = {0, 0};
    std::memcpy(words, from, count);
    hash.low = Mix(hash.low ^ words[0] ^ k1, words[1] ^ k2);
    hash.high = Mix(hash.high + words[1] + k0, (words[0] ^ k1) + hash.high) + words[0];
  };
  Hash streams[kStreams];
  for (size_t s = 0; s < kStreams; ++s) streams[s] = {k1 ^ (size + s), k2 + Mix(seed + k0 + s, k1)};
  size_t at = 0;
  for (; size - at >= kStreams * kStep; at += kStreams * kStep) {
    for (size_t s = 0; s < kStreams; ++s) add(streams[s], bytes + at + s * kStep, kStep);
  }
  for (size_t s = 0; at < size; at += kStep, ++s) add(streams[s], bytes + at, std::min(kStep, size - at));
  Hash hash = streams[0];
  for (size_t s = 1; s < kStreams; ++s)
    add(hash, reinterpret_cast<const unsigned char*>(&streams[s]), sizeof(Hash));
  return hash;
}

// Of pieces, on all threads, and of their hashes: weights come from the file, at the speed of memory.
Hash HashOf(const void* data, size_t size) {
  constexpr size_t kPieceBytes = size_t{1} << 20;
  const auto* bytes = static_cast<const unsigned char*>(data);
  if (size <= kPieceBytes) return HashOfPiece(bytes, size, size);
  std::vector<Hash> pieces((size + kPieceBytes - 1) / kPieceBytes);
  ForEachTile(static_cast<int64_t>(pieces.size()), [&](int64_t i) {
    const size_t at = static_cast<size_t>(i) * kPieceBytes;
    pieces[static_cast<size_t>(i)] = HashOfPiece(bytes + at, std::min(kPieceBytes, size - at), at);
  });
  return HashOfPiece(reinterpret_cast<const unsigned char*>(pieces.data()), pieces.size() * sizeof(Hash),
                     size);
}

using Key = std::tuple<Hash, int64_t, std::string>;

struct Cache {
  std::mutex mutex;
  std::map<Key, std::weak_ptr<const Tensor>> entries;
};

Cache& TheCache() {
  // Never destroyed: packed weights may outlive static objects.
  static Cache* const cache = new Cache;
  return *cache;
}

thread_local HeldScope* innermost = nullptr;
thread_local PackSource* innermost_source = nullptr;
thread_local bool packs_alone = false;

std::unique_ptr<Tensor> Pack(int64_t packed_bytes, const std::function<void(std::byte*)>& pack) {
  auto packed = std::make_unique<Tensor>(DataType::kUInt8, Shape{packed_bytes});
  pack(static_cast<std::byte*>(packed->mutable_data()));
  return packed;
}

PackedWeights FindOrPack(const Tensor& weights, const std::string& format, int64_t packed_bytes,
                         const std::function<void(std::byte*)>& pack) {
  Key key(HashOf(weights.data(), static_cast<size_t>(weights.byte_size())), packed_bytes, format);
  Cache& cache = TheCache();
  {
    const std::lock_guard lock(cache.mutex);
    const auto found = cache.entries.find(key);
    if (found != cache.entries.end()) {
      if (PackedWeights packed = found->second.lock()) return packed;
    }
  }
  // Packed outside of the lock; of two threads that meet here, the second one's work is dropped.
  const PackedWeights result(Pack(packed_bytes, pack).release(), [key](const Tensor* tensor) {
    delete tensor;
    Cache& owner = TheCache();
    const std::lock_guard guard(owner.mutex);
    const auto found = owner.entries.find(key);
    if (found != owner.entries.end() && found->second.expired()) owner.entries.erase(found);
  });
  const std::lock_guard lock(cache.mutex);
  std::weak_ptr<const Tensor>& entry = cache.entries[key];
  if (PackedWeights other = entry.lock()) return other;
  entry = result;
  return result;
}

}  // namespace

PackedWeights PackShared(const Tensor& weights, const std::string& format, int64_t packed_bytes,
                         const std::function<void(std::byte*)>& pack) {
  PackSource* const source = packs_alone ? nullptr : innermost_source;
  PackedWeights packed = source == nullptr ? nullptr : source->Find(weights, format, packed_bytes);
  if (!packed) {
    packed = packs_alone ? Pack(packed_bytes, pack) : FindOrPack(weights, format, packed_bytes, pack);
    // What follows reads the packed form. Who packs alone does so once, and soon gives back all of the file.
    if (!packs_alone) ForgetMapped(weights.data(), static_cast<size_t>(weights.byte_size()));
    if (source != nullptr) source->Note(weights, format, packed);
  }
  if (innermost != nullptr) innermost->given_.push_back(packed);
  return packed;
}

PackedWeights PackPadded(const Tensor& values, int64_t elems) {
  const int64_t bytes = elems * static_cast<int64_t>(sizeof(float));
  return PackShared(values, "padded " + std::to_string(elems), bytes, [&](std::byte* to) {
    std::byte* end = std::copy_n(static_cast<const std::byte*>(values.data()), values.byte_size(), to);
    std::fill(end, to + bytes, std::byte(0));
  });
}

PackAloneScope::PackAloneScope() : outer_(std::exchange(packs_alone, true)) {}

PackAloneScope::~PackAloneScope() { packs_alone = outer_; }

PackSourceScope::PackSourceScope(PackSource& source) : outer_(innermost_source) {
  innermost_source = &source;
}

PackSourceScope::~PackSourceScope() { innermost_source = outer_; }

HeldScope::HeldScope() : outer_(innermost) { innermost = this; }

HeldScope::~HeldScope() { innermost = outer_; }

void CountHeld(int64_t bytes) {
  if (innermost != nullptr) innermost->counted_bytes_ += bytes;
}

std::vector<PackedWeights> HeldScope::TakePacked() {
  std::sort(given_.begin(), given_.end());
  given_.erase(std::unique(given_.begin(), given_.end()), given_.end());
  std::erase_if(given_, [](const PackedWeights& packed) { return packed.use_count() == 1; });
  return std::move(given_);
}

}  // namespace sluice
