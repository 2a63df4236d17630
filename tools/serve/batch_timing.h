#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::serve {

// What batches of a model cost by size, and how long it pays to wait for a larger one. Not thread-safe.
class BatchTiming {
 public:
  explicit BatchTiming(int64_t max_rows);

  // Sizes that batches are given, ascending.
  const std::vector<int64_t>& sizes() const { return sizes_; }

  // An execution of that many rows has taken ns.
  void Ran(int64_t rows, double ns);
  // So many rows wait or run at this moment.
  void InFlight(int64_t rows);
  // A batch starts.
  void Started();

  // Of one row at the sizes that ran lately; 0 before the first.
  double ns_per_row() const { return ns_per_row_; }
  // The largest size at which a row costs about as little as at any; sizes that never ran may be good, and
  // now and then every size is tried again.
  int64_t LargestUseful() const;
  // Rows that may be expected to wait together: as many as lately were in flight, at most LargestUseful().
  int64_t expected_rows() const;
  // What running `rows` together costs more than their share of a batch of the best size; 0 where nothing was
  // learnt in many batches. Negative where nothing is known, and now and then so that what has changed is
  // seen.
  double SavingNs(int64_t rows) const;

 private:
  size_t PlaceOf(int64_t rows) const;

  const std::vector<int64_t> sizes_;
  std::vector<double> row_ns_;  // at each size; 0: not known
  double ns_per_row_ = 0;
  // Most rows in flight in the present and the former stretch of kStretch batches.
  int64_t peak_ = 0, former_peak_ = 0;
  int started_ = 0;      // in the present stretch
  int64_t batches_ = 0;  // since the beginning
  int untold_ = 0;       // batches since the last of more than one row
};

}  // namespace sluice::serve
