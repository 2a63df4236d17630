#include "tools/serve/batch_timing.h"

#include <algorithm>

#include "tools/serve/batch.h"

namespace sluice::serve {
namespace {

constexpr int kStretch = 16;
constexpr int64_t kBetweenTrials = 64;

void Mix(double& mean, double value) {
  constexpr double kNew = 0.2;
  mean = mean == 0 ? value : mean + kNew * (value - mean);
}

}  // namespace

BatchTiming::BatchTiming(int64_t max_rows) : sizes_(BatchSizes(max_rows)), row_ns_(sizes_.size(), 0) {}

// The largest size that is not larger.
size_t BatchTiming::PlaceOf(int64_t rows) const {
  const auto after = std::upper_bound(sizes_.begin(), sizes_.end(), std::max<int64_t>(rows, 1));
  return static_cast<size_t>(after - sizes_.begin()) - 1;
}

void BatchTiming::Ran(int64_t rows, double ns) {
  untold_ = rows > 1 ? 0 : untold_ + 1;
  const double row_ns = ns / static_cast<double>(std::max<int64_t>(rows, 1));
  Mix(ns_per_row_, row_ns);
  Mix(row_ns_[PlaceOf(rows)], row_ns);
}

void BatchTiming::InFlight(int64_t rows) { peak_ = std::max(peak_, rows); }

void BatchTiming::Started() {
  ++batches_;
  if (++started_ < kStretch) return;
  started_ = 0;
  former_peak_ = peak_;
  peak_ = 0;
}

int64_t BatchTiming::LargestUseful() const {
  if (batches_ % kBetweenTrials == 0) return sizes_.back();
  double best = 0;
  for (double ns : row_ns_)
    if (ns > 0 && (best == 0 || ns < best)) best = ns;
  constexpr double kAboutEqual = 1.05;
  for (size_t i = sizes_.size(); i-- > 0;)
    if (row_ns_[i] <= kAboutEqual * best) return sizes_[i];
  return sizes_.back();
}

int64_t BatchTiming::expected_rows() const {
  return std::clamp<int64_t>(std::max(peak_, former_peak_), 1, LargestUseful());
}

double BatchTiming::SavingNs(int64_t rows) const {
  if (batches_ % kBetweenTrials == 0) return -1;
  const size_t place = PlaceOf(rows);
  double best = 0;
  for (size_t i = place + 1; i < sizes_.size(); ++i)
    if (row_ns_[i] > 0 && (best == 0 || row_ns_[i] < best)) best = row_ns_[i];
  // Waits that never made a batch larger, as of two clients that take turns, end here.
  constexpr int kMostUntold = 32;
  if (best == 0 || row_ns_[place] == 0) return untold_ < kMostUntold ? -1 : 0;
  return std::max(0.0, static_cast<double>(rows) * (row_ns_[place] - best));
}

}  // namespace sluice::serve
