#include "kernels/onednn/matmul.h"

#include "kernels/onednn/api.h"
#include "kernels/onednn/attr.h"
#include "kernels/onednn/primitive_desc.h"

namespace sluice::onednn {
namespace {

dnnl::memory::data_type TypeOf(DataType type) {
  using Type = dnnl::memory::data_type;
  return type == DataType::kUInt8 ? Type::u8 : type == DataType::kInt8 ? Type::s8 : Type::f32;
}

// oneDNN wants strides that make sense even along axes of one element.
Md MatrixDesc(int64_t rows, int64_t cols, dnnl::memory::data_type type, int64_t row, int64_t col) {
  if (cols == 1 && row == 1)
    col = std::max<int64_t>(1, rows);
  else if (cols == 1)
    col = 1;
  if (rows == 1) row = std::max(cols * col, int64_t{1});
  return Md({rows, cols}, type, {row, col});
}

class Implementation : public MatMulPrimitive {
 public:
  bool Init(const MatMulProblem& p, std::string* reason) {
    const bool floats = p.a_type == DataType::kFloat;
    a_ = MatrixDesc(p.m, p.k, TypeOf(p.a_type), p.a_row, p.a_col);
    plain_b_ = b_ = MatrixDesc(p.k, p.n, TypeOf(p.b_type), p.b_row, p.b_col);
    dst_ =
        Md({p.m, p.n}, floats ? dnnl::memory::data_type::f32 : dnnl::memory::data_type::s32, {p.dst_row, 1});
    if (p.packed_b) b_ = Md({p.k, p.n}, TypeOf(p.b_type), dnnl::memory::format_tag::any);
    if (p.has_bias) bias_ = PlainDesc({1, p.n});
    try {
      std::vector<Primitive::Argument> operands;
      const dnnl::primitive_attr attr = MakeAttr(p.post_ops, dst_, 1, operands);
      const auto pd = MakeMatMulDesc(a_, b_, bias_, dst_, attr);
      implementation_ = pd.impl_info_str();
      if (implementation_.starts_with("ref")) {
        *reason = "oneDNN has only its reference code for it";
        return false;
      }
      b_ = pd.weights_desc();
      scratch_bytes_ = static_cast<int64_t>(pd.scratchpad_desc().get_size());
      std::vector<Primitive::Argument> arguments = {{DNNL_ARG_SRC, a_},
                                                    {DNNL_ARG_WEIGHTS, b_},
                                                    {DNNL_ARG_DST, dst_},
                                                    {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}};
      has_bias_ = p.has_bias;
      if (p.has_bias) arguments.push_back({DNNL_ARG_BIAS, bias_});
      arguments.insert(arguments.end(), operands.begin(), operands.end());
      primitive_ = Primitive(dnnl::matmul(pd), std::move(arguments));
      if (p.packed_b) InitPack();
    } catch (const dnnl::error& error) {
      *reason = "oneDNN does not do it: " + std::string(error.what());
      return false;
    }
    return true;
  }

  std::string implementation() const override { return implementation_; }
  int64_t scratch_bytes() const override { return scratch_bytes_; }
  int64_t packed_bytes() const override { return static_cast<int64_t>(b_.get_size()); }
  std::string packed_format() const override { return FormatKey(plain_b_) + '>' + FormatKey(b_); }
  int64_t pack_scratch_bytes() const override { return pack_scratch_bytes_; }

  void PackB(const void* b, void* packed, void* scratch) const override {
    const void* data[] = {b, packed, scratch};
    pack_.Execute(data);
  }

  void Execute(const void* a, const void* b, const float* bias, void* dst,
               std::span<const void* const> operands, void* scratch) const override {
    constexpr size_t kFixed = 5, kMaxOperands = 32;
    const void* data[kFixed + kMaxOperands] = {a, b, dst, scratch};
    size_t count = 4;
    if (has_bias_) data[count++] = bias;
    for (const void* operand : operands) data[count++] = operand;
    primitive_.Execute({data, count});
  }

 private:
  void InitPack() {
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::reorder::primitive_desc reorder(Engine(), plain_b_, Engine(), b_, attr);
    pack_scratch_bytes_ = static_cast<int64_t>(reorder.scratchpad_desc().get_size());
    pack_ = Primitive(
        dnnl::reorder(reorder),
        {{DNNL_ARG_FROM, plain_b_}, {DNNL_ARG_TO, b_}, {DNNL_ARG_SCRATCHPAD, reorder.scratchpad_desc()}});
  }

  std::string implementation_;
  Md a_, plain_b_, b_, bias_, dst_;
  int64_t scratch_bytes_ = 0, pack_scratch_bytes_ = 0;
  bool has_bias_ = false;
  Primitive primitive_, pack_;
};

}  // namespace

std::shared_ptr<const MatMulPrimitive> MatMulPrimitive::Make(const MatMulProblem& p, std::string* reason) {
  auto result = std::make_shared<Implementation>();
  return result->Init(p, reason) ? result : nullptr;
}

}  // namespace sluice::onednn
