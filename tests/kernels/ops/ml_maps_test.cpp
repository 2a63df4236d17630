#include "tests/kernels/op_test_util.h"

// ZipMap, CastMap and DictVectorizer.

namespace sluice::test {
namespace {

const std::string kMl = "ai.onnx.ml";

using Strings = std::vector<std::string>;
using Ints = std::vector<int64_t>;

Value Ml(const std::string& op, const Attrs& attrs, Value input) {
  return RunOp({op, 1, attrs, {std::move(input)}, 1, kMl})[0];
}
void Refused(const std::string& op, const Attrs& attrs, Value input, const std::string& part) {
  ExpectRefused({op, 1, attrs, {std::move(input)}, 1, kMl}, part);
}
Tensor S(std::initializer_list<std::string> values) {
  return Make<std::string>({static_cast<int64_t>(values.size())}, values);
}

TEST(ZipMap, GivesEachRowItsLabels) {
  const Tensor x = F({2, 2}, {1, 2, 3, 4});
  const Value ints = Ml("ZipMap", {{"classlabels_int64s", Ints{7, -7}}}, x);
  ASSERT_EQ(ints.items().size(), 2u);
  using IntMap = std::map<int64_t, float>;
  EXPECT_EQ((ints.items()[0].ToMap<int64_t, float>()), (IntMap{{7, 1}, {-7, 2}}));
  EXPECT_EQ((ints.items()[1].ToMap<int64_t, float>()), (IntMap{{7, 3}, {-7, 4}}));
  const Value lone = Ml("ZipMap", {{"classlabels_strings", Strings{"b", "a"}}}, F({2}, {1, 2}));
  ASSERT_EQ(lone.items().size(), 1u);
  EXPECT_EQ((lone.items()[0].ToMap<std::string, float>()),
            (std::map<std::string, float>{{"b", 1}, {"a", 2}}));
  const Value none = Ml("ZipMap", {{"classlabels_strings", Strings{"b", "a"}}}, F({0, 2}, {}));
  EXPECT_TRUE(none.items().empty());
  EXPECT_EQ(none.element_type(), DataType::kFloat);
  Refused("ZipMap", {{"classlabels_int64s", Ints{1}}}, x, "has 1 class labels, the input 2 columns");
  Refused("ZipMap", {{"classlabels_int64s", Ints{1, 1}}}, x, "key 1 is there twice");
  Refused("ZipMap", {}, x, "expected one of classlabels_strings and classlabels_int64s");
  Refused("ZipMap", {{"classlabels_int64s", Ints{1}}}, F({1, 1, 1}, {1}), "expected [N, C]");
  Refused("ZipMap", {{"classlabels_int64s", Ints{1}}}, I({1}, {1}), "int64");
}

TEST(CastMap, DenseAndSparse) {
  const Value floats = Value::Map(std::map<int64_t, float>{{3, 1.5f}, {0, -2}, {5, 1e30f}});
  const Value texts = Value::Map(std::map<int64_t, std::string>{{1, "0.25"}, {0, " -1e2"}});
  const auto to = [](const char* type) { return Attrs{{"cast_to", std::string(type)}}; };
  ExpectTensor(Ml("CastMap", {}, floats), F({3}, {-2, 1.5f, 1e30f}));
  ExpectTensor(Ml("CastMap", to("TO_INT64"), floats), I({3}, {-2, 1, INT64_MAX}));
  ExpectTensor(Ml("CastMap", to("TO_STRING"), floats), S({"-2", "1.5", "1e+30"}));
  ExpectTensor(Ml("CastMap", {}, texts), F({2}, {-100, 0.25f}));
  ExpectTensor(Ml("CastMap", to("TO_INT64"), texts), I({2}, {-100, 0}));
  ExpectTensor(Ml("CastMap", to("TO_STRING"), texts), S({" -1e2", "0.25"}));
  Attrs sparse = to("TO_FLOAT");
  sparse["map_form"] = std::string("SPARSE");
  sparse["max_map"] = int64_t{6};
  ExpectTensor(Ml("CastMap", sparse, floats), F({6}, {-2, 0, 0, 1.5f, 0, 1e30f}));
  sparse["cast_to"] = std::string("TO_STRING");
  sparse["max_map"] = int64_t{3};
  ExpectTensor(Ml("CastMap", sparse, texts), S({" -1e2", "0.25", ""}));
  Refused("CastMap", sparse, floats, "key 3 is outside [0, 3)");
  Refused("CastMap", {}, Value::Map(std::map<int64_t, std::string>{{1, "x"}}), "'x' is no number");
  Refused("CastMap", to("TO_BOOL"), floats, "unknown cast_to 'TO_BOOL'");
  Refused("CastMap", {{"map_form", std::string("LOOSE")}}, floats, "unknown map_form 'LOOSE'");
  Refused("CastMap", {}, F({1}, {1}), "expected a map");
  Refused("CastMap", {}, Value::Map(std::map<std::string, float>{}), "expected int64 keys");
}

TEST(DictVectorizer, PutsValuesAtTheirPlaces) {
  const Attrs words = {{"string_vocabulary", Strings{"a", "c", "b", "z"}}};
  ExpectTensor(Ml("DictVectorizer", words, Value::Map(std::map<std::string, int64_t>{{"a", 4}, {"c", 8}})),
               I({1, 4}, {4, 8, 0, 0}));
  ExpectTensor(Ml("DictVectorizer", words, Value::Map(std::map<std::string, double>{{"z", 0.5}, {"new", 1}})),
               Make<double>({1, 4}, {0, 0, 0, 0.5}));
  const Attrs numbers = {{"int64_vocabulary", Ints{9, -1}}};
  ExpectTensor(Ml("DictVectorizer", numbers, Value::Map(std::map<int64_t, std::string>{{-1, "minus"}})),
               Make<std::string>({1, 2}, {"", "minus"}));
  ExpectTensor(Ml("DictVectorizer", numbers, Value::Map(std::map<int64_t, float>{})), F({1, 2}, {0, 0}));
  Refused("DictVectorizer", words, Value::Map(std::map<int64_t, float>{}), "the vocabulary is string");
  Refused("DictVectorizer", {}, Value::Map(std::map<int64_t, float>{}), "expected one of");
  Refused("DictVectorizer", words, S({"a"}), "expected a map");
}

}  // namespace
}  // namespace sluice::test
