#include <algorithm>

#include "tools/serve/pending.h"

namespace sluice::serve {
namespace {

// Almost always at the end.
void Insert(std::deque<PendingPtr>& queue, PendingPtr pending) {
  auto at = queue.end();
  while (at != queue.begin() && (*std::prev(at))->order > pending->order) --at;
  queue.insert(at, std::move(pending));
}

// Whether the two can be rows of the same execution.
bool Agree(const Pending& a, const Pending& b) {
  if (a.checked.rows < 1 || b.checked.rows < 1 || a.model != b.model) return false;
  if (a.checked.outputs != b.checked.outputs ||
      a.checked.picture.has_value() != b.checked.picture.has_value())
    return false;
  for (size_t i = 0; i < a.checked.inputs.size(); ++i) {
    const Tensor &x = a.checked.inputs[i], &y = b.checked.inputs[i];
    if (x.dtype() != y.dtype() || x.rank() != y.rank()) return false;
    if (!std::equal(x.shape().begin() + 1, x.shape().end(), y.shape().begin() + 1)) return false;
  }
  return true;
}

}  // namespace

ModelQueue::ModelQueue(const std::shared_ptr<const Model>& served, std::shared_ptr<ModelRecord> of)
    : model(served),
      record(std::move(of)),
      pictures(served->config.pictures ? std::make_unique<PictureReader>(served->session, served->config)
                                       : nullptr),
      max_requests(std::max<int64_t>(1, served->config.max_queue)),
      max_rows(std::max<int64_t>(1, served->config.max_batch_size)),
      max_delay(std::max<int64_t>(0, served->config.max_delay_us)),
      batches(CanBatch(*served)),
      timing(max_rows) {}

void ModelQueue::AddFiles(PendingPtr pending) {
  bytes += pending->checked.bytes;
  Insert(files_, std::move(pending));
}

PendingPtr ModelQueue::TakeFiles() {
  PendingPtr pending = std::move(files_.front());
  files_.pop_front();
  Forget(*pending);
  return pending;
}

void ModelQueue::AddReady(PendingPtr pending) {
  bytes += pending->checked.bytes;
  ready_rows_ += RowsOf(*pending);
  Insert(ready_, std::move(pending));
}

std::vector<PendingPtr> ModelQueue::TakeBatch(Clock::time_point now, std::vector<PendingPtr>& gone) {
  std::vector<PendingPtr> batch;
  const auto take = [&](PendingPtr& slot) {
    Forget(*slot);
    ready_rows_ -= RowsOf(*slot);
    return std::move(slot);
  };
  while (!ready_.empty() && ready_.front()->gone(now)) {
    gone.push_back(take(ready_.front()));
    ready_.pop_front();
  }
  if (ready_.empty()) return batch;
  const int64_t limit = timing.LargestUseful();
  if (!batches || ready_.front()->checked.rows < 1 || ready_.front()->checked.rows >= limit) {
    batch.push_back(take(ready_.front()));
    ready_.pop_front();
    return batch;
  }
  // As many as fit, then back to the last number of rows that batches may have.
  std::vector<size_t> chosen;
  int64_t rows = 0;
  size_t kept = 1;
  const std::vector<int64_t>& sizes = timing.sizes();
  for (size_t i = 0; i < ready_.size() && rows < limit; ++i) {
    const Pending& candidate = *ready_[i];
    if (rows + candidate.checked.rows > limit || candidate.gone(now) || !Agree(*ready_.front(), candidate))
      continue;
    chosen.push_back(i);
    rows += candidate.checked.rows;
    if (std::binary_search(sizes.begin(), sizes.end(), rows)) kept = chosen.size();
  }
  chosen.resize(std::min(kept, chosen.size()));
  for (size_t i : chosen) batch.push_back(take(ready_[i]));
  std::erase(ready_, nullptr);
  return batch;
}

Clock::time_point ModelQueue::TakeGone(Clock::time_point now, std::vector<PendingPtr>& gone) {
  Clock::time_point next = Clock::time_point::max();
  for (std::deque<PendingPtr>* queue : {&files_, &ready_}) {
    bool any = false;
    for (PendingPtr& slot : *queue) {
      if (slot->gone(now)) {
        Forget(*slot);
        if (queue == &ready_) ready_rows_ -= RowsOf(*slot);
        gone.push_back(std::move(slot));
        any = true;
      } else {
        next = std::min(next, slot->deadline);
      }
    }
    if (any) std::erase(*queue, nullptr);
  }
  return next;
}

void ModelQueue::TakeAll(std::vector<PendingPtr>& all) {
  for (std::deque<PendingPtr>* queue : {&files_, &ready_}) {
    for (PendingPtr& slot : *queue) all.push_back(std::move(slot));
    queue->clear();
  }
  bytes = ready_rows_ = 0;
}

}  // namespace sluice::serve
