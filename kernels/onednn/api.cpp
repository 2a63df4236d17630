#include "kernels/onednn/api.h"

#include <array>

#include "kernels/pack_cache.h"
#include "sluice/error.h"

namespace sluice::onednn {
namespace {

using Tag = dnnl::memory::format_tag;
constexpr auto kF32 = dnnl::memory::data_type::f32;

// By rank - 3.
constexpr std::array<Tag, 3> kPlainTags = {Tag::abc, Tag::abcd, Tag::abcde};
constexpr std::array<Tag, 3> kLastTags = {Tag::acb, Tag::acdb, Tag::acdeb};
constexpr std::array<Tag, 3> kBlocked8Tags = {Tag::aBc8b, Tag::aBcd8b, Tag::aBcde8b};
constexpr std::array<Tag, 3> kBlocked16Tags = {Tag::aBc16b, Tag::aBcd16b, Tag::aBcde16b};

constexpr size_t kMaxArguments = 40;

void Check(dnnl_status_t status) {
  if (status == dnnl_success) return;
  throw Error(status == dnnl_out_of_memory ? ErrorCode::kOutOfMemory : ErrorCode::kInternal,
              "oneDNN failed to run a primitive, status " + std::to_string(status));
}

// Memory objects of one execution.
class Bindings {
 public:
  ~Bindings() {
    for (size_t i = 0; i < count_; ++i) dnnl_memory_destroy(items_[i].memory);
  }
  void Add(int id, const Md& desc, const void* data) {
    dnnl_memory_t memory = nullptr;
    Check(dnnl_memory_create(&memory, &desc.data, Engine().get(), const_cast<void*>(data)));
    items_[count_++] = {id, memory};
  }
  int count() const { return static_cast<int>(count_); }
  const dnnl_exec_arg_t* data() const { return items_.data(); }

 private:
  std::array<dnnl_exec_arg_t, kMaxArguments> items_;
  size_t count_ = 0;
};

// Code that oneDNN generated, and its descriptions: 12 to 16 KB a primitive measured in networks of convolutions with
// oneDNN's own cache off, which shares code between plans and so halves that.
constexpr int64_t kPrimitiveBytes = 16 << 10;

}  // namespace

const dnnl::engine& Engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::stream& Stream() {
  thread_local dnnl::stream stream(Engine());
  return stream;
}

Md ActivationDesc(const Shape& shape, Layout layout) {
  const size_t i = shape.size() - 3;
  switch (layout) {
    case Layout::kChannelsLast: return Md(shape, kF32, kLastTags.at(i));
    case Layout::kBlocked8: return Md(shape, kF32, kBlocked8Tags.at(i));
    case Layout::kBlocked16: return Md(shape, kF32, kBlocked16Tags.at(i));
    case Layout::kPlain: break;
  }
  return Md(shape, kF32, kPlainTags.at(i));
}

Md PlainDesc(const Shape& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * std::max<int64_t>(shape[i], 1);
  return StridedDesc(shape, strides);
}

Md StridedDesc(const Shape& shape, const std::vector<int64_t>& strides) { return Md(shape, kF32, strides); }

Md AnyDesc(const Shape& shape) { return Md(shape, kF32, Tag::any); }

std::string FormatKey(const Md& desc) {
  const dnnl_memory_desc_t& d = desc.data;
  std::string key = std::to_string(d.offset0);
  const auto& blocking = d.format_desc.blocking;
  for (int i = 0; i < d.ndims; ++i) {
    key += '/' + std::to_string(d.dims[i]) + ',' + std::to_string(d.padded_dims[i]) + ',' +
           std::to_string(blocking.strides[i]);
  }
  for (int i = 0; i < blocking.inner_nblks; ++i) {
    key += ':' + std::to_string(blocking.inner_blks[i]) + '@' + std::to_string(blocking.inner_idxs[i]);
  }
  return key + '#' + std::to_string(static_cast<int>(d.format_kind)) + '#' + std::to_string(desc.get_size());
}

Primitive::Primitive(dnnl::primitive primitive, std::vector<Argument> arguments)
    : primitive_(std::move(primitive)), arguments_(std::move(arguments)) {
  CountHeld(kPrimitiveBytes);
}

void Primitive::Execute(std::span<const void* const> data) const {
  if (data.size() != arguments_.size() || data.size() > kMaxArguments) {
    throw Error(ErrorCode::kInternal, "a oneDNN primitive got " + std::to_string(data.size()) + " arguments");
  }
  Bindings bindings;
  for (size_t i = 0; i < data.size(); ++i) bindings.Add(arguments_[i].id, arguments_[i].desc, data[i]);
  Check(dnnl_primitive_execute(primitive_.get(), Stream().get(), bindings.count(), bindings.data()));
}

}  // namespace sluice::onednn
