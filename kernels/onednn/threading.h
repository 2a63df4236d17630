#pragma once

namespace sluice {

// oneDNN on OpenMP starts no team on a thread whose own OpenMP thread count is 1; these set that count
// for the calling thread. Nothing to do where oneDNN is built on TBB or sequential.

// Returns the former count, for LeaveSingleThreaded.
int EnterSingleThreaded();
void LeaveSingleThreaded(int former);

// For the length of a scope. Cheap, nests.
class SingleThreaded {
 public:
  SingleThreaded() : former_(EnterSingleThreaded()) {}
  ~SingleThreaded() { LeaveSingleThreaded(former_); }
  SingleThreaded(const SingleThreaded&) = delete;
  SingleThreaded& operator=(const SingleThreaded&) = delete;

 private:
  int former_;
};

}  // namespace sluice
