#include "tests/kernels/op_test_util.h"

namespace sluice::test {
namespace {

Tensor W(const Shape& shape, std::initializer_list<std::string> words) {
  return Make<std::string>(shape, words);
}

TEST(StringNormalizer, DropsAndChangesCase) {
  const Attrs attrs = {{"case_change_action", std::string("UPPER")},
                       {"stopwords", std::vector<std::string>{"Monday"}}};
  ExpectTensor(RunOp({"StringNormalizer", 10, attrs, {W({2}, {"monday", "a1"})}})[0], W({1}, {"A1"}));
  ExpectTensor(RunOp({"StringNormalizer", 10, attrs, {W({1, 1}, {"MONDAY"})}})[0], W({1, 1}, {""}));
  ExpectRefused({"StringNormalizer", 10, {}, {W({2, 1}, {"a", "b"})}}, "expected [n] or [1, n]");
}

TEST(StringConcat, Broadcasts) {
  ExpectTensor(RunOp({"StringConcat", 20, {}, {W({2, 1}, {"a", "b"}), W({2}, {"x", "y"})}})[0],
               W({2, 2}, {"ax", "ay", "bx", "by"}));
}

TEST(StringSplit, WithAndWithoutDelimiter) {
  auto out = RunOp({"StringSplit", 20, {}, {W({2}, {" a  b ", ""})}, 2});
  ExpectTensor(out[0], W({2, 2}, {"a", "b", "", ""}));
  ExpectTensor(out[1], I({2}, {2, 0}));
  out = RunOp({"StringSplit",
               20,
               {{"delimiter", std::string(",")}, {"maxsplit", int64_t{1}}},
               {W({1}, {"a,,b"})},
               2});
  ExpectTensor(out[0], W({1, 2}, {"a", ",b"}));
}

TEST(TfIdf, CountsGrams) {
  const Attrs attrs = {{"mode", std::string("TF")},
                       {"min_gram_length", int64_t{1}},
                       {"max_gram_length", int64_t{2}},
                       {"max_skip_count", int64_t{1}},
                       {"ngram_counts", std::vector<int64_t>{0, 2}},
                       {"ngram_indexes", std::vector<int64_t>{0, 1, 2}},
                       {"pool_int64s", std::vector<int64_t>{5, 6, 5, 7}}};
  ExpectTensor(RunOp({"TfIdfVectorizer", 9, attrs, {I({4}, {5, 6, 7, 5})}})[0], F({3}, {2, 1, 1}));
  Attrs bad = attrs;
  bad["ngram_counts"] = std::vector<int64_t>{0, 9};
  ExpectRefused({"TfIdfVectorizer", 9, bad, {I({1}, {5})}}, "ngram_counts do not fit the pool");
}

TEST(RegexFullMatch, MatchesWholeStrings) {
  const auto match = [](const std::string& pattern, std::initializer_list<std::string> strings) {
    const auto count = static_cast<int64_t>(strings.size());
    return RunOp({"RegexFullMatch", 20, {{"pattern", pattern}}, {Make<std::string>({count}, strings)}})[0];
  };
  ExpectTensor(match(R"(www\.[\w.-]+\.\bcom\b)", {"www.google.com", "www.facebook.com", "www.bbc.co.uk"}),
               Make<bool>({3}, {true, true, false}));
  ExpectTensor(match("a|ab", {"ab", "a", "", "abc"}), Make<bool>({4}, {true, true, false, false}));
  ExpectTensor(match("(?i)\\p{Greek}+.", {"\u03b1\u03b2\u00e4"}), Make<bool>({1}, {true}));
  ExpectTensor(match("x", {}), Make<bool>({0}, {}));
  // Takes exponential time where matching goes back and tries again.
  ExpectTensor(match("(a*)*(a*)*(a|aa)+b", {std::string(20000, 'a')}), Make<bool>({1}, {false}));
}

TEST(RegexFullMatch, Refuses) {
  const Tensor x = Make<std::string>({1}, {"a"});
  ExpectRefused({"RegexFullMatch", 20, {{"pattern", std::string("(")}}, {x}}, "pattern '('");
  ExpectRefused({"RegexFullMatch", 20, {{"pattern", std::string("(a)\\1")}}, {x}}, "invalid escape sequence");
  ExpectRefused({"RegexFullMatch", 20, {{"pattern", std::string("((x{1000}){1000}){1000}")}}, {x}},
                "pattern");
  ExpectRefused({"RegexFullMatch", 20, {}, {x}}, "pattern");
  ExpectRefused({"RegexFullMatch", 20, {{"pattern", std::string("a")}}, {F({1}, {1})}}, "expected string");
}

}  // namespace
}  // namespace sluice::test
