#pragma once

namespace sluice::bench {

// What the calling thread can do at best, measured: fused multiply-adds on registers alone, counted as two
// operations each, in the widest vectors of this processor; and reading of memory far larger than the caches.
// Each call takes well under a second.
double MeasureFmaGflops();
double MeasureReadGBps();

}  // namespace sluice::bench
