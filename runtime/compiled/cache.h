#pragma once

#include <string>
#include <string_view>

#include "sluice/session.h"

namespace sluice {

// The place of a compiled model in SessionOptions::cache_folder.
struct CacheEntry {
  std::string file;
  // All that the file depends on beside the content of the model; in its facts, under kCacheKey. Names of
  // files are shortened forms of it.
  std::string key;
};
constexpr const char* kCacheKey = "cache key";

// How the lines of SessionOptions::log begin that tell of the folder: a file in it is used, written or made
// again; none can be kept.
constexpr std::string_view kCacheNews = "compiled model '", kCacheFailure = "no compiled model is kept: ";

// threads: those of the session, which tuning is for. Throws Error{kInvalidArgument} for a model that is not
// there.
CacheEntry CacheEntryOf(const std::string& model, const SessionOptions& options, int threads);

}  // namespace sluice
