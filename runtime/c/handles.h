#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/c/values.h"
#include "sluice/session.h"
#include "sluice/sluice.h"

// What the C ABI's handles are.

struct sluice_options {
  sluice::SessionOptions options;
};

struct sluice_cancel {
  std::atomic<bool> requested{false};
};

struct sluice_profile {
  std::vector<sluice::StepProfile> steps;
};

struct sluice_session {
  explicit sluice_session(sluice::Session loaded);

  std::unique_ptr<sluice::c::Call> TakeCall() const;
  void GiveCall(std::unique_ptr<sluice::c::Call> call) const;

  // For each input and output the names of its sizes.
  std::vector<std::vector<const char*>> input_dims, output_dims;
  std::vector<std::pair<std::string, std::string>> metadata;
  mutable std::mutex mutex;
  mutable std::vector<std::unique_ptr<sluice::c::Call>> calls;
  // Last: its end waits for runs, which use the rest.
  sluice::Session session;
};
