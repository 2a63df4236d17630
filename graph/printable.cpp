#include "graph/printable.h"

namespace sluice {

std::string Printable(std::string_view text, size_t most) {
  std::string printable;
  for (char c : text.substr(0, most)) {
    const auto byte = static_cast<unsigned char>(c);
    constexpr unsigned char kFirstPrintable = 32, kDelete = 127;
    printable += byte < kFirstPrintable || byte == kDelete ? '?' : c;
  }
  return printable + (text.size() > most ? "..." : "");
}

}  // namespace sluice
