#include "kernels/ops/attention_spec.h"

#include "kernels/dispatch.h"
#include "sluice/error.h"

namespace sluice {
namespace {

using Rows = AttentionSpec::Rows;

// An input of rank 4 is [batch, heads, length, size], one of rank 3 [batch, length, heads * size].
template <typename Size>
struct Heads {
  Size batch, heads, length, size;
};

template <typename Context>
int64_t HeadsOf(const Context& ctx, int input) {
  const char* const name = input == 0 ? "q_num_heads" : "kv_num_heads";
  const int64_t heads = ctx.attrs().Int(name, 0);
  if (heads <= 0)
    ctx.Fail(std::string(name) + " is " + std::to_string(heads) + ", expected the number of heads of input " +
             std::to_string(input) + ", which has rank 3");
  return heads;
}

Heads<Dim> ReadHeads(const InferContext& ctx, int input) {
  const SymShape& shape = ctx.shape(input);
  if (shape.size() == 4) return {shape[0], shape[1], shape[2], shape[3]};
  if (shape.size() != 3)
    ctx.Fail("input " + std::to_string(input) + " has rank " + std::to_string(shape.size()) +
             ", expected 3 or 4");
  const int64_t heads = HeadsOf(ctx, input);
  if (shape[2].known() && shape[2].value() % heads != 0)
    ctx.Fail("input " + std::to_string(input) + " is " + ToString(shape) +
             ", expected a last size that is a multiple of " + std::to_string(heads) + " heads");
  return {shape[0], heads, shape[1], shape[2].known() ? Dim(shape[2].value() / heads) : Dim()};
}

Heads<int64_t> ReadHeads(const PrepareContext& ctx, int input) {
  const Shape& shape = ctx.shape(input);
  if (shape.size() == 4) return {shape[0], shape[1], shape[2], shape[3]};
  const int64_t heads = HeadsOf(ctx, input);
  return {shape[0], heads, shape[1], shape[2] / heads};
}

// Of a tensor of rank `rank` with these sizes.
Rows RowsOf(DataType type, size_t rank, const Heads<int64_t>& h) {
  if (rank == 4) return {type, h.heads * h.length * h.size, h.length * h.size, h.size};
  return {type, h.heads * h.length * h.size, h.size, h.heads * h.size};
}

void CheckFloat(const PrepareContext& ctx, int input) {
  if (!Contains(FloatTypes(), ctx.dtype(input)))
    ctx.Unsupported("input " + std::to_string(input) + " of type " +
                    std::string(DataTypeName(ctx.dtype(input))));
}

void Expect(const PrepareContext& ctx, int input, DataType type, const Shape& shape) {
  if (ctx.dtype(input) != type || ctx.shape(input) != shape)
    ctx.Fail("input " + std::to_string(input) + " is " + std::string(DataTypeName(ctx.dtype(input))) + " " +
             ToString(ctx.shape(input)) + ", expected " + std::string(DataTypeName(type)) + " " +
             ToString(shape));
}

AttentionSpec::Mask ReadMask(const PrepareContext& ctx, const AttentionSpec& spec) {
  AttentionSpec::Mask mask;
  if (!ctx.has_input(3)) return mask;
  mask.type = ctx.dtype(3);
  if (mask.type != DataType::kBool) CheckFloat(ctx, 3);
  const Shape& shape = ctx.shape(3);
  const int64_t whole[] = {spec.batch, spec.q_heads, spec.q_length, spec.keys()};
  int64_t* const strides[] = {&mask.batch, &mask.head, &mask.row, &mask.key};
  bool fits = !shape.empty() && shape.size() <= 4;
  int64_t stride = 1;
  for (size_t i = 0; fits && i < shape.size(); ++i) {
    const int64_t size = shape[shape.size() - 1 - i];
    // Fewer keys than there are: the others are masked. Before version 24 one key stood for all.
    const bool broadcasts = size == 1 && (i > 0 || ctx.since_version() < 24);
    fits = broadcasts || size == whole[3 - i] || (i == 0 && size < whole[3]);
    *strides[3 - i] = broadcasts ? 0 : stride;
    stride *= size;
  }
  if (!fits)
    ctx.Fail("attn_mask is " + ToString(shape) + ", expected what broadcasts to " +
             ToString(Shape(std::begin(whole), std::end(whole))));
  mask.keys = mask.key == 0 ? spec.keys() : shape.back();
  return mask;
}

void CheckEqual(const PrepareContext& ctx, const char* what, int64_t a, int first, int64_t b, int second) {
  if (a != b)
    ctx.Fail(std::string(what) + " of input " + std::to_string(second) + " is " + std::to_string(b) +
             ", expected " + std::to_string(a) + " as of input " + std::to_string(first));
}

}  // namespace

AttentionSpec ReadAttention(const PrepareContext& ctx) {
  for (int i = 0; i < 3; ++i) CheckFloat(ctx, i);
  const Heads<int64_t> q = ReadHeads(ctx, 0), k = ReadHeads(ctx, 1), v = ReadHeads(ctx, 2);
  CheckEqual(ctx, "the batch", q.batch, 0, k.batch, 1);
  CheckEqual(ctx, "the batch", q.batch, 0, v.batch, 2);
  CheckEqual(ctx, "the size of a head", q.size, 0, k.size, 1);
  CheckEqual(ctx, "the number of heads", k.heads, 1, v.heads, 2);
  CheckEqual(ctx, "the length", k.length, 1, v.length, 2);
  if (k.heads == 0 || q.heads % k.heads != 0)
    ctx.Fail("q has " + std::to_string(q.heads) + " heads, expected a multiple of the " +
             std::to_string(k.heads) + " of k and v");

  AttentionSpec spec;
  spec.batch = q.batch;
  spec.q_heads = q.heads;
  spec.kv_heads = k.heads;
  spec.q_length = q.length;
  spec.kv_length = k.length;
  spec.qk_size = q.size;
  spec.v_size = v.size;
  spec.q = RowsOf(ctx.dtype(0), ctx.shape(0).size(), q);
  spec.k = RowsOf(ctx.dtype(1), ctx.shape(1).size(), k);
  spec.v = RowsOf(ctx.dtype(2), ctx.shape(2).size(), v);
  spec.y = RowsOf(ctx.dtype(0), ctx.shape(0).size(), {q.batch, q.heads, q.length, v.size});
  if (ctx.has_input(4) != ctx.has_input(5)) ctx.Fail("past_key and past_value go together; one is missing");
  if (ctx.has_input(4)) {
    if (ctx.shape(4).size() != 4)
      ctx.Fail("past_key has rank " + std::to_string(ctx.shape(4).size()) + ", expected 4");
    spec.past_length = ctx.shape(4)[2];
    const Heads<int64_t> past_k{k.batch, k.heads, spec.past_length, k.size};
    const Heads<int64_t> past_v{v.batch, v.heads, spec.past_length, v.size};
    Expect(ctx, 4, ctx.dtype(1), {k.batch, k.heads, spec.past_length, k.size});
    Expect(ctx, 5, ctx.dtype(2), {v.batch, v.heads, spec.past_length, v.size});
    spec.past_k = RowsOf(ctx.dtype(1), 4, past_k);
    spec.past_v = RowsOf(ctx.dtype(2), 4, past_v);
  }
  spec.mask = ReadMask(ctx, spec);
  spec.nonpad = ctx.has_input(6);
  if (spec.nonpad) Expect(ctx, 6, DataType::kInt64, {spec.batch});
  spec.causal = ctx.attrs().Int("is_causal", 0) != 0;
  spec.window = ctx.attrs().Int("local_window_size", -1);
  const auto scale = ctx.attrs().Float("scale", 0);
  spec.scale = ctx.attrs().Has("scale") ? static_cast<double>(scale)
                                        : 1 / std::sqrt(static_cast<double>(std::max<int64_t>(q.size, 1)));
  spec.softcap = static_cast<double>(ctx.attrs().Float("softcap", 0));
  const int64_t mode = ctx.attrs().Int("qk_matmul_output_mode", 0);
  if (mode < 0 || mode > 3)
    ctx.Fail("qk_matmul_output_mode is " + std::to_string(mode) + ", expected 0 to 3");
  spec.qk_output = static_cast<AttentionSpec::QkOutput>(mode);
  return spec;
}

void InferAttention(InferContext& ctx) {
  const Heads<Dim> q = ReadHeads(ctx, 0), k = ReadHeads(ctx, 1), v = ReadHeads(ctx, 2);
  if (ctx.rank(0) == 4) {
    ctx.SetOutput(0, ctx.dtype(0), {q.batch, q.heads, q.length, v.size});
  } else {
    ctx.SetOutput(0, ctx.dtype(0), {q.batch, q.length, q.heads * v.size});
  }
  Dim keys = k.length;
  if (ctx.has_input(4) && ctx.rank(4) == 4) keys = keys + ctx.shape(4)[2];
  ctx.SetOutput(1, ctx.dtype(1), {k.batch, k.heads, keys, k.size});
  ctx.SetOutput(2, ctx.dtype(2), {v.batch, v.heads, keys, v.size});
  ctx.SetOutput(3, ctx.dtype(0), {q.batch, q.heads, q.length, keys});
}

}  // namespace sluice
