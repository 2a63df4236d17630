#pragma once

#include "kernels/kernel.h"
#include "kernels/matmul/contraction.h"

namespace sluice {

// What a node computes: alpha * (input a contracted with input b) + beta * addend, then its post-ops.
struct MatMulSpec {
  Contraction product;
  int a = 0, b = 1;
  float alpha = 1, beta = 1;
  int addend = -1;  // an input, of the inputs' type; product.d_... say where its elements are
};

// Throws Declined for a node that is no such product.
using MatMulReader = MatMulSpec (*)(const PrepareContext& ctx);

}  // namespace sluice
