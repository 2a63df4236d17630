#pragma once

#include <memory>
#include <span>
#include <string>

#include "runtime/compiled/compiled_model.h"

namespace sluice {

// Whether the file begins as a compiled model does. False for what cannot be read.
bool IsCompiledFile(const std::string& path);

// The compiled model in a file that is mapped, its pages shared with every process that has it open; `verify`
// as in CompiledModel. copy: it is read into memory and verified instead. Throws Error that names the file.
std::shared_ptr<CompiledModel> OpenCompiledFile(const std::string& path, bool copy, bool verify,
                                                const OperatorLookup& lookup);

// The same of bytes, which are copied.
std::shared_ptr<CompiledModel> OpenCompiledBytes(std::span<const std::byte> bytes, bool verify,
                                                 const OperatorLookup& lookup);

// The graph of a model or, optimized, of a compiled one, in which constants that kernels have packed read as
// zeros.
std::unique_ptr<Graph> ImportModel(const std::string& path);

}  // namespace sluice
