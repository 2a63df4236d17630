#include <cstring>
#include <unordered_map>

#include "kernels/ops/ml_scores.h"
#include "kernels/parallel.h"

// LabelEncoder (ai.onnx.ml 1, 2, 4), CategoryMapper (1), OneHotEncoder (1).

namespace sluice {
namespace {

using KeyTypes = TypeList<float, double, int64_t, int32_t, int16_t>;

// Finds the place of a key in a list: strings, integers, or floats, of which NaN is one.
class KeyIndex {
 public:
  KeyIndex() = default;
  // Of keys that occur twice the first counts.
  explicit KeyIndex(const Tensor& keys) : type_(keys.dtype()) {
    const int64_t count = keys.num_elements();
    for (int64_t i = 0; i < count; ++i) {
      if (type_ == DataType::kString) {
        strings_.emplace(keys.values<std::string>()[static_cast<size_t>(i)], i);
        continue;
      }
      Dispatch(KeyTypes(), type_, [&](auto tag) {
        using T = typename decltype(tag)::type;
        numbers_.emplace(BitsOf(keys.values<T>()[static_cast<size_t>(i)]), i);
      });
    }
  }
  // The type whose elements are found, which is the keys' own.
  DataType dtype() const { return type_; }
  // -1 for what is no key. src points to elements of the keys' type, or of another of KeyTypes.
  int64_t Find(const std::string& key) const { return Of(strings_, key); }
  template <typename T>
  int64_t Find(T key) const {
    return Of(numbers_, BitsOf(key));
  }

 private:
  // Numbers that are equal have the same bits.
  template <typename T>
  static uint64_t BitsOf(T value) {
    if constexpr (std::is_integral_v<T>) {
      return static_cast<uint64_t>(static_cast<int64_t>(value));
    } else {
      const double x = value != value ? NAN : static_cast<double>(value) + 0.0;
      uint64_t bits = 0;
      std::memcpy(&bits, &x, sizeof(bits));
      return bits;
    }
  }
  template <typename Map, typename Key>
  static int64_t Of(const Map& map, const Key& key) {
    const auto found = map.find(key);
    return found == map.end() ? -1 : found->second;
  }

  DataType type_ = DataType::kUndefined;
  std::unordered_map<std::string, int64_t> strings_;
  std::unordered_map<uint64_t, int64_t> numbers_;
};

// Calls fn(i, place of element i among the keys) for a range of an input of the keys' type.
template <typename Fn>
void FindAll(const KeyIndex& keys, const RunContext& ctx, DataType type, Range range, const Fn& fn) {
  if (type == DataType::kString) {
    for (int64_t i = range.begin; i < range.end; ++i) fn(i, keys.Find(ctx.in<std::string>(0)[i]));
    return;
  }
  Dispatch(KeyTypes(), type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (int64_t i = range.begin; i < range.end; ++i) fn(i, keys.Find(ctx.in<T>(0)[i]));
  });
}

// Keys, the value of each, and one element for what is no key.
struct Dictionary {
  Tensor keys, values, otherwise;
};

template <typename T>
Tensor Vector(const std::vector<T>& values) {
  return Tensor::From<T>({static_cast<int64_t>(values.size())}, values);
}

// The one of the attributes `stem`s, `stem`_int64s and so on that a node has; an empty tensor for none.
Tensor ListOf(const Attributes& attrs, const std::string& stem) {
  if (attrs.Has(stem + "_strings")) return Vector(attrs.Strings(stem + "_strings", {}));
  if (attrs.Has(stem + "_int64s")) return Vector(attrs.Ints(stem + "_int64s"));
  if (attrs.Has(stem + "_floats")) return Vector(attrs.Floats(stem + "_floats"));
  if (attrs.Has(stem + "_tensor")) return attrs.TensorValue(stem + "_tensor");
  return {};
}

Tensor DefaultOf(const Attributes& attrs, DataType type) {
  if (attrs.Has("default_tensor")) return attrs.TensorValue("default_tensor");
  if (type == DataType::kString) return Vector<std::string>({attrs.String("default_string", "_Unused")});
  if (type == DataType::kInt64) return Vector<int64_t>({attrs.Int("default_int64", -1)});
  if (type == DataType::kFloat) return Vector<float>({attrs.Float("default_float", -0.0f)});
  if (type == DataType::kDouble) return Vector<double>({-0.0});
  if (type == DataType::kInt32) return Vector<int32_t>({-1});
  return Vector<int16_t>({-1});
}

template <typename Context>
Dictionary DictionaryOf(const Context& ctx) {
  const Attributes& attrs = ctx.attrs();
  Dictionary d;
  if (ctx.node().op_type == "LabelEncoder" && ctx.since_version() >= 2) {
    d.keys = ListOf(attrs, "keys");
    d.values = ListOf(attrs, "values");
  } else {
    // Between strings and numbers, in either direction.
    const bool mapper = ctx.node().op_type == "CategoryMapper";
    d.keys = Vector(attrs.Strings(mapper ? "cats_strings" : "classes_strings", {}));
    std::vector<int64_t> numbers = mapper ? attrs.Ints("cats_int64s") : AllAxes(d.keys.num_elements());
    d.values = Vector(numbers);
    if (ctx.dtype(0) != DataType::kString) std::swap(d.keys, d.values);
  }
  if (d.keys.empty() || d.values.empty()) ctx.Fail("keys or values are missing");
  if (d.keys.num_elements() != d.values.num_elements())
    ctx.Fail("has " + std::to_string(d.keys.num_elements()) + " keys and " +
             std::to_string(d.values.num_elements()) + " values");
  if (d.keys.dtype() != ctx.dtype(0))
    ctx.Fail("keys are " + std::string(DataTypeName(d.keys.dtype())) + ", the input is " +
             std::string(DataTypeName(ctx.dtype(0))));
  for (const Tensor* tensor : {&d.keys, &d.values}) {
    if (!Contains(KeyTypes(), tensor->dtype()) && tensor->dtype() != DataType::kString)
      ctx.Fail("keys or values are " + std::string(DataTypeName(tensor->dtype())));
  }
  d.otherwise = DefaultOf(attrs, d.values.dtype());
  if (d.otherwise.dtype() != d.values.dtype() || d.otherwise.num_elements() != 1)
    ctx.Fail("the default is " + std::string(DataTypeName(d.otherwise.dtype())) + " " +
             ToString(d.otherwise.shape()) + ", expected one " + std::string(DataTypeName(d.values.dtype())));
  return d;
}

class LookUpKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    Dictionary d = DictionaryOf(ctx);
    type_ = ctx.dtype(0);
    keys_ = KeyIndex(d.keys);
    values_ = d.values;
    otherwise_ = d.otherwise;
    total_ = ctx.output(0).num_elements();
  }
  int64_t tiles() const override { return PiecesOf(total_, 4096); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    DispatchBySize(values_.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      const auto* values = static_cast<const T*>(values_.data());
      const auto* otherwise = static_cast<const T*>(otherwise_.data());
      T* dst = ctx.out<T>(0);
      FindAll(keys_, ctx, type_, PieceOf(total_, tiles(), tile),
              [&](int64_t i, int64_t place) { dst[i] = place < 0 ? *otherwise : values[place]; });
    });
  }

 private:
  DataType type_ = DataType::kUndefined;
  KeyIndex keys_;
  Tensor values_, otherwise_;
  int64_t total_ = 0;
};

void InferLookUp(InferContext& ctx) { ctx.SetOutput(0, DictionaryOf(ctx).values.dtype(), ctx.shape(0)); }

// The categories, strings or int64; numbers of all types are compared as they are.
template <typename Context>
Tensor CategoriesOf(const Context& ctx) {
  const Tensor categories = ListOf(ctx.attrs(), "cats");
  if (categories.empty()) ctx.Fail("expected one of cats_strings and cats_int64s");
  if ((categories.dtype() == DataType::kString) != (ctx.dtype(0) == DataType::kString))
    ctx.Fail("categories are " + std::string(DataTypeName(categories.dtype())) + ", the input is " +
             std::string(DataTypeName(ctx.dtype(0))));
  return categories;
}

class OneHotEncoderKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const Tensor categories = CategoriesOf(ctx);
    type_ = ctx.dtype(0);
    if (type_ != DataType::kString && !Contains(MlTypes(), type_))
      ctx.Unsupported("input of type " + std::string(DataTypeName(type_)));
    keys_ = KeyIndex(categories);
    count_ = categories.num_elements();
    total_ = NumElements(ctx.shape(0));
    zeros_ = ctx.attrs().Int("zeros", 1) != 0;
    place_ = Describe(ctx.node());
  }
  int64_t tiles() const override { return PiecesOf(total_, 16 * 1024 / (count_ + 1) + 1); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const Range range = PieceOf(total_, tiles(), tile);
    float* dst = ctx.out<float>(0);
    std::fill(dst + range.begin * count_, dst + range.end * count_, 0.0f);
    const auto mark = [&](int64_t i, int64_t place) {
      if (place >= 0)
        dst[i * count_ + place] = 1;
      else if (!zeros_)
        throw Error(ErrorCode::kInvalidArgument,
                    place_ + ": element " + std::to_string(i) + " is no category");
    };
    if (type_ == DataType::kString || type_ == DataType::kInt64 || type_ == DataType::kInt32)
      return FindAll(keys_, ctx, type_, range, mark);
    Dispatch(FloatTypes(), type_, [&](auto tag) {
      const auto* src = ctx.in<typename decltype(tag)::type>(0);
      for (int64_t i = range.begin; i < range.end; ++i) {
        const auto x = static_cast<double>(src[i]);
        const bool whole = x == std::floor(x) && std::abs(x) < 0x1p63;
        mark(i, whole ? keys_.Find(static_cast<int64_t>(x)) : -1);
      }
    });
  }

 private:
  DataType type_ = DataType::kUndefined;
  KeyIndex keys_;
  int64_t count_ = 0, total_ = 0;
  bool zeros_ = true;
  std::string place_;
};

void InferOneHotEncoder(InferContext& ctx) {
  SymShape shape = ctx.shape(0);
  shape.emplace_back(CategoriesOf(ctx).num_elements());
  ctx.SetOutput(0, DataType::kFloat, std::move(shape));
}

const Operator kOperators[] = {
    MlOperator("LabelEncoder", {1, 2, 4}, InferLookUp, &Make<LookUpKernel>, 1,
               "string, float, double, int64, int32, int16"),
    MlOperator("CategoryMapper", {1}, InferLookUp, &Make<LookUpKernel>, 1, "string, int64"),
    MlOperator("OneHotEncoder", {1}, InferOneHotEncoder, &Make<OneHotEncoderKernel>, 1,
               "string, float, double, int64, int32"),
};
const std::vector<RegisterOperator> kRegister(std::begin(kOperators), std::end(kOperators));

}  // namespace
}  // namespace sluice
