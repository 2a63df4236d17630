#include "kernels/ops/einsum_equation.h"

#include <cctype>

#include "sluice/error.h"

namespace sluice {
namespace {

constexpr int kLetters = 52;

[[noreturn]] void Fail(const std::string& text, const std::string& why) {
  throw Error(ErrorCode::kInvalidModel, "equation '" + text + "': " + why);
}

int LabelOf(char letter) { return std::islower(letter) != 0 ? 26 + letter - 'a' : letter - 'A'; }

// One operand as written: its letters' labels, and where among them the ellipsis is.
struct Term {
  std::vector<int> letters;
  int64_t ellipsis = -1;
};

Term ParseTerm(const std::string& text, const std::string& term) {
  Term result;
  for (size_t i = 0; i < term.size(); ++i) {
    if (std::isalpha(static_cast<unsigned char>(term[i])) != 0) {
      result.letters.push_back(LabelOf(term[i]));
    } else if (term.compare(i, 3, "...") == 0 && result.ellipsis < 0) {
      result.ellipsis = static_cast<int64_t>(result.letters.size());
      i += 2;
    } else {
      Fail(text, "unexpected '" + term.substr(i, 1) + "'");
    }
  }
  return result;
}

// The labels of all axes; `axes` of them are the ellipsis'.
std::vector<int> Expanded(const Term& term, int64_t axes) {
  std::vector<int> labels = term.letters;
  if (term.ellipsis < 0) return labels;
  std::vector<int> inner;
  for (int64_t i = 0; i < axes; ++i) inner.push_back(kLetters + static_cast<int>(axes - 1 - i));
  labels.insert(labels.begin() + term.ellipsis, inner.begin(), inner.end());
  return labels;
}

}  // namespace

EinsumEquation EinsumEquation::Parse(const std::string& text, const std::vector<int64_t>& ranks) {
  std::string dense;
  for (char c : text) {
    if (c != ' ') dense += c;
  }
  const size_t arrow = dense.find("->");
  const std::string left = dense.substr(0, arrow);
  std::vector<Term> terms;
  for (size_t begin = 0; begin <= left.size();) {
    const size_t end = std::min(left.find(',', begin), left.size());
    terms.push_back(ParseTerm(text, left.substr(begin, end - begin)));
    begin = end + 1;
  }
  if (terms.size() != ranks.size()) {
    Fail(text, "has " + std::to_string(terms.size()) + " operands, the node has " +
                   std::to_string(ranks.size()) + " inputs");
  }
  EinsumEquation result;
  int64_t ellipsis_axes = 0;
  std::vector<int> uses(kLetters, 0);
  for (size_t i = 0; i < terms.size(); ++i) {
    const int64_t rest = ranks[i] - static_cast<int64_t>(terms[i].letters.size());
    if (rest < 0 || (rest > 0 && terms[i].ellipsis < 0)) {
      Fail(text, "operand " + std::to_string(i) + " has " + std::to_string(terms[i].letters.size()) +
                     " labels, input " + std::to_string(i) + " has rank " + std::to_string(ranks[i]));
    }
    if (terms[i].ellipsis >= 0) ellipsis_axes = std::max(ellipsis_axes, rest);
    for (int label : terms[i].letters) ++uses[static_cast<size_t>(label)];
    result.inputs.push_back(Expanded(terms[i], rest));
  }
  result.labels = kLetters + static_cast<int>(ellipsis_axes);
  Term out;
  if (arrow != std::string::npos) {
    out = ParseTerm(text, dense.substr(arrow + 2));
  } else {
    out.ellipsis = 0;
    for (int label = 0; label < kLetters; ++label) {
      if (uses[static_cast<size_t>(label)] == 1) out.letters.push_back(label);
    }
  }
  result.output = Expanded(out, ellipsis_axes);
  std::vector<bool> seen(static_cast<size_t>(result.labels), false);
  for (int label : result.output) {
    if (seen[static_cast<size_t>(label)]) Fail(text, "the output has a label twice");
    seen[static_cast<size_t>(label)] = true;
    if (label < kLetters && uses[static_cast<size_t>(label)] == 0) {
      Fail(text, "the output has a label that no operand has");
    }
  }
  return result;
}

std::vector<int64_t> EinsumEquation::SizesOf(const std::vector<Shape>& shapes) const {
  std::vector<int64_t> sizes(static_cast<size_t>(labels), 0);
  std::vector<bool> known(static_cast<size_t>(labels), false);
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (size_t axis = 0; axis < inputs[i].size(); ++axis) {
      const auto label = static_cast<size_t>(inputs[i][axis]);
      const int64_t size = shapes[i][axis];
      if (!known[label] || sizes[label] == 1) {
        sizes[label] = size;
        known[label] = true;
      } else if (size != 1 && size != sizes[label]) {
        throw Error(ErrorCode::kInvalidModel, "input " + std::to_string(i) + " is " + ToString(shapes[i]) +
                                                  ", expected size " + std::to_string(sizes[label]) +
                                                  " on axis " + std::to_string(axis));
      }
    }
  }
  return sizes;
}

}  // namespace sluice
