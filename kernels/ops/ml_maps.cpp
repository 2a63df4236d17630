#include <unordered_map>

#include "kernels/ops/convert.h"
#include "kernels/ops/ml_scores.h"

// ZipMap, CastMap and DictVectorizer (ai.onnx.ml 1): between tensors and maps.

namespace sluice {
namespace {

// Elements of maps, to and from tensors.
using ElementTypes = TypeList<int64_t, std::string, float, double>;

template <typename T>
Tensor ListOf(const std::vector<T>& values) {
  return Tensor::From<T>({static_cast<int64_t>(values.size())}, values);
}

// The one of two lists of attributes that a node has.
template <typename Context>
Tensor KeysOf(const Context& ctx, const std::string& strings, const std::string& ints) {
  const std::vector<std::string> texts = ctx.attrs().Strings(strings, {});
  const std::vector<int64_t> numbers = ctx.attrs().Ints(ints, {});
  if (texts.empty() == numbers.empty()) ctx.Fail("expected one of " + strings + " and " + ints);
  return texts.empty() ? ListOf(numbers) : ListOf(texts);
}

// A map for each row: the labels of the columns are its keys, the row its values.
class ZipMapKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    rows_ = Rows(ctx, ctx.shape(0));
    const Tensor labels = KeysOf(ctx, "classlabels_strings", "classlabels_int64s");
    if (ctx.dtype(0) != DataType::kFloat)
      ctx.Unsupported("values of type " + std::string(DataTypeName(ctx.dtype(0))));
    if (labels.num_elements() != rows_.columns)
      ctx.Fail("has " + std::to_string(labels.num_elements()) + " class labels, the input " +
               std::to_string(rows_.columns) + " columns");
    // Which column each key belongs to, keys in order. All maps share the keys.
    std::vector<double> columns(static_cast<size_t>(rows_.columns));
    for (size_t i = 0; i < columns.size(); ++i) columns[i] = static_cast<double>(i);
    const Value places = Value::Map(labels, ListOf(columns));
    keys_ = places.keys();
    for (double column : places.mapped().values<double>()) columns_.push_back(static_cast<int64_t>(column));
  }
  void Run(const RunContext& ctx, int64_t) const override {
    const Value value = ctx.value(0);
    const auto src = value.tensor().values<float>();
    std::vector<Value> maps;
    for (int64_t row = 0; row < rows_.rows; ++row) {
      Tensor values(DataType::kFloat, {rows_.columns});
      for (size_t i = 0; i < columns_.size(); ++i)
        values.mutable_values<float>()[i] = src[static_cast<size_t>(row * rows_.columns + columns_[i])];
      maps.push_back(Value::Map(keys_, std::move(values)));
    }
    ctx.SetOutput(0, Value::Sequence(std::move(maps), DataType::kFloat));
  }

 private:
  Rows rows_;
  Tensor keys_;
  std::vector<int64_t> columns_;
};

void InferZipMap(InferContext& ctx) {
  const Tensor labels = KeysOf(ctx, "classlabels_strings", "classlabels_int64s");
  ctx.SetOutput(0, ValueType::SequenceOf(DataType::kFloat, labels.dtype()));
}

const ValueType& MapType(const InferContext& ctx) {
  if (ctx.input(0).kind != ValueType::Kind::kMap)
    ctx.Fail("input is " + ToString(ctx.input(0)) + ", expected a map");
  return ctx.input(0);
}

template <typename Context>
bool IsSparse(const Context& ctx) {
  const std::string form = ctx.attrs().String("map_form", "DENSE");
  if (form != "DENSE" && form != "SPARSE") ctx.Fail("unknown map_form '" + form + "'");
  return form == "SPARSE";
}

// A map's values in the order of their keys; if sparse each at the place that its key says.
class CastMapKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.output(0).dtype;
    size_ = IsSparse(ctx) ? ctx.attrs().Int("max_map", 1) : -1;
    place_ = Describe(ctx.node());
  }
  void Run(const RunContext& ctx, int64_t) const override {
    const Value map = ctx.value(0);
    const auto keys = map.keys().values<int64_t>();
    Tensor dst = size_ < 0 ? Tensor(type_, {static_cast<int64_t>(keys.size())})
                           : Tensor::Borrow(type_, {size_}, ctx.out<void>(0));
    Dispatch(ElementTypes(), type_, [&](auto tag) {
      using To = typename decltype(tag)::type;
      const auto to = dst.mutable_values<To>();
      if (size_ >= 0) std::fill(to.begin(), to.end(), To());
      Dispatch(ElementTypes(), map.element_type(), [&](auto from_tag) {
        const auto from = map.mapped().values<typename decltype(from_tag)::type>();
        for (size_t i = 0; i < keys.size(); ++i) to[Place(keys[i], i)] = Cast<To>(from[i]);
      });
    });
    if (size_ < 0) ctx.SetOutput(0, std::move(dst));
  }

 private:
  size_t Place(int64_t key, size_t i) const {
    if (size_ < 0) return i;
    if (key < 0 || key >= size_)
      throw Error(ErrorCode::kInvalidArgument,
                  place_ + ": key " + std::to_string(key) + " is outside [0, " + std::to_string(size_) + ")");
    return static_cast<size_t>(key);
  }
  template <typename To, typename From>
  static To Cast(const From& value) {
    if constexpr (std::is_same_v<To, From>)
      return value;
    else if constexpr (std::is_same_v<To, std::string>)
      return ToText(value);
    else if constexpr (std::is_same_v<From, std::string>)
      return FromText<To>(value);
    else
      return Convert<To>(value);
  }

  DataType type_ = DataType::kUndefined;
  int64_t size_ = -1;  // of a sparse result
  std::string place_;
};

void InferCastMap(InferContext& ctx) {
  const std::string to = ctx.attrs().String("cast_to", "TO_FLOAT");
  const DataType type = to == "TO_FLOAT"    ? DataType::kFloat
                        : to == "TO_INT64"  ? DataType::kInt64
                        : to == "TO_STRING" ? DataType::kString
                                            : DataType::kUndefined;
  if (type == DataType::kUndefined) ctx.Fail("unknown cast_to '" + to + "'");
  if (MapType(ctx).key_type != DataType::kInt64)
    ctx.Fail("input is " + ToString(ctx.input(0)) + ", expected int64 keys");
  const int64_t size = ctx.attrs().Int("max_map", 1);
  if (size < 0) ctx.Fail("max_map is " + std::to_string(size));
  ctx.SetOutput(0, type, {IsSparse(ctx) ? Dim(size) : Dim()});
}

// Values at the places that the vocabulary gives their keys, zero at the others. Keys that are not in the
// vocabulary are left out, as by the tool whose models these are: it meets new features in new data.
class DictVectorizerKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.output(0).dtype;
    const Tensor keys = KeysOf(ctx, "string_vocabulary", "int64_vocabulary");
    size_ = keys.num_elements();
    for (size_t i = 0; i < static_cast<size_t>(size_); ++i) {
      if (keys.dtype() == DataType::kString)
        strings_.emplace(keys.values<std::string>()[i], i);
      else
        ints_.emplace(keys.values<int64_t>()[i], i);
    }
  }
  void Run(const RunContext& ctx, int64_t) const override {
    const Value map = ctx.value(0);
    Dispatch(ElementTypes(), type_, [&](auto tag) {
      using T = typename decltype(tag)::type;
      T* to = ctx.out<T>(0);
      const auto from = map.mapped().values<T>();
      std::fill(to, to + size_, T());
      const auto place = [&](const auto& places, const auto& keys) {
        for (size_t i = 0; i < keys.size(); ++i) {
          if (const auto found = places.find(keys[i]); found != places.end()) to[found->second] = from[i];
        }
      };
      if (map.keys().dtype() == DataType::kString)
        place(strings_, map.keys().values<std::string>());
      else
        place(ints_, map.keys().values<int64_t>());
    });
  }

 private:
  DataType type_ = DataType::kUndefined;
  int64_t size_ = 0;
  std::unordered_map<std::string, size_t> strings_;
  std::unordered_map<int64_t, size_t> ints_;
};

void InferDictVectorizer(InferContext& ctx) {
  const ValueType& map = MapType(ctx);
  const Tensor keys = KeysOf(ctx, "string_vocabulary", "int64_vocabulary");
  if (keys.dtype() != map.key_type)
    ctx.Fail("the vocabulary is " + std::string(DataTypeName(keys.dtype())) + ", the input " + ToString(map));
  ctx.SetOutput(0, map.dtype, {Dim(1), Dim(keys.num_elements())});
}

const Operator kOperators[] = {
    MlOperator("ZipMap", {1}, InferZipMap, &Make<ZipMapKernel>, 1, "float"),
    MlOperator("CastMap", {1}, InferCastMap, &Make<CastMapKernel>, 1, "string, float"),
    MlOperator("DictVectorizer", {1}, InferDictVectorizer, &Make<DictVectorizerKernel>, 1,
               "string, int64, float, double"),
};
const std::vector<RegisterOperator> kRegister(std::begin(kOperators), std::end(kOperators));

}  // namespace
}  // namespace sluice
