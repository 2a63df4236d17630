#include "tools/serve/http/compression.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>

namespace sluice::serve {
namespace {

constexpr size_t kFewestBytes = 1024;  // shorter replies gain nothing
constexpr int kLevel = 1;
constexpr int kWindowBits = 15;
constexpr int kGzip = 16;        // added to the window's bits: as zlib wants it
constexpr int kGzipOrZlib = 32;  // ... found out by itself
constexpr size_t kPiece = 64 << 10;

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

std::string Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), Lower);
  return lower;
}

// "gzip;q=0" refuses.
bool IsRefused(std::string_view parameters) {
  const size_t place = parameters.find("q=");
  if (place == std::string_view::npos) return false;
  const std::string_view weight = parameters.substr(place + 2);
  return weight.find_first_not_of("0. \t") == std::string_view::npos;
}

struct Accepted {
  Coding coding = Coding::kIdentity;  // the best of those that we have
  bool alone = false;                 // and no other is named
};

Accepted ParseAccepted(std::string_view accept_encoding) {
  Accepted accepted;
  int named = 0;
  while (!accept_encoding.empty()) {
    std::string_view item = accept_encoding.substr(0, accept_encoding.find(','));
    accept_encoding.remove_prefix(std::min(accept_encoding.size(), item.size() + 1));
    const std::string name = Trimmed(item.substr(0, item.find(';')));
    if (name.empty() || name == "identity") continue;
    ++named;
    if (IsRefused(item.substr(std::min(item.size(), item.find(';'))))) continue;
    if (name == "gzip" || name == "x-gzip")
      accepted.coding = Coding::kGzip;
    else if (name == "deflate" && accepted.coding == Coding::kIdentity)
      accepted.coding = Coding::kDeflate;
  }
  accepted.alone = named == 1 && accepted.coding != Coding::kIdentity;
  return accepted;
}

class Deflater {
 public:
  explicit Deflater(Coding coding) {
    const int bits = kWindowBits + (coding == Coding::kGzip ? kGzip : 0);
    if (deflateInit2(&stream_, kLevel, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY) != Z_OK)
      throw std::bad_alloc();
  }
  ~Deflater() { deflateEnd(&stream_); }
  Deflater(const Deflater&) = delete;

  void Add(std::string_view text) {
    // zlib counts in 32 bits.
    constexpr size_t kMost = size_t{1} << 30;
    for (; text.size() > kMost; text.remove_prefix(kMost)) Run(text.substr(0, kMost), Z_NO_FLUSH);
    Run(text, Z_NO_FLUSH);
  }
  std::string Finish() {
    Run({}, Z_FINISH);
    return std::move(out_);
  }

 private:
  void Run(std::string_view text, int flush) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream_.avail_in = static_cast<uInt>(text.size());
    do {
      const size_t size = out_.size();
      out_.resize(size + kPiece);
      stream_.next_out = reinterpret_cast<Bytef*>(out_.data() + size);
      stream_.avail_out = kPiece;
      deflate(&stream_, flush);
      out_.resize(size + kPiece - stream_.avail_out);
    } while (stream_.avail_out == 0);
  }

  z_stream stream_ = {};
  std::string out_;
};

}  // namespace

std::optional<Coding> ParseCoding(std::string_view content_encoding) {
  const std::string name = Trimmed(content_encoding);
  if (name.empty() || name == "identity") return Coding::kIdentity;
  if (name == "gzip" || name == "x-gzip") return Coding::kGzip;
  if (name == "deflate") return Coding::kDeflate;
  return std::nullopt;
}

void Decompress(std::string_view from, Body& to, size_t max_bytes) {
  z_stream stream = {};
  if (inflateInit2(&stream, kWindowBits + kGzipOrZlib) != Z_OK) throw std::bad_alloc();
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, inflateEnd);
  const auto piece = std::make_unique<std::array<char, kPiece>>();
  int state = Z_OK;
  do {
    if (stream.avail_in == 0) {
      const size_t bytes = std::min<size_t>(from.size(), size_t{1} << 30);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(from.data()));
      stream.avail_in = static_cast<uInt>(bytes);
      from.remove_prefix(bytes);
    }
    stream.next_out = reinterpret_cast<Bytef*>(piece->data());
    stream.avail_out = kPiece;
    state = inflate(&stream, Z_NO_FLUSH);
    if (state != Z_OK && state != Z_STREAM_END) break;
    to.Append({piece->data(), kPiece - stream.avail_out}, max_bytes);
  } while (state != Z_STREAM_END);
  if (state != Z_STREAM_END || stream.avail_in != 0 || !from.empty())
    throw ServeError(Reason::kInvalid, "the request's compressed body is broken");
}

std::string Compress(std::string_view text, Coding coding) {
  Deflater deflater(coding);
  deflater.Add(text);
  return deflater.Finish();
}

void CompressReply(std::string_view accept_encoding, HttpReply& reply) {
  if (accept_encoding.empty() || reply.body_bytes() < kFewestBytes) return;
  const Accepted accepted = ParseAccepted(accept_encoding);
  if (accepted.coding == Coding::kIdentity || (!reply.parts.empty() && !accepted.alone)) return;
  Deflater deflater(accepted.coding);
  deflater.Add(reply.text);
  for (const auto& part : reply.parts) deflater.Add({part.data(), part.size()});
  reply.text = deflater.Finish();
  reply.parts.clear();
  reply.owners.clear();
  reply.headers.emplace_back("Content-Encoding", accepted.coding == Coding::kGzip ? "gzip" : "deflate");
  reply.headers.emplace_back("Vary", "Accept-Encoding");
}

}  // namespace sluice::serve
