#include "kernels/onednn/target.h"

#include <cstdio>
#include <oneapi/dnnl/dnnl.hpp>

namespace sluice::onednn {

std::string TargetName() {
  const dnnl_version_t& version = *dnnl_version();
  char text[80];
  std::snprintf(text, sizeof text, "%d.%d.%d, instruction set 0x%x", version.major, version.minor,
                version.patch, static_cast<unsigned>(dnnl_get_effective_cpu_isa()));
  return text;
}

}  // namespace sluice::onednn
