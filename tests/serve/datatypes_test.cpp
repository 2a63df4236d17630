#include "tools/serve/datatypes.h"

namespace sluice::serve {
namespace {

TEST(Datatypes, NamesLeadBackToTheirTypes) {
  int named = 0;
  for (int i = 0; i <= static_cast<int>(DataType::kInt2); ++i) {
    const DataType type = static_cast<DataType>(i);
    const auto name = DatatypeName(type);
    if (!name) continue;
    ++named;
    EXPECT_EQ(ParseDatatype(*name), type) << *name;
  }
  EXPECT_EQ(named, 14);
}

TEST(Datatypes, OtherNamesAreNone) {
  for (const char* name : {"", "fp32", "FP8", "FLOAT", "INT4", "BYTES "})
    EXPECT_FALSE(ParseDatatype(name)) << name;
  EXPECT_FALSE(DatatypeName(DataType::kComplex64));
}

}  // namespace
}  // namespace sluice::serve
