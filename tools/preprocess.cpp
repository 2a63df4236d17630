#include "tools/preprocess.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "sluice/error.h"
#include "tools/elements.h"

namespace sluice::tools {
namespace {

[[noreturn]] void Fail(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

// "0.5" or "1/255".
double ParseNumber(const std::string& text, const char* option) {
  double values[2] = {0, 1};
  const size_t slash = text.find('/');
  const std::string parts[2] = {text.substr(0, slash), slash == std::string::npos ? "1" : text.substr(slash + 1)};
  for (int i = 0; i < 2; ++i) {
    const char* end = parts[i].data() + parts[i].size();
    const auto [stop, error] = std::from_chars(parts[i].data(), end, values[i]);
    if (error != std::errc() || stop != end) Fail(fmt::format("{}: '{}' is no number", option, text));
  }
  const double value = values[0] / values[1];
  if (!std::isfinite(value)) Fail(fmt::format("{}: '{}' is not finite", option, text));
  return value;
}

// One number for each of `channels`.
std::vector<double> PerChannel(const std::vector<std::string>& texts, double fallback, size_t channels,
                               const char* option) {
  std::vector<double> values;
  for (const std::string& text : texts) values.push_back(ParseNumber(text, option));
  if (values.empty()) values = {fallback};
  if (values.size() == 1) values.resize(channels, values[0]);
  if (values.size() != channels) {
    Fail(fmt::format("{}: {} numbers, expected 1 or {}, one a channel", option, values.size(), channels));
  }
  return values;
}

bool IsFloat(DataType type) {
  return type == DataType::kFloat || type == DataType::kDouble || type == DataType::kFloat16 ||
         type == DataType::kBFloat16;
}

bool IsChannels(int64_t size) { return size == 1 || size == 3; }

// Where the channels are in a shape of rank 3 or 4: true for the last dimension.
bool ChannelsLast(const Shape& shape, const std::string& layout) {
  if (layout != "auto") return layout == "nhwc";
  const size_t rank = shape.size();
  return !IsChannels(shape[rank - 3]) && IsChannels(shape[rank - 1]);
}

struct Transform {
  std::vector<double> mean;
  std::vector<double> scale;
  bool reversed = false;

  Transform(const PictureOptions& options, size_t channels, DataType type)
      : mean(PerChannel(options.mean, 0, channels, "--mean")),
        scale(PerChannel(options.scale, IsFloat(type) ? 1.0 / 255 : 1, channels, "--scale")) {
    reversed = options.color == "bgr";
  }
  // Which channel of the picture plane `c` of the tensor is, for three channels.
  size_t ChannelOf(size_t c) const { return reversed ? 2 - c : c; }
};

// Weights of ITU-R BT.601, as JPEG and OpenCV use them.
double Gray(const uint8_t* rgb) { return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]; }

template <typename T>
T Rounded(double value) {
  if constexpr (std::is_integral_v<T>) {
    // The limits as doubles: the largest 64-bit values round up to one that does not fit.
    const double lowest = static_cast<double>(std::numeric_limits<T>::min());
    const double highest = static_cast<double>(std::numeric_limits<T>::max());
    if (value <= lowest) return std::numeric_limits<T>::min();
    if (value >= highest) return std::numeric_limits<T>::max();
    return static_cast<T>(std::lround(value));
  } else {
    return T(static_cast<float>(value));
  }
}

}  // namespace

Size ParseSize(const std::string& text) {
  Size size = {0, 0};
  const char* end = text.data() + text.size();
  const auto width = std::from_chars(text.data(), end, size.width);
  if (width.ec == std::errc() && width.ptr != end && *width.ptr == 'x') {
    const auto height = std::from_chars(width.ptr + 1, end, size.height);
    if (height.ec == std::errc() && height.ptr == end && size.width > 0 && size.height > 0 &&
        size.width <= kMaxPixels / size.height) {
      return size;
    }
  }
  Fail(fmt::format("'{}' is no size, expected WIDTHxHEIGHT in pixels", text));
}

void AddPictureOptions(CLI::App& app, PictureOptions& options) {
  const char* group = "Pictures";
  app.add_option("--mean", options.mean, "Subtracted from pixels (0..255): one number or one a channel (0)")
      ->delimiter(',')
      ->group(group);
  app.add_option("--scale", options.scale,
                 "Then multiplied: one number or one a channel, may be a fraction (1/255; 1 for integer inputs)")
      ->delimiter(',')
      ->group(group);
  app.add_option("--layout", options.layout, "Order of the dimensions (from the model's input)")
      ->check(CLI::IsMember({"auto", "nchw", "nhwc"}))
      ->group(group);
  app.add_option("--color", options.color, "Order of the channels (rgb; gray where the input has one channel)")
      ->check(CLI::IsMember({"auto", "rgb", "bgr", "gray"}))
      ->group(group);
  auto* resize = app.add_option("--resize", options.resize, "Stretch to WIDTHxHEIGHT")->group(group);
  app.add_option("--letterbox", options.letterbox, "Fit into WIDTHxHEIGHT on grey, proportions kept")
      ->excludes(resize)
      ->group(group);
}

Tensor PictureToTensor(const Picture& original, const PictureOptions& options, const ValueInfo& input) {
  Shape shape = input.has_shape ? input.shape : Shape{1, options.color == "gray" ? 1 : 3, -1, -1};
  const size_t rank = shape.size();
  if (rank != 3 && rank != 4) {
    Fail(fmt::format("input '{}': a picture fits a shape of rank 3 or 4, the model has {}", input.name,
                     ToString(shape)));
  }
  Picture picture;
  if (!options.resize.empty()) {
    const Size size = ParseSize(options.resize);
    picture = Resize(original, size.width, size.height);
  } else if (!options.letterbox.empty()) {
    const Size size = ParseSize(options.letterbox);
    picture = Letterbox(original, size.width, size.height);
  } else {
    picture = original;
  }

  const bool last = ChannelsLast(shape, options.layout);
  int64_t& channels = shape[last ? rank - 1 : rank - 3];
  int64_t& height = shape[last ? rank - 3 : rank - 2];
  int64_t& width = shape[last ? rank - 2 : rank - 1];
  if (channels < 0) channels = options.color == "gray" ? 1 : 3;
  const bool gray = options.color == "gray" || (options.color == "auto" && channels == 1);
  if (channels != (gray ? 1 : 3)) {
    Fail(fmt::format("input '{}': {} channels, expected {} for a {} picture", input.name, channels, gray ? 1 : 3,
                     gray ? "grey" : "coloured"));
  }
  if ((width >= 0 && width != picture.width) || (height >= 0 && height != picture.height)) {
    const auto known = [](int64_t size) { return size < 0 ? std::string("any") : std::to_string(size); };
    Fail(fmt::format("input '{}': the picture has {}x{} pixels, the model takes {}x{}; use --resize or --letterbox, "
                     "or --shape to override what the model declares",
                     input.name, picture.width, picture.height, known(width), known(height)));
  }
  width = picture.width;
  height = picture.height;
  if (rank == 4 && shape[0] != 1 && shape[0] >= 0) {
    Fail(fmt::format("input '{}': a batch of {}, expected 1 for a picture", input.name, shape[0]));
  }
  if (rank == 4) shape[0] = 1;

  const Transform transform(options, static_cast<size_t>(channels), input.dtype);
  Tensor tensor(input.dtype, shape);
  const size_t pixels = static_cast<size_t>(picture.width) * static_cast<size_t>(picture.height);
  const size_t planes = static_cast<size_t>(channels);
  const bool known = Dispatch(NumericTypes(), input.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto dst = tensor.mutable_values<T>();
    for (size_t c = 0; c < planes; ++c) {
      const auto value = [&](double pixel) { return Rounded<T>((pixel - transform.mean[c]) * transform.scale[c]); };
      T* to = &dst[last ? c : c * pixels];
      const size_t stride = last ? planes : 1;
      if (gray) {
        for (size_t i = 0; i < pixels; ++i) to[i * stride] = value(Gray(&picture.rgb[3 * i]));
        continue;
      }
      std::array<T, 256> table;
      for (size_t pixel = 0; pixel < table.size(); ++pixel) table[pixel] = value(static_cast<double>(pixel));
      const uint8_t* from = &picture.rgb[transform.ChannelOf(c)];
      for (size_t i = 0; i < pixels; ++i) to[i * stride] = table[from[3 * i]];
    }
  });
  if (!known) {
    Fail(fmt::format("input '{}': a picture fits numbers, the model takes {}", input.name,
                     DataTypeName(input.dtype)));
  }
  return tensor;
}

Picture TensorToPicture(const Tensor& tensor, const PictureOptions& options, const std::string& name) {
  const Shape& shape = tensor.shape();
  const size_t rank = shape.size();
  const auto refuse = [&] {
    Fail(fmt::format("output '{}': {} is no picture, expected 1 or 3 channels and a batch of 1", name,
                     DescribeValue(tensor)));
  };
  if (rank != 2 && rank != 3 && rank != 4) refuse();
  const bool last = rank > 2 && ChannelsLast(shape, options.layout);
  const int64_t channels = rank == 2 ? 1 : shape[last ? rank - 1 : rank - 3];
  const int64_t height = shape[last ? rank - 3 : rank - 2], width = shape[last ? rank - 2 : rank - 1];
  if ((rank == 4 && shape[0] != 1) || !IsChannels(channels) || width < 1 || height < 1 ||
      width > kMaxPixels / height) {
    refuse();
  }
  // What made grey or three channels of the input may not suit the output's channels.
  PictureOptions fitting = options;
  if (fitting.mean.size() > 1 && static_cast<int64_t>(fitting.mean.size()) != channels) fitting.mean.resize(1);
  if (fitting.scale.size() > 1 && static_cast<int64_t>(fitting.scale.size()) != channels) fitting.scale.resize(1);
  const Transform transform(fitting, static_cast<size_t>(channels), tensor.dtype());
  Picture picture(static_cast<int>(width), static_cast<int>(height));
  const size_t pixels = static_cast<size_t>(width * height), planes = static_cast<size_t>(channels);
  const bool known = VisitNumbers(tensor, [&](auto values) {
    for (size_t i = 0; i < pixels; ++i) {
      for (size_t c = 0; c < planes; ++c) {
        const double value = static_cast<double>(values[last ? i * planes + c : c * pixels + i]);
        const double pixel = value / transform.scale[c] + transform.mean[c];
        // NaN becomes 0.
        const auto byte = static_cast<uint8_t>(pixel > 0 ? std::min(pixel, 255.0) + 0.5 : 0);
        if (planes == 1) std::fill_n(&picture.rgb[3 * i], 3, byte);
        else picture.rgb[3 * i + transform.ChannelOf(c)] = byte;
      }
    }
  });
  if (!known) refuse();
  return picture;
}

}  // namespace sluice::tools
