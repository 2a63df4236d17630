#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "graph/dim.h"
#include "graph/mapped_file.h"
#include "sluice_onnx.pb.h"

namespace sluice {

// Where the bulk of a model's tensors lies.
class TensorSource {
 public:
  // `blobs` are views into memory that `owner` keeps alive; null: what is kept is copied. External
  // data lies in `folder`; nothing: it is refused. copy: external files are read instead of mapped.
  TensorSource(std::span<const std::span<const std::byte>> blobs, std::shared_ptr<const void> owner,
               std::optional<std::string> folder, bool copy)
      : blobs_(blobs), owner_(std::move(owner)), folder_(std::move(folder)), copy_(copy) {}

  // The tensor of a TensorProto whose raw_data is an index into blobs. A view where alignment and
  // type allow. Throws Error{kInvalidModel} that names the tensor.
  Tensor Read(const sluice_onnx::TensorProto& proto);
  Tensor Read(const sluice_onnx::SparseTensorProto& proto);
  // Every page of external files that was read for a copy may go.
  void ForgetExternal() const;
  // Names of the external files that were read.
  const std::set<std::string>& locations() const { return locations_; }

 private:
  std::span<const std::byte> External(const sluice_onnx::TensorProto& proto, int64_t wanted,
                                      std::shared_ptr<const void>& owner);

  std::span<const std::span<const std::byte>> blobs_;
  std::shared_ptr<const void> owner_;
  std::optional<std::string> folder_;
  bool copy_;
  std::map<std::string, std::shared_ptr<const MappedFile>> files_;
  std::set<std::string> locations_;
};

// The tensor of a TensorProto as protobuf reads it, raw_data included; copied. Throws Error{kInvalidModel}.
Tensor ReadTensorProto(const sluice_onnx::TensorProto& proto);

// Types as the model states them. `place` names the value for the message of Error{kInvalidModel}.
ValueType ReadType(const sluice_onnx::TypeProto& proto, const std::string& place);

}  // namespace sluice
