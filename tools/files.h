#pragma once

#include <cstddef>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::tools {

// The bytes of a regular file. Throws Error{kInvalidArgument} that names it.
std::vector<std::byte> ReadFile(const std::string& path);

// Puts `bytes` in a file in one step: whoever reads it sees the old content or all of the new, also
// when the command is interrupted. Throws Error{kInvalidArgument} that names it.
void WriteFile(const std::string& path, std::span<const std::byte> bytes);
void WriteFile(const std::string& path, std::string_view text);
// The same for content that comes in parts: `write` calls its argument with one after the other. An exception of
// `write` leaves the old content.
using PutBytes = std::function<void(std::span<const std::byte>)>;
void WriteFileParts(const std::string& path, const std::function<void(const PutBytes&)>& write);

// Makes a directory and those above it; fails unless files can be made in it.
void MakeDirectory(const std::string& path);

// `name` as the name of a file: everything but letters, digits, '-', '_' and '.' becomes '_', there
// is no leading '.', and the result is not in `taken` (a number is appended), where it is added.
std::string SafeFileName(std::string_view name, std::set<std::string>& taken);

// ".png" of "a/B.PNG": in lower case, with the dot, empty where there is none.
std::string Extension(std::string_view path);

// From here on SIGINT, SIGTERM and SIGHUP remove a half-written file before they end the process.
void RemoveHalfFilesOnSignals();

}  // namespace sluice::tools
