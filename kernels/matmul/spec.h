#pragma once

#include "kernels/kernel.h"
#include "kernels/matmul/contraction.h"

namespace sluice {

// What a node computes: alpha * (input 0 contracted with input 1) + beta * addend, then its post-ops.
struct MatMulSpec {
  Contraction product;
  float alpha = 1, beta = 1;
  int addend = -1;  // an input, of the inputs' type; product.d_... say where its elements are
};

// Throws Declined for a node that is no such product.
using MatMulReader = MatMulSpec (*)(const PrepareContext& ctx);

}  // namespace sluice
