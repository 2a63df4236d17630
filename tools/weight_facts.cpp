#include "tools/weight_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tools/elements.h"

namespace sluice::tools {
namespace {

constexpr int64_t kFew = 6;

struct Sums {
  int64_t finite = 0, zeros = 0, negative = 0, odd = 0;
  double min = std::numeric_limits<double>::infinity(), max = -min, sum = 0, square = 0;

  // Sums are taken about the first number: large means would drown the deviation.
  double origin = 0;

  void Add(double value) {
    if (!std::isfinite(value)) {
      ++odd;
      return;
    }
    if (finite++ == 0) origin = value;
    zeros += value == 0;
    negative += value < 0;
    min = std::min(min, value);
    max = std::max(max, value);
    sum += value - origin;
    square += (value - origin) * (value - origin);
  }
};

std::string Share(int64_t part, int64_t of) {
  return fmt::format("{:.1f} %", 100 * static_cast<double>(part) / static_cast<double>(of));
}

}  // namespace

std::vector<std::pair<std::string, std::string>> WeightFacts(const Tensor& tensor) {
  std::vector<std::pair<std::string, std::string>> facts;
  const int64_t count = tensor.num_elements();
  if (count == 0) return facts;
  Sums sums;
  std::string values;
  const bool numbers = VisitNumbers(tensor, [&](auto elements) {
    for (const auto& element : elements) sums.Add(static_cast<double>(element));
    for (const auto& element : elements.first(static_cast<size_t>(std::min(count, kFew)))) {
      values += fmt::format("{}{:.6g}", values.empty() ? "" : ", ", static_cast<double>(element));
    }
  });
  if (!numbers) return facts;
  if (count <= kFew) {
    facts.emplace_back("values", values);
    return facts;
  }
  if (sums.odd > 0) facts.emplace_back("NaN or infinite", Share(sums.odd, count));
  if (sums.finite == 0) return facts;
  const double n = static_cast<double>(sums.finite), about = sums.sum / n;
  facts.emplace_back("min", fmt::format("{:.4g}", sums.min));
  facts.emplace_back("max", fmt::format("{:.4g}", sums.max));
  facts.emplace_back("mean", fmt::format("{:.4g}", sums.origin + about));
  facts.emplace_back("std", fmt::format("{:.4g}", std::sqrt(std::max(0.0, sums.square / n - about * about))));
  facts.emplace_back("zeros", Share(sums.zeros, count));
  facts.emplace_back("negative", Share(sums.negative, count));
  return facts;
}

}  // namespace sluice::tools
