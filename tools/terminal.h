#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::tools {

// A line on standard error that is redrawn in place, at most ten times a second, and removed at the
// end. Nothing at all where standard error is no terminal.
class Progress {
 public:
  explicit Progress(std::string_view what);
  ~Progress() { Clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `share` of the work is done, in [0, 1]; `detail` says what is at hand.
  void Show(double share, std::string_view detail);
  // Makes room for ordinary output.
  void Clear();

 private:
  std::string what_;
  bool enabled_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point next_;
};

// Columns as wide as needed; numbers (cells that begin with a digit) are aligned to the right.
// The first row is the heading.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

// "2.25 GB", "512 bytes": powers of ten.
std::string FormatBytes(double bytes);
// "1.53 G", "981": powers of ten.
std::string FormatCount(double count);
// "12.3 ms", "4.56 s", "789 us".
std::string FormatMs(double ms);

// Milliseconds since construction.
class Stopwatch {
 public:
  double ms() const {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace sluice::tools
