#include "kernels/onednn/threading.h"

#include <oneapi/dnnl/dnnl_config.h>

#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP
// Of the OpenMP runtime that oneDNN loads; declared here so that nothing is compiled with -fopenmp.
extern "C" {
int omp_get_max_threads();
void omp_set_num_threads(int count);
}
#endif

namespace sluice {

#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP

int EnterSingleThreaded() {
  const int former = omp_get_max_threads();
  if (former != 1) omp_set_num_threads(1);
  return former;
}

void LeaveSingleThreaded(int former) {
  if (former != 1) omp_set_num_threads(former);
}

#else

int EnterSingleThreaded() { return 1; }
void LeaveSingleThreaded(int) {}

#endif

}  // namespace sluice
