#include "runtime/compiled/cache.h"

#include <cstdio>
#include <filesystem>
#include <set>

#include "runtime/compiled/checksum.h"
#include "runtime/compiled/facts.h"
#include "runtime/compiled/sources.h"

namespace sluice {
namespace {

// Models that import the same operators may mean others once a program registers more of them.
std::string OperatorsOf(const SessionOptions& options) {
  std::set<std::string> names;
  for (const auto& op : options.operators) {
    if (op != nullptr)
      names.insert(op->domain() + '.' + op->name() + ' ' + std::to_string(op->since_version()));
  }
  std::string text;
  for (const std::string& name : names) text += name + '\n';
  return text;
}

}  // namespace

CacheEntry CacheEntryOf(const std::string& model, const SessionOptions& options, int threads) {
  const std::string path = SourcesOf(model, {})[0].path;
  CacheEntry entry;
  entry.key = path + '\n' + std::string(Version()) + '\n';
  for (const auto& [name, value] : FactsOf(options)) entry.key += name + ": " + value + '\n';
  for (const auto& [name, shape] : options.input_shapes) entry.key += name + " as " + ToString(shape) + '\n';
  if (!options.tuning_file.empty()) entry.key += "tuned for " + std::to_string(threads) + " threads\n";
  entry.key += OperatorsOf(options);
  char hash[20];
  std::snprintf(hash, sizeof hash, "%016llx",
                static_cast<unsigned long long>(Checksum(std::as_bytes(std::span(entry.key)))));
  const std::string stem = std::filesystem::path(path).stem().string().substr(0, 100);
  entry.file = (std::filesystem::path(options.cache_folder) / (stem + "-" + hash + ".sluice")).string();
  return entry;
}

}  // namespace sluice
