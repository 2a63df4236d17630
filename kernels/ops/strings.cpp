#include <algorithm>
#include <map>
#include <set>

#include "kernels/ops/params.h"
#include "kernels/strided_copy.h"

// StringNormalizer (10), StringConcat (20), StringSplit (20), TfIdfVectorizer (9). Case is that of ASCII
// letters: other characters stay as they are.

namespace sluice {
namespace {

class NormalizerKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const std::string action = ctx.attrs().String("case_change_action", "NONE");
    if (action != "NONE" && action != "LOWER" && action != "UPPER")
      ctx.Fail("unknown case_change_action '" + action + "'");
    if (ctx.dtype(0) != DataType::kString)
      ctx.Fail("input is " + std::string(DataTypeName(ctx.dtype(0))) + ", expected string");
    const Shape& shape = ctx.shape(0);
    if (shape.size() != 1 && !(shape.size() == 2 && shape[0] == 1))
      ctx.Fail("input is " + ToString(shape) + ", expected [n] or [1, n]");
    action_ = action[0];
    exact_ = ctx.attrs().Int("is_case_sensitive", 0) != 0;
    rows_ = shape.size() == 2;
    size_ = shape.back();
    for (const std::string& word : ctx.attrs().Strings("stopwords", {}))
      stops_.insert(exact_ ? word : Cased(word, 'L'));
  }
  void Run(const RunContext& ctx, int64_t) const override {
    std::vector<std::string> kept;
    for (int64_t i = 0; i < size_; ++i) {
      const std::string& word = ctx.in<std::string>(0)[i];
      if (!stops_.contains(exact_ ? word : Cased(word, 'L'))) kept.push_back(Cased(word, action_));
    }
    // The standard leaves one empty string where nothing is left.
    if (kept.empty()) kept.emplace_back();
    const auto count = static_cast<int64_t>(kept.size());
    ctx.SetOutput(0, Tensor::From<std::string>(rows_ ? Shape{1, count} : Shape{count}, kept));
  }

 private:
  static std::string Cased(std::string word, char action) {
    for (char& c : word) {
      if (action == 'L' && c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
      if (action == 'U' && c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    }
    return word;
  }

  char action_ = 'N';
  bool exact_ = false, rows_ = false;
  int64_t size_ = 0;
  std::set<std::string> stops_;
};

class StringConcatKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    shape_ = ctx.output(0).shape;
    for (int i = 0; i < 2; ++i) {
      if (ctx.dtype(i) != DataType::kString) ctx.Fail("input " + std::to_string(i) + " is no string tensor");
      // Strides that stay on a repeated element.
      Shape strides = RowMajorStrides(ctx.shape(i));
      for (size_t d = 0; d < strides.size(); ++d) {
        if (ctx.shape(i)[d] == 1) strides[d] = 0;
      }
      strides.insert(strides.begin(), shape_.size() - strides.size(), 0);
      strides_[i] = strides;
    }
  }
  void Run(const RunContext& ctx, int64_t) const override {
    // Texts may double with every node: refused before they are made.
    int64_t bytes = 0;
    ForEach(ctx, [&](int64_t, const std::string& a, const std::string& b) {
      bytes += static_cast<int64_t>(a.size() + b.size());
    });
    CheckMemory(bytes);
    ForEach(ctx, [&](int64_t i, const std::string& a, const std::string& b) {
      ctx.out<std::string>(0)[i] = a + b;
    });
  }

 private:
  // fn(i, a, b) with the texts that make up element i.
  template <typename Fn>
  void ForEach(const RunContext& ctx, const Fn& fn) const {
    for (int64_t i = 0; i < NumElements(shape_); ++i) {
      int64_t a = 0, b = 0, rest = i;
      for (size_t d = shape_.size(); d-- > 0; rest /= shape_[d]) {
        a += rest % shape_[d] * strides_[0][d];
        b += rest % shape_[d] * strides_[1][d];
      }
      fn(i, ctx.in<std::string>(0)[a], ctx.in<std::string>(1)[b]);
    }
  }

  Shape shape_, strides_[2];
};

class StringSplitKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    if (ctx.dtype(0) != DataType::kString) ctx.Fail("input is no string tensor");
    delimiter_ = ctx.attrs().String("delimiter", "");
    most_ = ctx.attrs().Int("maxsplit", -1);
    if (most_ < 0) most_ = INT64_MAX;  // as Python has it
    shape_ = ctx.shape(0);
  }
  void Run(const RunContext& ctx, int64_t) const override {
    std::vector<std::vector<std::string>> parts;
    size_t longest = 0;
    for (int64_t i = 0; i < NumElements(shape_); ++i) {
      parts.push_back(delimiter_.empty() ? Words(ctx.in<std::string>(0)[i])
                                         : Pieces(ctx.in<std::string>(0)[i]));
      longest = std::max(longest, parts.back().size());
    }
    Shape shape = shape_;
    shape.push_back(static_cast<int64_t>(longest));
    Tensor words(DataType::kString, shape), counts(DataType::kInt64, shape_);
    for (size_t i = 0; i < parts.size(); ++i) {
      counts.mutable_values<int64_t>()[i] = static_cast<int64_t>(parts[i].size());
      std::move(parts[i].begin(), parts[i].end(),
                words.mutable_values<std::string>().begin() + static_cast<std::ptrdiff_t>(i * longest));
    }
    ctx.SetOutput(0, std::move(words));
    if (ctx.outputs().size() > 1) ctx.SetOutput(1, std::move(counts));
  }

 private:
  // Like Python's split without and with a separator.
  std::vector<std::string> Words(const std::string& text) const {
    const char* const blank = " \t\n\r\v\f";
    std::vector<std::string> words;
    for (size_t at = text.find_first_not_of(blank); at != std::string::npos;) {
      size_t end = text.find_first_of(blank, at);
      if (static_cast<int64_t>(words.size()) >= most_) end = std::string::npos;
      words.push_back(text.substr(at, end == std::string::npos ? end : end - at));
      at = end == std::string::npos ? end : text.find_first_not_of(blank, end);
    }
    return words;
  }
  std::vector<std::string> Pieces(const std::string& text) const {
    std::vector<std::string> pieces;
    // The standard gives an empty string no pieces.
    if (text.empty()) return pieces;
    size_t at = 0;
    for (size_t end; static_cast<int64_t>(pieces.size()) < most_ &&
                     (end = text.find(delimiter_, at)) != std::string::npos;
         at = end + delimiter_.size()) {
      pieces.push_back(text.substr(at, end - at));
    }
    pieces.push_back(text.substr(at));
    return pieces;
  }

  std::string delimiter_;
  int64_t most_ = 0;
  Shape shape_;
};

int64_t TfIdfSize(const Attributes& attrs) {
  int64_t size = 0;
  for (int64_t index : attrs.Ints("ngram_indexes"))
    size = std::max(size, index < INT64_MAX ? index + 1 : index);
  return size;
}

// Counts n-grams of a pool, also with gaps of up to max_skip_count between their members.
class TfIdfKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const Shape& shape = ctx.shape(0);
    type_ = ctx.dtype(0);
    if (type_ != DataType::kString && type_ != DataType::kInt32 && type_ != DataType::kInt64)
      ctx.Unsupported("input of " + std::string(DataTypeName(type_)));
    rows_ = shape.size() == 2 ? shape[0] : 1;
    size_ = shape.back();
    width_ = TfIdfSize(ctx.attrs());
    shortest_ = ctx.attrs().Int("min_gram_length");
    longest_ = ctx.attrs().Int("max_gram_length");
    skip_ = ctx.attrs().Int("max_skip_count");
    if (shortest_ < 1 || longest_ < shortest_ || skip_ < 0)
      ctx.Fail("n-gram lengths or max_skip_count are out of range");
    const std::string mode = ctx.attrs().String("mode");
    if (mode != "TF" && mode != "IDF" && mode != "TFIDF") ctx.Fail("unknown mode '" + mode + "'");
    frequency_ = mode != "IDF";
    const std::vector<int64_t> indexes = ctx.attrs().Ints("ngram_indexes"),
                               counts = ctx.attrs().Ints("ngram_counts");
    std::vector<std::string> pool = ctx.attrs().Strings("pool_strings", {});
    if (type_ != DataType::kString) {
      pool.clear();
      for (int64_t value : ctx.attrs().Ints("pool_int64s")) pool.push_back(std::to_string(value));
    }
    weights_ = mode == "TF" ? std::vector<float>() : ctx.attrs().Floats("weights", {});
    if (!weights_.empty() && weights_.size() != indexes.size())
      ctx.Fail("weights and ngram_indexes have different lengths");
    size_t gram = 0;
    for (size_t n = 1; n <= counts.size(); ++n) {
      const auto end = n < counts.size() ? counts[n] : static_cast<int64_t>(pool.size());
      if (counts[n - 1] < 0 || end < counts[n - 1] || end > static_cast<int64_t>(pool.size()))
        ctx.Fail("ngram_counts do not fit the pool");
      for (auto at = static_cast<size_t>(counts[n - 1]); at + n <= static_cast<size_t>(end);
           at += n, ++gram) {
        if (gram >= indexes.size() || indexes[gram] < 0) ctx.Fail("ngram_indexes do not fit the pool");
        grams_[{pool.begin() + static_cast<std::ptrdiff_t>(at),
                pool.begin() + static_cast<std::ptrdiff_t>(at + n)}] = {indexes[gram], gram};
      }
    }
  }
  void Run(const RunContext& ctx, int64_t) const override {
    float* dst = ctx.out<float>(0);
    std::fill_n(dst, rows_ * width_, 0.0f);
    std::vector<std::string> words(static_cast<size_t>(size_)), gram;
    for (int64_t r = 0; r < rows_; ++r, dst += width_) {
      for (int64_t i = 0; i < size_; ++i) {
        const int64_t at = r * size_ + i;
        words[static_cast<size_t>(i)] = type_ == DataType::kString  ? ctx.in<std::string>(0)[at]
                                        : type_ == DataType::kInt32 ? std::to_string(ctx.in<int32_t>(0)[at])
                                                                    : std::to_string(ctx.in<int64_t>(0)[at]);
      }
      for (int64_t n = shortest_; n <= std::min(longest_, size_); ++n) {
        // Single words have no gaps; more than size_ fit nowhere.
        for (int64_t step = 1; step <= (n == 1 ? 1 : std::min(skip_, size_) + 1); ++step) {
          if ((n - 1) * step >= size_) break;
          for (int64_t begin = 0; begin + (n - 1) * step < size_; ++begin) {
            gram.clear();
            for (int64_t k = 0; k < n; ++k) gram.push_back(words[static_cast<size_t>(begin + k * step)]);
            const auto found = grams_.find(gram);
            if (found == grams_.end()) continue;
            float& value = dst[found->second.first];
            const float weight = weights_.empty() ? 1 : weights_[found->second.second];
            value = frequency_ ? value + weight : weight;
          }
        }
      }
    }
  }

 private:
  DataType type_ = DataType::kUndefined;
  int64_t rows_ = 1, size_ = 0, width_ = 0, shortest_ = 1, longest_ = 1, skip_ = 0;
  bool frequency_ = true;
  std::vector<float> weights_;
  // n-gram -> output column, index of its weight.
  std::map<std::vector<std::string>, std::pair<int64_t, size_t>> grams_;
};

void InferTfIdf(InferContext& ctx) {
  const SymShape& src = ctx.shape(0);
  if (src.size() != 1 && src.size() != 2) ctx.Fail("input is " + ToString(src) + ", expected rank 1 or 2");
  SymShape shape(src.begin(), src.end() - 1);
  shape.emplace_back(TfIdfSize(ctx.attrs()));
  if (const auto concrete = ToShape(shape)) CheckMemory(ByteSize(DataType::kFloat, NumElements(*concrete)));
  ctx.SetOutput(0, DataType::kFloat, std::move(shape));
}

const Operator kNormalizer = {.name = "StringNormalizer",
                              .versions = {10},
                              .infer = [](InferContext& ctx) { ctx.SetUnknownShape(0, DataType::kString); },
                              .kernels = {&Make<NormalizerKernel>},
                              .types = "string"};
const Operator kStringConcat = {.name = "StringConcat",
                                .versions = {20},
                                .min_inputs = 2,
                                .max_inputs = 2,
                                .infer = InferBroadcast,
                                .kernels = {&Make<StringConcatKernel>},
                                .types = "string"};
const Operator kStringSplit = {
    .name = "StringSplit",
    .versions = {20},
    .max_outputs = 2,
    .infer =
        [](InferContext& ctx) {
          ctx.SetUnknownShape(0, DataType::kString);
          ctx.SetUnknownShape(1, DataType::kInt64);
        },
    .kernels = {&Make<StringSplitKernel>},
    .types = "string",
};
const Operator kTfIdf = {.name = "TfIdfVectorizer",
                         .versions = {9},
                         .infer = InferTfIdf,
                         .kernels = {&Make<TfIdfKernel>},
                         .types = "string, int32, int64"};
const RegisterOperator kRegister[] = {RegisterOperator(kNormalizer), RegisterOperator(kStringConcat),
                                      RegisterOperator(kStringSplit), RegisterOperator(kTfIdf)};

}  // namespace
}  // namespace sluice
