#include "graph/darknet/network.h"

// [maxpool], [local_avgpool], [avgpool], [upsample], [reorg], [reorg3d], [crop]: sections that only move or
// pool.

namespace sluice::darknet {
namespace {

struct PoolWindow {
  int64_t size, stride_x, stride_y, pad_begin, pad_end;
};

// Darknet pads `padding` in all, the smaller half in front.
PoolWindow ReadWindow(const Section& section) {
  const int64_t stride = section.Int("stride", 1, 1, kMostWindow);
  PoolWindow window;
  window.stride_x = section.Int("stride_x", stride, 1, kMostWindow);
  window.stride_y = section.Int("stride_y", stride, 1, kMostWindow);
  window.size = section.Int("size", stride, 1, kMostWindow);
  const int64_t padding = section.Int("padding", window.size - 1, 0, kMostWindow);
  window.pad_begin = padding / 2;
  window.pad_end = padding - window.pad_begin;
  return window;
}

Layer Pool(Network& net, const Section& section, const std::string& type, const PoolWindow& w) {
  const Layer& x = net.current;
  Layer y = x;
  const int64_t padding = w.pad_begin + w.pad_end;
  y.h = OutputSize(section, x.h, padding, w.size, w.stride_y);
  y.w = OutputSize(section, x.w, padding, w.size, w.stride_x);
  // Padding that a window never reaches is legal in Darknet, not everywhere else.
  const auto last = [&](int64_t out, int64_t stride, int64_t in) {
    return std::max<int64_t>(0, (out - 1) * stride + w.size - in - w.pad_begin);
  };
  const int64_t bottom = last(y.h, w.stride_y, x.h), right = last(y.w, w.stride_x, x.w);
  if (w.pad_begin >= w.size || bottom >= w.size || right >= w.size) {
    section.Fail("padding", "expected less than the size " + std::to_string(w.size) + " on each side");
  }
  y.value = net.build.Op(type, {x.value},
                         {{"kernel_shape", std::vector<int64_t>{w.size, w.size}},
                          {"strides", std::vector<int64_t>{w.stride_y, w.stride_x}},
                          {"pads", std::vector<int64_t>{w.pad_begin, w.pad_begin, bottom, right}}});
  return y;
}

// The largest of the channels k, k + out_channels, k + 2 out_channels, ... for each k.
Layer MaxOverChannels(Network& net, const Section& section, int64_t out_channels) {
  const Layer& x = net.current;
  if (out_channels > x.c || x.c % out_channels != 0) {
    section.Fail("out_channels", "expected a divisor of " + std::to_string(x.c) + " channels, found " +
                                     std::to_string(out_channels));
  }
  GraphBuilder& b = net.build;
  Layer y = x;
  y.c = out_channels;
  const ValueId grouped = b.Reshape(x.value, {0, x.c / out_channels, out_channels, x.h, x.w});
  y.value = b.Reduce("ReduceMax", grouped, {1}, false);
  return y;
}

Layer MaxPool(Network& net, const Section& section) {
  WantPicture(section, net.current);
  PoolWindow window = ReadWindow(section);
  const bool depth = section.Int("maxpool_depth", 0) != 0;
  const int64_t out_channels = section.Int("out_channels", 1, 1);
  const int64_t antialiasing = section.Int("antialiasing", 0, 0);
  if (section.Int("maxpool_zero_nonmax", 0) != 0) section.Fail("maxpool_zero_nonmax", "not supported");
  if (depth) return MaxOverChannels(net, section, out_channels);
  const int64_t stride_x = window.stride_x, stride_y = window.stride_y;
  if (antialiasing != 0) window.stride_x = window.stride_y = 1;
  const Layer y = Pool(net, section, "MaxPool", window);
  return antialiasing != 0 ? Blur(net, section, y, antialiasing, stride_x, stride_y) : y;
}

Layer LocalAveragePool(Network& net, const Section& section) {
  WantPicture(section, net.current);
  return Pool(net, section, "AveragePool", ReadWindow(section));
}

Layer AveragePool(Network& net, const Section& section) {
  WantPicture(section, net.current);
  return {net.build.Op("GlobalAveragePool", {net.current.value}), net.current.c, 1, 1, false};
}

Layer Upsample(Network& net, const Section& section) {
  WantPicture(section, net.current);
  const Layer& x = net.current;
  const int64_t stride = section.Int("stride", 2, 1, 1024);
  const float scale = section.Float("scale", 1.0f);
  Layer y = x;
  y.h = x.h * stride;
  y.w = x.w * stride;
  GraphBuilder& b = net.build;
  const auto factor = static_cast<float>(stride);
  const ValueId scales = b.Floats("scales", {1, 1, factor, factor});
  if (b.opset() >= 11) {
    y.value = b.Op("Resize", {x.value, b.opset() < 13 ? b.Floats("roi", {}) : ValueId::kNone, scales},
                   {{"mode", std::string("nearest")},
                    {"coordinate_transformation_mode", std::string("asymmetric")},
                    {"nearest_mode", std::string("floor")}});
  } else {
    y.value =
        b.Op(b.opset() >= 10 ? "Resize" : "Upsample", {x.value, scales}, {{"mode", std::string("nearest")}});
  }
  if (scale != 1.0f) y.value = b.Op("Mul", {y.value, b.Scalar("scale", scale)});
  return y;
}

void CheckReorg(const Section& section, const Layer& x, int64_t s, bool reverse) {
  WantPicture(section, x);
  if (section.Int("flatten", 0) != 0) section.Fail("flatten", "not supported");
  if (s > 1024 || (reverse ? x.c % (s * s) != 0 : x.h % s != 0 || x.w % s != 0)) {
    section.Fail("stride", std::to_string(s) + " does not divide " + std::to_string(x.c) + " x " +
                               std::to_string(x.h) + " x " + std::to_string(x.w));
  }
}

Layer Reorganized(const Layer& x, int64_t s, bool reverse, ValueId value) {
  if (reverse) return {value, x.c / (s * s), x.h * s, x.w * s, false};
  return {value, x.c * s * s, x.h / s, x.w / s, false};
}

// pjreddie's reorg_cpu as forward_reorg_layer calls it: going forward it takes the input for a picture of c /
// s^2 channels and s times its sizes, whatever it is, and moves squares of that to channels.
Layer Reorg(Network& net, const Section& section) {
  const Layer& x = net.current;
  const int64_t s = section.Int("stride", 1, 1, kMostWindow), extra = section.Int("extra", 0, 0);
  const bool reverse = section.Int("reverse", 0) != 0;
  GraphBuilder& b = net.build;
  // As many zeros after the elements.
  if (extra != 0) return {b.Pad(Flat(b, x), {0, 0, 0, extra}, 0.0f), x.elems() + extra, 1, 1, true};
  CheckReorg(section, x, s, reverse);
  if (reverse) return Reorganized(x, s, true, b.Op("DepthToSpace", {x.value}, {{"blocksize", s}}));
  if (x.c % (s * s) != 0) {
    section.Fail("stride", "expected a number of channels that " + std::to_string(s * s) +
                               " divides, found " + std::to_string(x.c));
  }
  const ValueId squares = b.Reshape(x.value, {0, x.c / (s * s), x.h, s, x.w, s});
  const ValueId moved = b.Transpose(squares, {0, 3, 5, 1, 2, 4});
  return Reorganized(x, s, false, b.Reshape(moved, {0, x.c * s * s, x.h / s, x.w / s}));
}

// AlexeyAB's reorg3d: forward it is what SpaceToDepth does; reversed it is the inverse of the above.
Layer Reorg3d(Network& net, const Section& section) {
  const Layer& x = net.current;
  const int64_t s = section.Int("stride", 1, 1, kMostWindow);
  const bool reverse = section.Int("reverse", 0) != 0;
  CheckReorg(section, x, s, reverse);
  GraphBuilder& b = net.build;
  if (!reverse) return Reorganized(x, s, false, b.Op("SpaceToDepth", {x.value}, {{"blocksize", s}}));
  const int64_t c = x.c / (s * s), h = x.h * s, w = x.w * s;
  if (c % (s * s) != 0)
    section.Fail("stride", "expected channels that " + std::to_string(s * s * s * s) + " divides, found " +
                               std::to_string(x.c));
  const ValueId channels = b.Reshape(x.value, {0, s, s, c / (s * s), h, w});
  const ValueId moved = b.Transpose(channels, {0, 3, 4, 1, 5, 2});
  return Reorganized(x, s, true, b.Reshape(moved, {0, c, h, w}));
}

// The middle of the picture, with values from -1 to 1 unless noadjust; what else [crop] does is for training.
Layer Crop(Network& net, const Section& section) {
  const Layer& x = net.current;
  WantPicture(section, x);
  const int64_t h = section.Int("crop_height", 1, 1), w = section.Int("crop_width", 1, 1);
  if (h > x.h) section.Fail("crop_height", "expected at most " + std::to_string(x.h));
  if (w > x.w) section.Fail("crop_width", "expected at most " + std::to_string(x.w));
  section.Ignore({"flip", "angle", "saturation", "exposure", "shift"});
  GraphBuilder& b = net.build;
  const int64_t top = (x.h - h) / 2, left = (x.w - w) / 2;
  Layer y = x;
  y.h = h;
  y.w = w;
  if (h != x.h || w != x.w) y.value = b.Slice(x.value, {top, left}, {top + h, left + w}, {2, 3});
  if (section.Int("noadjust", 0) == 0) {
    y.value = b.Op("Sub", {b.Op("Mul", {y.value, b.Scalar("scale", 2.0f)}), b.Scalar("shift", 1.0f)});
  }
  return y;
}

const RegisterSection kMaxPool({"maxpool", "max"}, MaxPool);
const RegisterSection kLocalAveragePool({"local_avgpool", "local_avg"}, LocalAveragePool);
const RegisterSection kAveragePool({"avgpool", "avg"}, AveragePool);
const RegisterSection kUpsample({"upsample"}, Upsample);
const RegisterSection kReorg({"reorg"}, Reorg);
const RegisterSection kReorg3d({"reorg3d"}, Reorg3d);
const RegisterSection kCrop({"crop"}, Crop);

}  // namespace
}  // namespace sluice::darknet
