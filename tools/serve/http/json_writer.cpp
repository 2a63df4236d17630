#include "tools/serve/http/json_writer.h"

#include <fmt/compile.h>
#include <fmt/format.h>
#include <simdjson.h>

#include <cmath>

#include "kernels/half.h"
#include "tools/serve/types.h"

namespace sluice::serve {
namespace {

constexpr size_t kMostDigits = 32;  // of a number, its comma with it

bool NeedsEscape(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\' || c == 0x7f;
}

void AppendEscaped(std::string_view text, std::string& json) {
  size_t plain = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (!NeedsEscape(text[i])) continue;
    json.append(text, plain, i - plain);
    plain = i + 1;
    switch (text[i]) {
      case '"':
        json += "\\\"";
        break;
      case '\\':
        json += "\\\\";
        break;
      case '\n':
        json += "\\n";
        break;
      case '\r':
        json += "\\r";
        break;
      case '\t':
        json += "\\t";
        break;
      default:
        fmt::format_to(std::back_inserter(json), "\\u{:04x}", static_cast<unsigned char>(text[i]));
    }
  }
  json.append(text, plain);
}

// How many bytes of a character of UTF-8 are at the start; 0 if none is.
size_t Utf8Length(std::string_view text) {
  for (size_t bytes = 1; bytes <= std::min<size_t>(4, text.size()); ++bytes)
    if (simdjson::validate_utf8(text.data(), bytes)) return bytes;
  return 0;
}

char* AppendNumber(bool value, char* out) { return fmt::format_to(out, FMT_COMPILE("{}"), value); }
char* AppendNumber(float value, char* out) {
  if (std::isfinite(value)) return fmt::format_to(out, FMT_COMPILE("{}"), value);
  return fmt::format_to(out, FMT_COMPILE("\"{}\""),
                        std::isnan(value) ? "NaN" : (value < 0 ? "-Infinity" : "Infinity"));
}
char* AppendNumber(double value, char* out) {
  if (std::isfinite(value)) return fmt::format_to(out, FMT_COMPILE("{}"), value);
  return AppendNumber(static_cast<float>(value), out);
}
char* AppendNumber(Half value, char* out) { return AppendNumber(static_cast<float>(value), out); }
template <typename T>
requires std::is_integral_v<T>
char* AppendNumber(T value, char* out) { return fmt::format_to(out, FMT_COMPILE("{}"), value); }

template <typename T>
void AppendNumbers(const Tensor& tensor, std::string& json) {
  constexpr size_t kAtOnce = 512;
  char buffer[kAtOnce * kMostDigits];
  const auto values = tensor.values<T>();
  for (size_t begin = 0; begin < values.size(); begin += kAtOnce) {
    char* out = buffer;
    for (size_t i = begin; i < std::min(values.size(), begin + kAtOnce); ++i) {
      if (i > 0) *out++ = ',';
      out = AppendNumber(values[i], out);
    }
    json.append(buffer, static_cast<size_t>(out - buffer));
  }
}

void AppendStrings(const Tensor& tensor, std::string_view name, std::string& json) {
  bool first = true;
  for (const std::string& text : tensor.values<std::string>()) {
    if (!simdjson::validate_utf8(text))
      throw ServeError(Reason::kInvalid,
                       fmt::format("output '{}' holds bytes that are no text: ask for binary_data", name));
    if (!first) json += ',';
    first = false;
    json += '"';
    AppendEscaped(text, json);
    json += '"';
  }
}

}  // namespace

void AppendJsonString(std::string_view text, std::string& json) {
  json += '"';
  if (simdjson::validate_utf8(text.data(), text.size())) {
    AppendEscaped(text, json);
  } else {
    while (!text.empty()) {
      const size_t bytes = Utf8Length(text);
      if (bytes == 0)
        json += "\xef\xbf\xbd";
      else
        AppendEscaped(text.substr(0, bytes), json);
      text.remove_prefix(std::max<size_t>(1, bytes));
    }
  }
  json += '"';
}

void AppendJsonElements(const Tensor& tensor, std::string_view name, std::string& json) {
  json += '[';
  switch (tensor.dtype()) {
    case DataType::kBool:
      AppendNumbers<bool>(tensor, json);
      break;
    case DataType::kUInt8:
      AppendNumbers<uint8_t>(tensor, json);
      break;
    case DataType::kUInt16:
      AppendNumbers<uint16_t>(tensor, json);
      break;
    case DataType::kUInt32:
      AppendNumbers<uint32_t>(tensor, json);
      break;
    case DataType::kUInt64:
      AppendNumbers<uint64_t>(tensor, json);
      break;
    case DataType::kInt8:
      AppendNumbers<int8_t>(tensor, json);
      break;
    case DataType::kInt16:
      AppendNumbers<int16_t>(tensor, json);
      break;
    case DataType::kInt32:
      AppendNumbers<int32_t>(tensor, json);
      break;
    case DataType::kInt64:
      AppendNumbers<int64_t>(tensor, json);
      break;
    case DataType::kFloat16:
      AppendNumbers<Half>(tensor, json);
      break;
    case DataType::kFloat:
      AppendNumbers<float>(tensor, json);
      break;
    case DataType::kDouble:
      AppendNumbers<double>(tensor, json);
      break;
    case DataType::kString:
      AppendStrings(tensor, name, json);
      break;
    default:
      throw ServeError(Reason::kInvalid,
                       fmt::format("output '{}' has a type without JSON: ask for binary_data", name));
  }
  json += ']';
}

}  // namespace sluice::serve
