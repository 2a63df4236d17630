#include "tools/npy.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "kernels/half.h"
#include "sluice/error.h"
#include "tools/elements.h"
#include "tools/files.h"

namespace sluice::tools {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kMagic = "\x93NUMPY";

// What the header's Python dictionary says.
struct Header {
  std::string descr;
  bool fortran_order = false;
  Shape shape;
};

// Reads the few Python literals that .npy headers consist of.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& place) : text_(text), place_(place) {}

  Header Parse() {
    Header header;
    bool descr = false, order = false, shape = false;
    Expect('{');
    while (!Accept('}')) {
      const std::string key = String();
      Expect(':');
      if (key == "descr") {
        if (Peek() != '\'' && Peek() != '"') Fail("arrays of records are not supported");
        header.descr = String();
        descr = true;
      } else if (key == "fortran_order") {
        header.fortran_order = Bool();
        order = true;
      } else if (key == "shape") {
        header.shape = Tuple();
        shape = true;
      } else {
        Fail(fmt::format("unknown key '{}' in the header", key));
      }
      if (!Accept(',') && Peek() != '}') Fail("the header is garbled");
    }
    if (!descr || !order || !shape) Fail("the header lacks one of descr, fortran_order, shape");
    return header;
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("'{}': {}", place_, what));
  }
  char Peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool Accept(char c) {
    if (Peek() != c) return false;
    ++at_;
    return true;
  }
  void Expect(char c) {
    if (!Accept(c)) Fail(fmt::format("the header is garbled: expected '{}' at byte {}", c, at_));
  }
  std::string String() {
    const char quote = Peek();
    if (quote != '\'' && quote != '"') Fail("the header is garbled: expected a string");
    const size_t end = text_.find(quote, ++at_);
    if (end == std::string_view::npos) Fail("the header is garbled: a string does not end");
    const std::string result(text_.substr(at_, end - at_));
    at_ = end + 1;
    return result;
  }
  bool Bool() {
    Peek();
    for (std::string_view word : {"True", "False"}) {
      if (text_.substr(at_, word.size()) == word) {
        at_ += word.size();
        return word == "True";
      }
    }
    Fail("fortran_order is neither True nor False");
  }
  Shape Tuple() {
    Shape shape;
    Expect('(');
    while (!Accept(')')) {
      int64_t size = 0;
      if (Peek() < '0' || Peek() > '9') Fail("the shape is no tuple of sizes");
      while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
        if (__builtin_mul_overflow(size, 10, &size) || __builtin_add_overflow(size, text_[at_] - '0', &size)) {
          Fail("a size does not fit in 64 bits");
        }
        ++at_;
      }
      shape.push_back(size);
      if (shape.size() > 64) Fail("more than 64 dimensions");
      if (!Accept(',') && Peek() != ')') Fail("the shape is no tuple of sizes");
    }
    return shape;
  }

  std::string_view text_;
  size_t at_ = 0;
  const std::string& place_;
};

struct NumericType {
  std::string_view code;  // NumPy's kind and size in bytes
  DataType type;
};
constexpr NumericType kNumericTypes[] = {
    {"b1", DataType::kBool},    {"i1", DataType::kInt8},    {"i2", DataType::kInt16},
    {"i4", DataType::kInt32},   {"i8", DataType::kInt64},   {"u1", DataType::kUInt8},
    {"u2", DataType::kUInt16},  {"u4", DataType::kUInt32},  {"u8", DataType::kUInt64},
    {"f2", DataType::kFloat16}, {"f4", DataType::kFloat},   {"f8", DataType::kDouble},
    {"c8", DataType::kComplex64}, {"c16", DataType::kComplex128},
};

void SwapBytes(std::byte* data, size_t size, size_t unit) {
  for (size_t i = 0; i + unit <= size; i += unit) std::reverse(data + i, data + i + unit);
}

void AppendUtf8(uint32_t code, std::string& text) {
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xc0 | code >> 6);
    text += static_cast<char>(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    text += static_cast<char>(0xe0 | code >> 12);
    text += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    text += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    text += static_cast<char>(0xf0 | (code >> 18 & 7));
    text += static_cast<char>(0x80 | (code >> 12 & 0x3f));
    text += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    text += static_cast<char>(0x80 | (code & 0x3f));
  }
}

// Code points of UTF-8 text; bytes that are none stand for themselves.
std::vector<uint32_t> CodePoints(const std::string& text) {
  std::vector<uint32_t> codes;
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    uint32_t code = more == 3 ? lead & 7u : more == 2 ? lead & 15u : more == 1 ? lead & 31u : lead;
    if (i + static_cast<size_t>(more) >= text.size() + (more == 0 ? 1 : 0)) code = lead, ++i;
    else {
      for (int j = 1; j <= more; ++j) code = code << 6 | (static_cast<unsigned char>(text[i + j]) & 0x3fu);
      i += static_cast<size_t>(more) + 1;
    }
    codes.push_back(code);
  }
  return codes;
}

// Element i of the result in row-major order is element source(i) of a column-major file.
class FortranOrder {
 public:
  explicit FortranOrder(const Shape& shape) : shape_(shape), place_(shape.size(), 0) {}
  // Index in the file of the next element.
  int64_t Next() {
    int64_t index = 0, stride = 1;
    for (size_t d = 0; d < shape_.size(); ++d) {
      index += place_[d] * stride;
      stride *= shape_[d];
    }
    for (size_t d = shape_.size(); d-- > 0;) {
      if (++place_[d] < shape_[d]) break;
      place_[d] = 0;
    }
    return index;
  }

 private:
  const Shape& shape_;
  Shape place_;
};

}  // namespace

Tensor ParseNpy(std::span<const std::byte> bytes, const std::string& place) {
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("'{}': {}", place, what));
  };
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kMagic) || text.size() < 12) fail("this is no .npy file");
  const int major = static_cast<unsigned char>(text[6]);
  if (major < 1 || major > 3) fail(fmt::format(".npy version {}, expected 1 to 3", major));
  const size_t prefix = major == 1 ? 10 : 12;
  uint32_t header_size = 0;
  std::memcpy(&header_size, bytes.data() + 8, major == 1 ? 2 : 4);
  if (header_size > text.size() - prefix) fail("the file ends within the header");
  const Header header = HeaderParser(text.substr(prefix, header_size), place).Parse();
  std::span<const std::byte> data = bytes.subspan(prefix + header_size);

  bool big_endian = false;
  std::string_view code = header.descr;
  if (!code.empty() && std::string_view("<>|=").find(code[0]) != std::string_view::npos) {
    big_endian = code[0] == '>';
    code.remove_prefix(1);
  }
  DataType type = DataType::kUndefined;
  int64_t element_bytes = 0;
  for (const NumericType& entry : kNumericTypes) {
    if (entry.code == code) type = entry.type, element_bytes = DataTypeBits(type) / 8;
  }
  const bool is_unicode = code.starts_with('U');
  if (type == DataType::kUndefined && (is_unicode || code.starts_with('S'))) {
    type = DataType::kString;
    for (char c : code.substr(1)) {
      if (c < '0' || c > '9' || element_bytes > (1 << 24)) fail(fmt::format("element type '{}'", header.descr));
      element_bytes = element_bytes * 10 + (c - '0');
    }
    if (is_unicode) element_bytes *= 4;
  }
  if (type == DataType::kUndefined) fail(fmt::format("element type '{}' is not supported", header.descr));

  const int64_t elems = NumElements(header.shape);
  int64_t expected = 0;
  if (__builtin_mul_overflow(elems, element_bytes, &expected) || expected != static_cast<int64_t>(data.size())) {
    fail(fmt::format("{} {} takes {} bytes, the file has {}", header.descr, ToString(header.shape),
                     expected, data.size()));
  }
  if (type == DataType::kString && element_bytes == 0 && elems > (1 << 20)) fail("too many strings");

  Tensor tensor(type, header.shape);
  FortranOrder order(header.shape);
  for (int64_t i = 0; i < elems; ++i) {
    if (type != DataType::kString && !header.fortran_order) {
      std::memcpy(tensor.mutable_data(), data.data(), data.size());
      break;
    }
    const int64_t from = header.fortran_order ? order.Next() : i;
    const std::byte* src = data.data() + from * element_bytes;
    if (type != DataType::kString) {
      std::memcpy(static_cast<std::byte*>(tensor.mutable_data()) + i * element_bytes, src,
                  static_cast<size_t>(element_bytes));
      continue;
    }
    std::string& element = tensor.mutable_values<std::string>()[static_cast<size_t>(i)];
    if (!is_unicode) {
      element.assign(reinterpret_cast<const char*>(src), static_cast<size_t>(element_bytes));
      while (!element.empty() && element.back() == '\0') element.pop_back();
      continue;
    }
    for (int64_t j = 0; j < element_bytes; j += 4) {
      uint32_t point = 0;
      std::memcpy(&point, src + j, 4);
      if (big_endian) point = __builtin_bswap32(point);
      if (point == 0) break;
      AppendUtf8(point, element);
    }
  }
  if (big_endian && type != DataType::kString) {
    const bool is_complex = type == DataType::kComplex64 || type == DataType::kComplex128;
    SwapBytes(static_cast<std::byte*>(tensor.mutable_data()), data.size(),
              static_cast<size_t>(is_complex ? element_bytes / 2 : element_bytes));
  }
  if (type == DataType::kBool) {
    for (uint8_t& value : tensor.mutable_values<uint8_t>()) value = value != 0;
  }
  return tensor;
}

Tensor ReadNpy(const std::string& path) { return ParseNpy(ReadFile(path), path); }

std::vector<std::byte> FormatNpy(const Tensor& tensor) {
  const DataType type = tensor.dtype();
  Tensor source = tensor;
  if (type == DataType::kBFloat16) {
    source = Tensor(DataType::kFloat, tensor.shape());
    const auto src = tensor.values<BFloat16>();
    std::copy(src.begin(), src.end(), source.mutable_values<float>().begin());
  } else if (IsNarrow(type)) {
    const bool is_signed = type == DataType::kInt4 || type == DataType::kInt2;
    source = Tensor(is_signed ? DataType::kInt8 : DataType::kUInt8, tensor.shape());
    const std::vector<uint8_t> unpacked = UnpackNarrow(tensor);
    std::copy(unpacked.begin(), unpacked.end(), source.mutable_values<uint8_t>().begin());
  }

  std::vector<std::vector<uint32_t>> strings;
  size_t longest = 0;
  std::string descr;
  if (type == DataType::kString) {
    for (const std::string& text : tensor.values<std::string>()) strings.push_back(CodePoints(text));
    for (const auto& codes : strings) longest = std::max(longest, codes.size());
    descr = fmt::format("<U{}", longest);
  }
  for (const NumericType& entry : kNumericTypes) {
    if (entry.type == source.dtype()) {
      descr = fmt::format("{}{}", DataTypeBits(entry.type) == 8 ? '|' : '<', entry.code);
    }
  }
  if (descr.empty()) {
    throw Error(ErrorCode::kUnsupported, fmt::format("no .npy type for {} elements", DataTypeName(type)));
  }

  std::string sizes;
  for (int64_t size : tensor.shape()) sizes += fmt::format("{}, ", size);
  if (tensor.rank() > 1) sizes.resize(sizes.size() - 2);
  else if (tensor.rank() == 1) sizes.pop_back();
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, sizes);
  // The format asks for elements aligned to 64 bytes and for a newline at the header's end.
  header.append((64 - (10 + header.size() + 1) % 64) % 64, ' ');
  header += '\n';

  std::string file(kMagic);
  file += {'\1', '\0', static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  file += header;
  if (type == DataType::kString) {
    for (auto& codes : strings) {
      codes.resize(longest, 0);
      file.append(reinterpret_cast<const char*>(codes.data()), longest * 4);
    }
  } else if (source.num_elements() > 0) {
    file.append(static_cast<const char*>(source.data()), static_cast<size_t>(source.byte_size()));
  }
  const auto bytes = std::as_bytes(std::span(file));
  return {bytes.begin(), bytes.end()};
}

void WriteNpy(const std::string& path, const Tensor& tensor) { WriteFile(path, FormatNpy(tensor)); }

Tensor AsDeclared(const Tensor& tensor, DataType type) {
  if (type == DataType::kBFloat16 && tensor.dtype() == DataType::kFloat) {
    Tensor result(type, tensor.shape());
    const auto src = tensor.values<float>();
    std::copy(src.begin(), src.end(), result.mutable_values<BFloat16>().begin());
    return result;
  }
  const bool is_signed = type == DataType::kInt4 || type == DataType::kInt2;
  if (IsNarrow(type) && tensor.dtype() == (is_signed ? DataType::kInt8 : DataType::kUInt8)) {
    const auto src = tensor.values<uint8_t>();
    return PackNarrow(type, tensor.shape(), {src.begin(), src.end()});
  }
  return tensor;
}

}  // namespace sluice::tools
