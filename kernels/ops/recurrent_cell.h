#pragma once

#include <algorithm>
#include <limits>

#include "kernels/ops/gate_function.h"

namespace sluice {

enum class RecurrentCell : uint8_t { kRnn, kGru, kLstm };

constexpr int64_t GatesOf(RecurrentCell cell) {
  return cell == RecurrentCell::kRnn ? 1 : cell == RecurrentCell::kGru ? 3 : 4;
}

// The element-wise part of one step of one sequence. Gates hold x * w + h * r, without biases.
template <typename Sum>
struct CellStep {
  int64_t hidden = 0;
  Sum clip = std::numeric_limits<Sum>::infinity();  // of the functions' arguments
  bool linear_before_reset = false, input_forget = false;
  const GateFunction* functions = nullptr;
  // [gates * hidden]; then [hidden] of r's hidden gate, where GRU resets after the product.
  const Sum* bias = nullptr;
  const Sum* peepholes = nullptr;  // [3 * hidden], input, output, forget; may be null

  // x = f(x + bias + peephole * cell)
  void Activate(size_t function, Sum* x, const Sum* with_bias, const Sum* peephole = nullptr,
                const Sum* cell = nullptr) const {
    if (peephole != nullptr) {
      for (int64_t j = 0; j < hidden; ++j) x[j] += peephole[j] * cell[j];
    }
    for (int64_t j = 0; j < hidden; ++j) x[j] = std::clamp(x[j] + with_bias[j], -clip, clip);
    functions[function].Apply(x, hidden);
  }

  void Rnn(Sum* gates, Sum* h) const {
    Activate(0, gates, bias);
    std::copy(gates, gates + hidden, h);
  }

  // Activates the reset gate; reset_h = reset * h.
  void GruReset(Sum* gates, const Sum* h, Sum* reset_h) const {
    Sum* const reset = gates + hidden;
    Activate(0, reset, bias + hidden);
    for (int64_t j = 0; j < hidden; ++j) reset_h[j] = reset[j] * h[j];
  }

  // The reset gate is active. hidden_r: h * r of the hidden gate, if it has not been added to it.
  void Gru(Sum* gates, const Sum* hidden_r, Sum* h) const {
    Sum *const update = gates, *const reset = gates + hidden, *const next = gates + 2 * hidden;
    Activate(0, update, bias);
    if (linear_before_reset) {
      const Sum* late = bias + 3 * hidden;
      for (int64_t j = 0; j < hidden; ++j) next[j] += reset[j] * (hidden_r[j] + late[j]);
    }
    Activate(1, next, bias + 2 * hidden);
    for (int64_t j = 0; j < hidden; ++j) h[j] = (1 - update[j]) * next[j] + update[j] * h[j];
  }

  // spare: [hidden].
  void Lstm(Sum* gates, Sum* h, Sum* c, Sum* spare) const {
    Sum *const in = gates, *const out = gates + hidden, *const forget = out + hidden,
               *const next = forget + hidden;
    const auto peephole = [this](int64_t gate) {
      return peepholes == nullptr ? nullptr : peepholes + gate * hidden;
    };
    Activate(0, in, bias, peephole(0), c);
    if (input_forget) {
      for (int64_t j = 0; j < hidden; ++j) forget[j] = 1 - in[j];
    } else {
      Activate(0, forget, bias + 2 * hidden, peephole(2), c);
    }
    Activate(1, next, bias + 3 * hidden);
    for (int64_t j = 0; j < hidden; ++j) {
      c[j] = forget[j] * c[j] + in[j] * next[j];
      spare[j] = std::clamp(c[j], -clip, clip);
    }
    Activate(0, out, bias + hidden, peephole(1), c);
    functions[2].Apply(spare, hidden);
    for (int64_t j = 0; j < hidden; ++j) h[j] = out[j] * spare[j];
  }
};

}  // namespace sluice
