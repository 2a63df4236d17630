#pragma once

#include <array>
#include <cmath>
#include <memory>
#include <utility>

#include "kernels/broadcast.h"
#include "kernels/dispatch.h"
#include "kernels/forwarding_kernel.h"

// Element-wise operators from functors. A functor is made from the PrepareContext (so it can keep attributes)
// and has a member  T operator()(T...) const  for the types of its list; 16-bit floats are computed in float.

namespace sluice {

// An operand's elements along a row. Most steps are 0 or 1; saying so lets the compiler write vector code.
template <int kStep, typename T>
struct Stream {
  const T* data;
  int64_t step;
  ComputeType<T> operator[](int64_t i) const {
    if constexpr (kStep == 0)
      return static_cast<ComputeType<T>>(data[0]);
    else if constexpr (kStep == 1)
      return static_cast<ComputeType<T>>(data[i]);
    else
      return static_cast<ComputeType<T>>(data[i * step]);
  }
};

// Calls fn(stream) with the step made a constant where that is known to pay.
template <typename T, typename Fn>
void WithStream(const T* data, int64_t step, const Fn& fn) {
  if (step == 1)
    fn(Stream<1, T>{data, step});
  else if (step == 0)
    fn(Stream<0, T>{data, step});
  else
    fn(Stream<2, T>{data, step});
}

// The inputs under the shapes that a functor's `Align(ctx)` gives them, or under their own.
template <typename Functor>
std::vector<Broadcast::Operand> OperandsOf(const PrepareContext& ctx, int count) {
  std::vector<Broadcast::Operand> operands = Broadcast::Inputs(ctx, count);
  if constexpr (requires { Functor::Align(ctx, operands); }) Functor::Align(ctx, operands);
  return operands;
}

// kInputs operands of type In to an output of type Out.
template <typename Functor, typename In, typename Out, int kInputs>
class MapKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    functor_ = std::make_unique<Functor>(ctx);
    broadcast_ = Broadcast(ctx, OperandsOf<Functor>(ctx, kInputs));
  }
  int64_t tiles() const override { return broadcast_.tiles(); }

  void Run(const RunContext& ctx, int64_t tile) const override {
    Out* dst = ctx.out<Out>(0);
    const Functor fn = *functor_;
    broadcast_.ForEachRow(
        tile, [&](int64_t at, const std::array<int64_t, Broadcast::kMaxOperands>& src, int64_t count) {
          const auto store = [&](auto... streams) {
            for (int64_t i = 0; i < count; ++i) dst[at + i] = static_cast<Out>(fn(streams[i]...));
          };
          WithStream(ctx.in<In>(0) + src[0], broadcast_.step(0), [&](auto a) {
            if constexpr (kInputs == 1) {
              store(a);
            } else {
              WithStream(ctx.in<In>(1) + src[1], broadcast_.step(1), [&](auto b) { store(a, b); });
            }
          });
        });
  }

 private:
  std::unique_ptr<Functor> functor_;
  Broadcast broadcast_;
};

// Chooses the MapKernel for the inputs' type. Out is void for the type of the inputs.
template <typename Functor, typename Types, int kInputs, typename Out = void>
class ElementwiseKernel : public ForwardingKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const bool known = Dispatch(Types(), ctx.dtype(0), [&](auto tag) {
      using T = typename decltype(tag)::type;
      using Result = std::conditional_t<std::is_void_v<Out>, T, Out>;
      impl_ = std::make_unique<MapKernel<Functor, T, Result, kInputs>>();
    });
    if (!known) ctx.Unsupported("elements of type " + std::string(DataTypeName(ctx.dtype(0))));
    impl_->Prepare(ctx);
  }
};

// A definition that is registered with its making.
struct Definition {
  explicit Definition(Operator definition) : op(std::move(definition)), registration(op) {}
  Operator op;
  RegisterOperator registration;
};

// Functors without attributes.
struct NoAttributes {
  explicit NoAttributes(const PrepareContext&) {}
};

// One operand; the output has its shape, and its type unless Out is another.
template <typename Functor, typename Types, typename Out = void>
Operator UnaryOperator(std::string_view name, std::vector<int> versions, std::string_view types) {
  Operator op;
  op.name = name;
  op.versions = std::move(versions);
  op.infer = InferSameAsFirst;
  if constexpr (!std::is_void_v<Out>) {
    op.infer = [](InferContext& ctx) { ctx.SetOutput(0, kDataType<Out>, ctx.shape(0)); };
  }
  op.kernels = {&Make<ElementwiseKernel<Functor, Types, 1, Out>>};
  op.types = types;
  return op;
}

}  // namespace sluice
