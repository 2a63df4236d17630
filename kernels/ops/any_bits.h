#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "kernels/kernel.h"
#include "kernels/narrow.h"

namespace sluice {

// K, which moves elements of 8 bits and more, for the types below as well: those of input 0's type are
// unpacked to bytes, K runs on these, and output 0 is packed again. One tile; scratch holds the bytes.
template <typename K>
class AnyBits : public Kernel {
 public:
  std::string name() const override { return inner_.name(); }
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    narrow_ = DataTypeBits(type_) < 8;
    if (!narrow_) return inner_.Prepare(ctx);
    std::vector<TensorDesc> inputs, outputs;
    std::vector<const Tensor*> constants;
    std::vector<bool> known;
    for (size_t i = 0; i < ctx.node().inputs.size(); ++i) {
      const int index = static_cast<int>(i);
      inputs.push_back(ctx.input(index));
      unpacked_.push_back(inputs[i].dtype == type_ ? inputs[i].num_elements() : -1);
      if (unpacked_[i] >= 0) inputs[i].dtype = DataType::kUInt8;
      constants.push_back(unpacked_[i] >= 0 ? nullptr : ctx.constant(index));
    }
    for (int i = 0; i < ctx.num_outputs(); ++i) {
      outputs.push_back(ctx.output(i));
      outputs.back().dtype = DataType::kUInt8;
      known.push_back(ctx.output_known(i));
    }
    count_ = ctx.output(0).num_elements();
    PrepareContext bytes(ctx.node(), inputs, constants, outputs, known, {});
    inner_.Prepare(bytes);
    if (bytes.request().shares_input[0] == 0 && bytes.request().shares_offset[0] == 0)
      return ctx.ShareOutput(0, 0);
    inner_scratch_ = (bytes.request().scratch_bytes + 63) / 64 * 64;
    int64_t scratch = inner_scratch_ + count_;
    for (int64_t elems : unpacked_) scratch += std::max<int64_t>(elems, 0);
    ctx.SetScratch(scratch);
  }
  int64_t tiles() const override { return narrow_ ? 1 : inner_.tiles(); }
  int64_t flops() const override { return inner_.flops(); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    if (!narrow_) return inner_.Run(ctx, tile);
    auto* const scratch = ctx.scratch<uint8_t>();
    uint8_t* free = scratch + inner_scratch_;
    std::vector<const void*> inputs(ctx.inputs().begin(), ctx.inputs().end());
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (unpacked_[i] < 0 || inputs[i] == nullptr) continue;
      for (int64_t k = 0; k < unpacked_[i]; ++k) free[k] = LoadNarrowBits(type_, inputs[i], k);
      inputs[i] = free;
      free += unpacked_[i];
    }
    void* outputs[] = {free};
    const RunContext bytes(inputs, outputs, reinterpret_cast<std::byte*>(scratch), nullptr);
    for (int64_t i = 0; i < inner_.tiles(); ++i) inner_.Run(bytes, i);
    std::memset(ctx.out<void>(0), 0, static_cast<size_t>(ByteSize(type_, count_)));
    for (int64_t k = 0; k < count_; ++k) StoreNarrowBits(type_, ctx.out<void>(0), k, free[k]);
  }

 private:
  K inner_;
  DataType type_ = DataType::kUndefined;
  bool narrow_ = false;
  std::vector<int64_t> unpacked_;  // elements of each input that is unpacked, otherwise -1
  int64_t count_ = 0, inner_scratch_ = 0;
};

}  // namespace sluice
