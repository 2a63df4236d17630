#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "sluice/tensor.h"

namespace sluice {

// Weights in the order that a kernel wants them, 64-byte aligned.
using PackedWeights = std::shared_ptr<const Tensor>;

// The packed form of `weights`, shared by everyone in the process who packs the same bytes with the same
// `format`; it lives as long as somebody holds it. `format` names all that `pack` depends on beside the
// bytes. `pack` writes all of `packed_bytes` that anybody reads. Thread-safe.
PackedWeights PackShared(const Tensor& weights, const std::string& format, int64_t packed_bytes,
                         const std::function<void(std::byte*)>& pack);

}  // namespace sluice
