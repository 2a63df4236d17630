#pragma once

#include <cstdint>

#include "kernels/kernel.h"

namespace sluice {

// What an Attention node computes: for each batch item and head, y = softmax(scale q k' + masks) v.
struct AttentionSpec {
  // Where rows [batch][head][row] of elements that lie together begin.
  struct Rows {
    DataType type = DataType::kUndefined;
    int64_t batch = 0, head = 0, row = 0;  // strides in elements
  };
  // An addend of the scores, or what they are to be kept at; it broadcasts by strides of 0.
  struct Mask {
    DataType type = DataType::kUndefined;  // kUndefined: there is none
    int64_t batch = 0, head = 0, row = 0, key = 0;
    int64_t keys = 0;  // keys beyond them are masked
  };
  // What output 3 shows.
  enum QkOutput { kScaled, kCapped, kMasked, kSoftmax };

  int64_t batch = 0, q_heads = 0, kv_heads = 0;
  int64_t q_length = 0, kv_length = 0, past_length = 0;
  int64_t qk_size = 0, v_size = 0;  // elements of a row of q and k, of v
  Rows q, k, v, past_k, past_v, y;
  Mask mask;
  bool causal = false, nonpad = false;
  int64_t window = -1;  // positive: a query sees so many keys, itself included
  double scale = 1, softcap = 0;
  QkOutput qk_output = kScaled;

  bool has_past() const { return past_k.type != DataType::kUndefined; }
  int64_t keys() const { return past_length + kv_length; }
  // Queries that share a head of k and v.
  int64_t group_rows() const { return q_heads / kv_heads * q_length; }
};

// Checks the inputs. Throws Error.
AttentionSpec ReadAttention(const PrepareContext& ctx);
void InferAttention(InferContext& ctx);

}  // namespace sluice
