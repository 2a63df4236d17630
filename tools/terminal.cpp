#include "tools/terminal.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>

#include <fmt/format.h>

namespace sluice::tools {
namespace {

// Three significant digits.
std::string Digits(double value) {
  return fmt::format("{:.{}f}", value, value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

}  // namespace

Progress::Progress(std::string_view what)
    : what_(what), enabled_(isatty(STDERR_FILENO) == 1), next_(std::chrono::steady_clock::now()) {}

void Progress::Show(double share, std::string_view detail) {
  if (!enabled_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return;
  next_ = now + std::chrono::milliseconds(100);
  constexpr int kWidth = 24, kDetail = 40;
  const int full = static_cast<int>(std::clamp(share, 0.0, 1.0) * kWidth);
  fmt::print(stderr, "\r\x1b[K{} [{:<{}}] {:3.0f} % {}", what_, std::string(static_cast<size_t>(full), '#'), kWidth,
             100 * std::clamp(share, 0.0, 1.0), detail.substr(0, kDetail));
  std::fflush(stderr);
  shown_ = true;
}

void Progress::Clear() {
  if (!shown_) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
  shown_ = false;
}

std::string FormatTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const bool number = !row[i].empty() && std::isdigit(static_cast<unsigned char>(row[i][0]));
      line += number ? fmt::format("{:>{}}  ", row[i], widths[i]) : fmt::format("{:<{}}  ", row[i], widths[i]);
    }
    line.resize(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string FormatBytes(double bytes) {
  if (bytes < 1e3) return fmt::format("{:.0f} bytes", bytes);
  return bytes < 1e6 ? Digits(bytes / 1e3) + " kB" : bytes < 1e9 ? Digits(bytes / 1e6) + " MB" : Digits(bytes / 1e9) + " GB";
}

std::string FormatCount(double count) {
  if (count < 1e3) return fmt::format("{:.0f}", count);
  return count < 1e6 ? Digits(count / 1e3) + " k" : count < 1e9 ? Digits(count / 1e6) + " M" : Digits(count / 1e9) + " G";
}

std::string FormatMs(double ms) {
  return ms >= 1000 ? Digits(ms / 1000) + " s" : ms >= 1 ? Digits(ms) + " ms" : Digits(ms * 1000) + " us";
}

}  // namespace sluice::tools
