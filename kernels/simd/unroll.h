#pragma once

// Before a loop over values that must be in registers: it has to be gone before registers are assigned, and
// compilers keep those of more than 16 rounds otherwise.
#if defined(__clang__)
#define SLUICE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SLUICE_UNROLL _Pragma("GCC unroll 32")
#endif
