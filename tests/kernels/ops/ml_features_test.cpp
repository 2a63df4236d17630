#include <cmath>
#include <limits>

#include "tests/kernels/op_test_util.h"

// The operators of ai.onnx.ml that prepare features and name classes.

namespace sluice::test {
namespace {

const std::string kMl = "ai.onnx.ml";
const float kNan = std::nanf("");

using Strings = std::vector<std::string>;
using Ints = std::vector<int64_t>;
using Floats = std::vector<float>;

Tensor Ml(const std::string& op, int opset, const Attrs& attrs, std::vector<Value> inputs) {
  return RunOp({op, opset, attrs, std::move(inputs), 1, kMl})[0].tensor();
}
void Refused(const std::string& op, int opset, const Attrs& attrs, std::vector<Value> inputs,
             const std::string& part) {
  ExpectRefused({op, opset, attrs, std::move(inputs), 1, kMl}, part);
}
Tensor S(std::initializer_list<std::string> values) {
  return Make<std::string>({static_cast<int64_t>(values.size())}, values);
}

TEST(Features, Scaler) {
  const Attrs attrs = {{"offset", Floats{1, 2}}, {"scale", Floats{2}}};
  ExpectTensor(Ml("Scaler", 1, attrs, {F({2, 2}, {1, 2, 3, 4})}), F({2, 2}, {0, 0, 4, 4}));
  ExpectTensor(Ml("Scaler", 1, attrs, {I({1, 2}, {0, 0})}), F({1, 2}, {-2, -4}));
  ExpectTensor(Ml("Scaler", 1, {}, {Make<double>({0, 3}, {})}), F({0, 3}, {}));
  Refused("Scaler", 1, attrs, {F({1, 3}, {1, 2, 3})}, "offset has 2 entries, expected 1 or 3");
  Refused("Scaler", 1, {}, {Make<std::string>({1}, {"a"})}, "string");
}

TEST(Features, BinarizerAndImputer) {
  ExpectTensor(Ml("Binarizer", 1, {{"threshold", 1.0f}}, {I({3}, {0, 1, 2})}), I({3}, {0, 0, 1}));
  ExpectTensor(Ml("Imputer", 1, {{"replaced_value_float", kNan}, {"imputed_value_floats", Floats{7, 8}}},
                  {F({2, 2}, {kNan, 1, 2, kNan})}),
               F({2, 2}, {7, 1, 2, 8}));
  ExpectTensor(Ml("Imputer", 1, {{"replaced_value_int64", int64_t{3}}, {"imputed_value_int64s", Ints{-1}}},
                  {Make<int32_t>({3}, {3, 4, 3})}),
               Make<int32_t>({3}, {-1, 4, -1}));
  Refused("Imputer", 1, {{"imputed_value_floats", Floats{1}}}, {I({1}, {1})}, "imputed_value_int64s");
}

TEST(Features, Normalizer) {
  const Tensor x = F({2, 2}, {3, -4, 0, 0});
  const auto by = [&](const char* norm) { return Ml("Normalizer", 1, {{"norm", std::string(norm)}}, {x}); };
  ExpectTensor(by("MAX"), F({2, 2}, {1, -4.0f / 3, 0, 0}));
  ExpectTensor(by("L1"), F({2, 2}, {3.0f / 7, -4.0f / 7, 0, 0}));
  ExpectTensor(by("L2"), F({2, 2}, {0.6f, -0.8f, 0, 0}));
  Refused("Normalizer", 1, {{"norm", std::string("L3")}}, {x}, "unknown norm 'L3'");
  Refused("Normalizer", 1, {}, {F({1, 1, 1}, {1})}, "expected [N, C]");
}

TEST(Features, ExtractorAndVectorizer) {
  const Tensor x = F({2, 3}, {1, 2, 3, 4, 5, 6});
  ExpectTensor(Ml("ArrayFeatureExtractor", 1, {}, {x, I({2}, {2, 0})}), F({2, 2}, {3, 1, 6, 4}));
  ExpectTensor(Ml("ArrayFeatureExtractor", 1, {}, {S({"a", "b"}), I({1, 1}, {1})}),
               Make<std::string>({1, 1}, {"b"}));
  Refused("ArrayFeatureExtractor", 1, {}, {x, I({1}, {3})}, "index 3 is outside");
  const Tensor y = I({2, 1}, {8, 9});
  ExpectTensor(Ml("FeatureVectorizer", 1, {{"inputdimensions", Ints{3, 1}}}, {x, y}),
               F({2, 4}, {1, 2, 3, 8, 4, 5, 6, 9}));
  Refused("FeatureVectorizer", 1, {{"inputdimensions", Ints{3, 2}}}, {x, y}, "inputdimensions says 2");
  Refused("FeatureVectorizer", 1, {}, {x, I({3, 1}, {1, 2, 3})}, "input 0 has 2 rows");
}

TEST(Encode, LabelEncoder) {
  const Attrs classes = {{"classes_strings", Strings{"a", "b"}}, {"default_int64", int64_t{9}}};
  ExpectTensor(Ml("LabelEncoder", 1, classes, {S({"b", "c", "a"})}), I({3}, {1, 9, 0}));
  ExpectTensor(Ml("LabelEncoder", 1, classes, {I({2}, {1, 2})}), S({"b", "_Unused"}));
  ExpectTensor(Ml("LabelEncoder", 2, {{"keys_strings", Strings{"x", "y"}}, {"values_floats", Floats{1, 2}}},
                  {S({"y", "z"})}),
               F({2}, {2, -0.0f}));
  ExpectTensor(Ml("LabelEncoder", 4,
                  {{"keys_floats", Floats{0, kNan}},
                   {"values_strings", Strings{"zero", "nan"}},
                   {"default_string", std::string("?")}},
                  {F({3}, {-0.0f, kNan, 1})}),
               S({"zero", "nan", "?"}));
  ExpectTensor(Ml("LabelEncoder", 4,
                  {{"keys_tensor", Make<int16_t>({2}, {5, 6})},
                   {"values_tensor", Make<double>({2}, {0.5, 0.6})},
                   {"default_tensor", Make<double>({1}, {-1})}},
                  {Make<int16_t>({1, 2}, {6, 7})}),
               Make<double>({1, 2}, {0.6, -1}));
  Refused("LabelEncoder", 2, {{"keys_strings", Strings{"x"}}, {"values_floats", Floats{1, 2}}}, {S({"y"})},
          "has 1 keys and 2 values");
  Refused("LabelEncoder", 2, {{"keys_strings", Strings{"x"}}, {"values_floats", Floats{1}}}, {I({1}, {1})},
          "keys are string, the input is int64");
  Refused("LabelEncoder", 2, {{"keys_strings", Strings{"x"}}}, {S({"y"})}, "missing");
}

TEST(Encode, CategoryMapper) {
  const Attrs attrs = {{"cats_strings", Strings{"cat", "dog"}}, {"cats_int64s", Ints{3, 5}}};
  ExpectTensor(Ml("CategoryMapper", 1, attrs, {S({"dog", "cow"})}), I({2}, {5, -1}));
  ExpectTensor(Ml("CategoryMapper", 1, attrs, {I({2}, {3, 4})}), S({"cat", "_Unused"}));
}

TEST(Encode, OneHotEncoder) {
  ExpectTensor(Ml("OneHotEncoder", 1, {{"cats_int64s", Ints{1, 3}}}, {F({3}, {3, 2.5f, 1})}),
               F({3, 2}, {0, 1, 0, 0, 1, 0}));
  ExpectTensor(Ml("OneHotEncoder", 1, {{"cats_int64s", Ints{1, 3}}},
                  {F({2}, {kNan, std::numeric_limits<float>::infinity()})}),
               F({2, 2}, {0, 0, 0, 0}));
  ExpectTensor(
      Ml("OneHotEncoder", 1, {{"cats_strings", Strings{"a", "b"}}}, {Make<std::string>({1, 1}, {"b"})}),
      F({1, 1, 2}, {0, 1}));
  Refused("OneHotEncoder", 1, {{"cats_int64s", Ints{1}}, {"zeros", int64_t{0}}}, {I({1}, {2})},
          "element 0 is no category");
  Refused("OneHotEncoder", 1, {{"cats_int64s", Ints{1}}}, {S({"a"})}, "categories are int64");
}

}  // namespace
}  // namespace sluice::test
