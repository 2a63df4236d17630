#include "tools/serve/batch.h"

#include <algorithm>
#include <random>

#include "sluice/data_type.h"
#include "tools/serve/batch_timing.h"

namespace sluice::serve {
namespace {

TEST(BatchSizes, AreFewAndEndAtTheLargest) {
  EXPECT_EQ(BatchSizes(1), (std::vector<int64_t>{1}));
  EXPECT_EQ(BatchSizes(2), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(BatchSizes(8), (std::vector<int64_t>{1, 2, 3, 4, 6, 8}));
  EXPECT_EQ(BatchSizes(10), (std::vector<int64_t>{1, 2, 3, 4, 6, 8, 10}));
  EXPECT_EQ(BatchSizes(0), (std::vector<int64_t>{1}));
  for (int64_t max : {1, 3, 5, 7, 12, 100, 1000, 1 << 30}) {
    const auto sizes = BatchSizes(max);
    EXPECT_TRUE(std::is_sorted(sizes.begin(), sizes.end()));
    EXPECT_EQ(std::adjacent_find(sizes.begin(), sizes.end()), sizes.end()) << max;
    EXPECT_EQ(sizes.back(), max);
  }
  EXPECT_LT(BatchSizes(INT64_MAX).size(), 130u);
}

TEST(Rows, JoinedAndSplitAreTheSame) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    const int64_t columns = static_cast<int64_t>(random() % 4),
                  parts = 1 + static_cast<int64_t>(random() % 5);
    std::vector<Tensor> tensors;
    for (int64_t i = 0; i < parts; ++i) {
      Tensor& tensor =
          tensors.emplace_back(DataType::kInt16, Shape{static_cast<int64_t>(random() % 4), columns});
      for (int16_t& value : tensor.mutable_values<int16_t>()) value = static_cast<int16_t>(random());
    }
    std::vector<const Tensor*> pointers;
    for (const Tensor& tensor : tensors) pointers.push_back(&tensor);
    const RowSplitter splitter(JoinRows(pointers));
    int64_t begin = 0;
    for (const Tensor& tensor : tensors) {
      const Tensor rows = splitter.Rows(begin, tensor.shape()[0]);
      EXPECT_EQ(rows.shape(), tensor.shape());
      const auto expected = tensor.values<int16_t>(), found = rows.values<int16_t>();
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), found.begin(), found.end()));
      begin += tensor.shape()[0];
    }
  }
}

TEST(Rows, OfStringsOutliveTheWhole) {
  const std::vector<std::string> a = {"one", std::string(100, 'x')}, b = {"three"};
  const Tensor first = Tensor::From<std::string>({2}, a), second = Tensor::From<std::string>({1}, b);
  const Tensor* parts[] = {&first, &second};
  Tensor last;
  {
    const RowSplitter splitter(JoinRows(parts));
    last = splitter.Rows(1, 2);
  }
  EXPECT_EQ(last.values<std::string>()[0], a[1]);
  EXPECT_EQ(last.values<std::string>()[1], "three");
  EXPECT_FALSE(last.is_borrowed());
}

TEST(BatchTiming, KnowsWhatLargerBatchesSave) {
  BatchTiming timing(8);
  EXPECT_LT(timing.SavingNs(1), 0);
  timing.Started();
  timing.Ran(1, 1000);
  EXPECT_LT(timing.SavingNs(1), 0);
  timing.Ran(8, 1600);
  EXPECT_DOUBLE_EQ(timing.SavingNs(1), 1000 - 200);
  // Rows that cost the same together as alone save nothing.
  BatchTiming flat(8);
  flat.Started();
  flat.Ran(1, 1000);
  flat.Ran(4, 4200);
  EXPECT_DOUBLE_EQ(flat.SavingNs(1), 0);
}

TEST(BatchTiming, LeavesOutSizesThatCostMore) {
  BatchTiming timing(8);
  timing.Started();
  EXPECT_EQ(timing.LargestUseful(), 8);
  for (const int64_t rows : timing.sizes())
    timing.Ran(rows, static_cast<double>(rows) * (rows > 3 ? 1200 : 1000));
  EXPECT_EQ(timing.LargestUseful(), 3);
  timing.InFlight(6);
  EXPECT_EQ(timing.expected_rows(), 3);
}

// Two clients that take turns never make a batch of two, whatever they wait.
TEST(BatchTiming, GivesUpWaitingForWhatNeverComes) {
  BatchTiming timing(8);
  int waits = 0, late_waits = 0;
  for (int i = 0; i < 1000; ++i) {
    const bool wait = timing.SavingNs(1) != 0;
    waits += wait;
    late_waits += wait && i >= 100;
    timing.Started();
    timing.Ran(1, 1000);
  }
  EXPECT_GT(waits, 10);
  EXPECT_GT(late_waits, 5);
  EXPECT_LT(late_waits, 20);
}

TEST(BatchTiming, ExpectsAsManyRowsAsThereWereLately) {
  BatchTiming timing(8);
  EXPECT_EQ(timing.expected_rows(), 1);
  timing.InFlight(5);
  EXPECT_EQ(timing.expected_rows(), 5);
  timing.InFlight(500);
  EXPECT_EQ(timing.expected_rows(), 8);
  for (int i = 0; i < 40; ++i) {
    timing.InFlight(1);
    timing.Started();
  }
  EXPECT_EQ(timing.expected_rows(), 1);
}

}  // namespace
}  // namespace sluice::serve
