#include "tools/serve/execution.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/serve/batch.h"
#include "tools/serve/top_classes.h"

namespace sluice::serve {
namespace {

int64_t Nanoseconds(Clock::duration duration) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count();
}

// The outputs to ask the model for.
std::vector<std::string> WantedOf(const Model& model, const Pending& pending, const PictureReader* pictures) {
  std::vector<std::string> wanted;
  const auto& named = pending.checked.outputs;
  // Boxes and best classes come from the model's own outputs, whichever they are.
  const bool all = named.empty() || pending.checked.top > 0 ||
                   (pending.checked.picture && pictures != nullptr && pictures->detects());
  for (const ValueInfo& info : model.session.outputs()) {
    const bool is_named = std::find(named.begin(), named.end(), info.name) != named.end();
    if (is_named || (all && IsCarried(info))) wanted.push_back(info.name);
  }
  return wanted;
}

NamedValues InputsOf(std::span<const PendingPtr> members) {
  const Model& model = *members[0]->model;
  const std::vector<ValueInfo>& infos = model.session.inputs();
  NamedValues inputs;
  std::vector<const Tensor*> parts;
  for (size_t i = 0; i < infos.size(); ++i) {
    if (members[0]->checked.inputs[i].empty()) continue;
    if (members.size() == 1) {
      inputs.emplace(infos[i].name, members[0]->checked.inputs[i]);
      continue;
    }
    parts.clear();
    for (const PendingPtr& member : members) parts.push_back(&member->checked.inputs[i]);
    inputs.emplace(infos[i].name, JoinRows(parts));
  }
  return inputs;
}

bool HasRows(const NamedValues& outputs, int64_t rows) {
  return std::all_of(outputs.begin(), outputs.end(), [&](const auto& output) {
    const Value& value = output.second;
    return value.is_tensor() && value.tensor().rank() >= 1 && value.tensor().shape()[0] == rows;
  });
}

std::vector<NamedValues> Split(NamedValues outputs, std::span<const PendingPtr> members) {
  std::vector<NamedValues> result(members.size());
  if (members.size() == 1) {
    result[0] = std::move(outputs);
    return result;
  }
  for (auto& [name, value] : outputs) {
    const RowSplitter splitter(std::move(value.tensor()));
    int64_t begin = 0;
    for (size_t i = 0; i < members.size(); ++i) {
      const int64_t rows = members[i]->checked.rows;
      result[i].emplace(name, splitter.Rows(begin, rows));
      begin += rows;
    }
  }
  return result;
}

RunOptions OptionsFor(std::span<const PendingPtr> members, const std::atomic<bool>& cancel) {
  RunOptions options;
  options.cancel = &cancel;
  Clock::time_point last = Clock::time_point::min();
  for (const PendingPtr& member : members) last = std::max(last, member->deadline);
  if (last != Clock::time_point::max()) options.deadline = last;
  return options;
}

InferResponse ResponseOf(Pending& pending, NamedValues outputs, const PictureReader* pictures) {
  const Model& model = *pending.model;
  InferResponse response;
  response.model = model.info.name;
  response.version = model.info.version;
  response.id = pending.request.id;
  const CheckedRequest& checked = pending.checked;
  const bool detects = checked.picture && pictures != nullptr && pictures->detects();
  if (detects) pictures->Detect(outputs, pending.places, checked.inputs[*checked.picture], response);
  if (checked.top > 0) AddTop(outputs, model.session.outputs(), checked.top, model.info.labels, response);
  const auto add = [&](const std::string& name) {
    const auto found = outputs.find(name);
    if (found == outputs.end()) return;
    if (!found->second.is_tensor())
      throw ServeError(Reason::kUnsupported, fmt::format("output '{}' has no value", name));
    response.outputs.emplace_back(name, found->second.tensor());
  };
  if (checked.outputs.empty()) {
    // Whoever sends a picture to a detector wants boxes, not what they are made of.
    if (!detects)
      for (const ValueInfo& info : model.session.outputs())
        if (IsCarried(info)) add(info.name);
    return response;
  }
  std::vector<std::pair<std::string, Tensor>> made = std::move(response.outputs);
  response.outputs.clear();
  for (const std::string& name : checked.outputs) {
    const auto found = std::find_if(made.begin(), made.end(), [&](const auto& o) { return o.first == name; });
    if (found != made.end())
      response.outputs.push_back(*found);
    else
      add(name);
  }
  return response;
}

}  // namespace

ServeError ToServeError(const std::exception& error, const InferRequest& request,
                        const OnFailure& on_failure) {
  if (const auto* known = dynamic_cast<const ServeError*>(&error)) return *known;
  const auto* of_run = dynamic_cast<const Error*>(&error);
  const ErrorCode code = of_run != nullptr ? of_run->code() : ErrorCode::kInternal;
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return ServeError(Reason::kInvalid, error.what());
    case ErrorCode::kUnsupported:
      return ServeError(Reason::kUnsupported, error.what());
    case ErrorCode::kCancelled:
      return ServeError(Reason::kCancelled, "the request was cancelled");
    case ErrorCode::kDeadlineExceeded:
      return ServeError(Reason::kTimeout, "the deadline passed while the model ran");
    default:
      break;
  }
  if (on_failure) on_failure(request, error.what());
  if (code == ErrorCode::kOutOfMemory || dynamic_cast<const std::bad_alloc*>(&error) != nullptr)
    return ServeError(Reason::kOverloaded, "not enough memory for this request now", 1);
  return ServeError(Reason::kInternal, "the model failed on this request");
}

std::vector<Service::Answer> RunTogether(std::span<const PendingPtr> members, ModelQueue& queue,
                                         const std::atomic<bool>& cancel, std::atomic<bool>& batches,
                                         const OnFailure& on_failure) {
  const Model& model = *members[0]->model;
  std::vector<Service::Answer> answers;
  answers.reserve(members.size());
  // Whether all went well.
  const auto alone = [&] {
    bool good = true;
    for (const PendingPtr& member : members) {
      auto one = RunTogether({&member, 1}, queue, cancel, batches, on_failure);
      good = good && std::holds_alternative<InferResponse>(one[0]);
      answers.push_back(std::move(one[0]));
    }
    return good;
  };
  int64_t rows = 0;
  for (const PendingPtr& member : members) rows += std::max<int64_t>(1, member->checked.rows);
  const Clock::time_point begin = Clock::now();
  Clock::time_point started = begin, ended = begin;
  std::vector<NamedValues> results;
  std::vector<StepProfile> profile;
  try {
    const NamedValues inputs = InputsOf(members);
    const std::vector<std::string> wanted = WantedOf(model, *members[0], queue.pictures.get());
    started = Clock::now();
    RunOptions options = OptionsFor(members, cancel);
    const auto profiled = [](const PendingPtr& member) { return member->checked.profile; };
    if (std::any_of(members.begin(), members.end(), profiled)) options.profile = &profile;
    NamedValues outputs = model.session.Run(inputs, wanted, options);
    ended = Clock::now();
    if (members.size() > 1 && !HasRows(outputs, rows)) {
      batches = false;
      alone();
      return answers;
    }
    results = Split(std::move(outputs), members);
  } catch (const std::exception& error) {
    if (members.size() > 1 && !cancel) {
      // None of them is to blame: the model does not run batches.
      if (alone()) batches = false;
      return answers;
    }
    const int64_t ns = Nanoseconds(Clock::now() - started);
    for (const PendingPtr& member : members) {
      member->timing.compute_ns += ns;
      answers.push_back(ToServeError(error, member->request, on_failure));
    }
    return answers;
  }
  for (size_t i = 0; i < members.size(); ++i) {
    try {
      answers.push_back(ResponseOf(*members[i], std::move(results[i]), queue.pictures.get()));
    } catch (const std::exception& error) {
      answers.push_back(ToServeError(error, members[i]->request, on_failure));
    }
  }
  const Clock::time_point finished = Clock::now();
  const int64_t input_ns = Nanoseconds(started - begin), output_ns = Nanoseconds(finished - ended);
  for (size_t i = 0; i < members.size(); ++i) {
    Timing& timing = members[i]->timing;
    timing.batch_ns += input_ns + output_ns;
    timing.compute_ns += Nanoseconds(ended - started);
    timing.batch_size = rows;
    auto* response = std::get_if<InferResponse>(&answers[i]);
    if (response == nullptr) continue;
    response->timing = timing;
    if (members[i]->checked.profile) response->profile = profile;
  }
  queue.record->Executed(rows, input_ns, Nanoseconds(ended - started), output_ns);
  return answers;
}

}  // namespace sluice::serve
