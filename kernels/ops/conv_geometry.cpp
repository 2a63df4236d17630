#include "kernels/ops/conv_geometry.h"

#include "sluice/error.h"

namespace sluice {
namespace {

[[noreturn]] void Fail(const std::string& message) { throw Error(ErrorCode::kInvalidModel, message); }

int64_t ReadGroups(const Attributes& attrs) {
  const int64_t groups = attrs.Int("group", 1);
  if (groups < 1) Fail("group is " + std::to_string(groups) + ", expected at least 1");
  return groups;
}

// Ranks of input and weights, and the kernel's sizes where they are known.
std::vector<int64_t> CheckRanks(InferContext& ctx, int weights) {
  if (ctx.rank(0) < 3) ctx.Fail("input has rank " + std::to_string(ctx.rank(0)) + ", expected at least 3");
  if (ctx.rank(weights) != ctx.rank(0)) {
    ctx.Fail("weights have rank " + std::to_string(ctx.rank(weights)) + ", expected the input's " +
             std::to_string(ctx.rank(0)));
  }
  std::vector<int64_t> kernel;
  for (size_t i = 2; i < ctx.shape(weights).size(); ++i) {
    const Dim& dim = ctx.shape(weights)[i];
    if (!dim.known()) return {};
    kernel.push_back(dim.value());
  }
  return kernel;
}

void CheckBias(InferContext& ctx, int bias, const Dim& oc) {
  if (bias < 0 || !ctx.has_input(bias)) return;
  if (ctx.rank(bias) != 1) ctx.Fail("bias has rank " + std::to_string(ctx.rank(bias)) + ", expected 1");
  const Dim& size = ctx.shape(bias)[0];
  if (size.known() && oc.known() && size.value() != oc.value()) {
    ctx.Fail("bias has " + std::to_string(size.value()) + " elements, expected one for each of " +
             std::to_string(oc.value()) + " output channels");
  }
}

SymShape SpatialOf(const SymShape& shape) { return {shape.begin() + 2, shape.end()}; }

SymShape OutputShape(Dim n, Dim c, const SymShape& spatial) {
  SymShape shape = {std::move(n), std::move(c)};
  shape.insert(shape.end(), spatial.begin(), spatial.end());
  return shape;
}

// The pads of ConvTranspose for one axis, from the size that the output shall have.
void PadsForOutput(Window& w, size_t axis, int64_t in, int64_t output_padding, int64_t out) {
  const int64_t total =
      std::max<int64_t>(0, (in - 1) * w.strides[axis] + output_padding + w.span(axis) - out);
  w.pads_begin[axis] = w.auto_pad == AutoPad::kSameUpper ? total / 2 : total - total / 2;
  w.pads_end[axis] = total - w.pads_begin[axis];
}

// The output sizes of ConvTranspose; resolves the pads. in[axis] < 0 is unknown and gives -1.
std::vector<int64_t> TransposedSizes(const Attributes& attrs, Window& w, const std::vector<int64_t>& in) {
  const size_t rank = w.rank();
  const std::vector<int64_t> extra = attrs.Ints("output_padding", std::vector<int64_t>(rank, 0));
  std::vector<int64_t> wanted = attrs.Ints("output_shape", std::vector<int64_t>());
  // Some exporters state batch and channels too.
  if (wanted.size() == rank + 2) wanted.erase(wanted.begin(), wanted.begin() + 2);
  if (extra.size() != rank) Fail("output_padding has " + std::to_string(extra.size()) + " values, expected " + std::to_string(rank));
  if (!wanted.empty() && wanted.size() != rank) {
    Fail("output_shape has " + std::to_string(wanted.size()) + " values, expected " + std::to_string(rank));
  }
  std::vector<int64_t> out;
  for (size_t i = 0; i < rank; ++i) {
    if (extra[i] < 0 || extra[i] >= std::max(w.strides[i], w.dilations[i])) {
      Fail("output_padding has the value " + std::to_string(extra[i]) + ", expected at least 0 and less than stride or dilation");
    }
    if (in[i] < 0) {
      out.push_back(wanted.empty() ? -1 : wanted[i]);
      continue;
    }
    int64_t grown = 0;
    // Far from where the sums below overflow.
    if (__builtin_mul_overflow(in[i], w.strides[i], &grown) || grown > INT64_MAX / 4)
      Fail("the output is too large");
    if (!wanted.empty()) {
      if (wanted[i] < 0) Fail("output_shape has the value " + std::to_string(wanted[i]));
      PadsForOutput(w, i, in[i], extra[i], wanted[i]);
      out.push_back(wanted[i]);
    } else if (w.auto_pad == AutoPad::kSameUpper || w.auto_pad == AutoPad::kSameLower) {
      PadsForOutput(w, i, in[i], extra[i], grown);
      out.push_back(grown);
    } else {
      if (w.auto_pad == AutoPad::kValid) w.pads_begin[i] = w.pads_end[i] = 0;
      out.push_back(grown - w.strides[i] + extra[i] + w.span(i) - w.pads_begin[i] - w.pads_end[i]);
      if (out.back() < 0) Fail("spatial axis " + std::to_string(i) + " of the output would have " + std::to_string(out.back()) + " positions");
    }
  }
  return out;
}

}  // namespace

int64_t ConvGeometry::flops() const {
  const int64_t pixels = transposed ? in_elems() : out_elems();
  const int64_t pairs = groups == 0 ? 0 : transposed ? ic * oc_per_group() : oc * ic_per_group();
  const double count = 2.0 * static_cast<double>(n) * static_cast<double>(pairs) *
                       static_cast<double>(window.kernel_elems()) * static_cast<double>(pixels);
  return static_cast<int64_t>(std::min(count, 4e18));
}

SymShape InferConvShape(InferContext& ctx, int weights, int bias) {
  const std::vector<int64_t> kernel = CheckRanks(ctx, weights);
  const int64_t groups = ReadGroups(ctx.attrs());
  const SymShape &src = ctx.shape(0), &w = ctx.shape(weights);
  if (src[1].known() && w[1].known()) {
    if (src[1].value() % groups != 0) {
      ctx.Fail("input has " + std::to_string(src[1].value()) + " channels, expected a multiple of group = " + std::to_string(groups));
    }
    if (w[1].value() != src[1].value() / groups) {
      ctx.Fail("weights dimension 1 is " + std::to_string(w[1].value()) + ", expected channels/group = " + std::to_string(src[1].value() / groups));
    }
  }
  if (w[0].known() && w[0].value() % groups != 0) {
    ctx.Fail("weights dimension 0 is " + std::to_string(w[0].value()) + ", expected a multiple of group = " + std::to_string(groups));
  }
  CheckBias(ctx, bias, w[0]);
  SymShape out(src.size() - 2);
  if (!kernel.empty() || ctx.attrs().Has("kernel_shape")) {
    out = InferWindow(ReadWindow(ctx.attrs(), src.size() - 2, kernel), SpatialOf(src));
  }
  return OutputShape(src[0], w[0], out);
}

ConvGeometry ConvGeometryOf(const PrepareContext& ctx, int weights) {
  ConvGeometry g;
  const Shape &src = ctx.shape(0), &w = ctx.shape(weights);
  g.groups = ReadGroups(ctx.attrs());
  g.n = src[0];
  g.ic = src[1];
  g.oc = w[0];
  g.in = SpatialOf(src);
  g.window = ReadWindow(ctx.attrs(), g.in.size(), SpatialOf(w));
  g.out = ResolvePads(g.window, g.in);
  return g;
}

SymShape InferConvTransposeShape(InferContext& ctx) {
  const std::vector<int64_t> kernel = CheckRanks(ctx, 1);
  const int64_t groups = ReadGroups(ctx.attrs());
  const SymShape &src = ctx.shape(0), &w = ctx.shape(1);
  if (src[1].known() && src[1].value() % groups != 0) {
    ctx.Fail("input has " + std::to_string(src[1].value()) + " channels, expected a multiple of group = " + std::to_string(groups));
  }
  if (src[1].known() && w[0].known() && w[0].value() != src[1].value()) {
    ctx.Fail("weights dimension 0 is " + std::to_string(w[0].value()) + ", expected the input's channels, " + std::to_string(src[1].value()));
  }
  const Dim oc = w[1] * Dim(groups);
  CheckBias(ctx, 2, oc);
  SymShape out(src.size() - 2);
  if (!kernel.empty() || ctx.attrs().Has("kernel_shape")) {
    Window window = ReadWindow(ctx.attrs(), src.size() - 2, kernel);
    std::vector<int64_t> in;
    for (const Dim& dim : SpatialOf(src)) in.push_back(dim.known() ? dim.value() : -1);
    const std::vector<int64_t> sizes = TransposedSizes(ctx.attrs(), window, in);
    for (size_t i = 0; i < sizes.size(); ++i) out[i] = sizes[i] < 0 ? Dim() : Dim(sizes[i]);
  }
  return OutputShape(src[0], oc, out);
}

ConvGeometry ConvTransposeGeometryOf(const PrepareContext& ctx) {
  ConvGeometry g;
  g.transposed = true;
  const Shape &src = ctx.shape(0), &w = ctx.shape(1);
  g.groups = ReadGroups(ctx.attrs());
  g.n = src[0];
  g.ic = src[1];
  g.oc = w[1] * g.groups;
  g.in = SpatialOf(src);
  g.window = ReadWindow(ctx.attrs(), g.in.size(), SpatialOf(w));
  g.out = TransposedSizes(ctx.attrs(), g.window, g.in);
  return g;
}

}  // namespace sluice
