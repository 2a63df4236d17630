#pragma once

#include "kernels/ops/params.h"

namespace sluice {

// An optional scalar integer input that must lie in [low, 2^31]; nothing where absent or unknown.
template <typename Context>
std::optional<int64_t> ScalarInput(const Context& ctx, int i, const char* name, int64_t low) {
  const auto values = InputInts(ctx, i);
  if (!values) return std::nullopt;
  if (values->size() != 1)
    ctx.Fail(std::string(name) + " has " + std::to_string(values->size()) + " elements, expected 1");
  const int64_t value = values->front();
  if (value < low || value > int64_t{1} << 31)
    ctx.Fail(std::string(name) + " is " + std::to_string(value) + ", expected " + std::to_string(low) +
             " to 2^31");
  return value;
}

// Whether an input is there without its elements being known yet.
template <typename Context>
bool IsUnknown(const Context& ctx, int i) {
  return ctx.has_input(i) && ctx.constant(i) == nullptr;
}

}  // namespace sluice
