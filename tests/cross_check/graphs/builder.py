"""The graph under construction, and the makers that add to it.

A maker adds one node or a few to a Builder, choosing among the values made so far; it returns nothing, or raises
Misfit, where none fits. Values remember whether they are exact: results of arithmetic differ in the last bits between
runtimes, so steps (Floor, ArgMax, comparisons, Cast to integers) take exact values only.
"""
import numpy as np
from onnx import checker, helper, mapping, numpy_helper, shape_inference

MAKERS = []  # (function, least opset, greatest opset)

FLOATS = ("float32", "float64")
REALS = FLOATS + ("float16",)
INTS = ("int32", "int64")
ALL_INTS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FINAL = "final"  # in the place of `exact`: no other node takes the value

# The newest opset that shape inference knows; nodes of newer definitions state their types.
KNOWN_OPSET = 17
# Larger values are outputs at once.
MOST_ELEMS = 60000


class Misfit(Exception):
    """What the maker had in mind is no valid node."""


def maker(since=1, until=99):
    def register(function):
        MAKERS.append((function, since, until))
        return function
    return register


def tensor_type(dtype):
    return mapping.NP_TYPE_TO_TENSOR_TYPE[np.dtype(dtype)]


def broadcasts(a, b):
    return all(x == y or 1 in (x, y) for x, y in zip(reversed(a), reversed(b)))


class Value:
    """An edge of the graph; its shape is None where only a run tells."""

    def __init__(self, name, dtype, shape, exact):
        self.name, self.dtype, self.exact = name, dtype, exact
        self.known = shape is not None
        self._shape = tuple(shape) if self.known else None

    @property
    def shape(self):
        if not self.known:
            raise Misfit(f"{self.name} has no shape")
        return self._shape

    @property
    def rank(self):
        return len(self.shape)

    @property
    def elems(self):
        return int(np.prod(self.shape, dtype=np.int64))


class Builder:
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.opset = int(self.rng.integers(7, 25))
        self.nodes, self.initializers = [], []
        self.values = []  # that nodes may take
        self.made = []  # by nodes; those that no node takes are the graph's outputs
        self.inputs = {}
        self.captured = set()  # names that nested graphs read
        self.count = 0

    # Draws.

    def chance(self, p):
        return self.rng.random() < p

    def int(self, low, high):
        """In [low, high]."""
        return int(self.rng.integers(low, high + 1))

    def pick(self, options):
        return options[self.int(0, len(options) - 1)]

    def array(self, dtype, shape):
        if dtype in REALS:
            return np.asarray(self.rng.standard_normal(shape)).astype(dtype)
        return np.asarray(self.rng.integers(0 if dtype[0] in "bu" else -5, 2 if dtype == "bool" else 9,
                                            shape)).astype(dtype)

    def axis(self, value, least_opset=11):
        """Of a value with axes; also counted from the end where the operator's version allows it."""
        if value.rank == 0:
            raise Misfit("no axis")
        return self.int(-value.rank if self.opset >= least_opset else 0, value.rank - 1)

    # Values.

    def name(self, prefix):
        self.count += 1
        return f"{prefix}{self.count}"

    def input(self, dtype, shape):
        return self.input_of(self.array(dtype, shape))

    def input_of(self, array):
        name = self.name("x")
        self.inputs[name] = array
        self.values.append(Value(name, str(array.dtype), array.shape, True))
        return self.values[-1]

    def constant(self, array, always=False):
        """The name of a parameter. Some come as inputs, whose elements no plan knows, unless `always`."""
        array = np.asarray(array)
        name = self.name("c")
        if always or self.chance(0.9):
            self.initializers.append(numpy_helper.from_array(array, name))
        else:
            self.inputs[name] = array
        return name

    def ints(self, values):
        return self.constant(np.array(values, np.int64))

    def scalar(self, value, dtype="float32"):
        return self.constant(np.array(value, dtype))

    def find(self, dtypes=None, ranks=None, exact=False, least=0):
        """A value that fits; raises Misfit where there is none."""
        fits = [v for v in self.values
                if (dtypes is None or v.dtype in dtypes) and (ranks is None or v.rank in ranks)
                and (v.exact or not exact) and v.elems >= least]
        if not fits:
            raise Misfit("no value")
        return self.pick(fits)

    def image(self, ranks=(3, 4, 5), channels=(1, 2, 3, 4, 8, 16)):
        """A float value [n, c, spatial...] without empty axes; a new input where there is none."""
        fits = [v for v in self.values if v.dtype == "float32" and v.rank in ranks and v.elems > 0]
        if fits and self.chance(0.7):
            return self.pick(fits)
        rank = self.pick(ranks)
        return self.input("float32", [self.int(1, 2), self.pick(channels)] + [self.int(4, 12) for _ in range(rank - 2)])

    def partner(self, value):
        """Something that broadcasts with `value`: an operand for a binary operator, and whether it is exact."""
        others = [v for v in self.values if v.dtype == value.dtype and broadcasts(v.shape, value.shape)]
        if others and self.chance(0.5):
            other = self.pick(others)
            return other.name, other.exact
        shape = [1 if self.chance(0.4) else size for size in value.shape]
        return self.constant(self.array(value.dtype, shape[self.int(0, len(shape)):])), True

    # Nodes.

    def nodes_of(self, op, inputs, outputs=1, exact=False, types=None, domain="", **attributes):
        """Adds a node; its outputs' Values. `types` are their (dtype, shape or None) where inference knows better."""
        names = [self.name("v") for _ in range(outputs)]
        known = {v.name: v for v in inputs if isinstance(v, Value)}
        inputs = [i.name if isinstance(i, Value) else i for i in inputs]
        attributes = {key: value for key, value in attributes.items() if value is not None}
        node = helper.make_node(op, inputs, names, domain=domain, **attributes)
        if types is None:
            types = self.infer(node, known)
        self.nodes.append(node)
        made = [Value(name, dtype, shape, exact) for name, (dtype, shape) in zip(names, types)]
        self.made += made
        self.values += [v for v in made if v.known and exact != FINAL and v.elems <= MOST_ELEMS]
        return made

    def node(self, op, inputs, **how):
        """Adds a node with one output; its Value."""
        return self.nodes_of(op, inputs, **how)[0]

    def infer(self, node, known):
        """(dtype, shape or None) of each output of the node by itself; raises Misfit where it is invalid."""
        constants = [c for c in self.initializers if c.name in node.input]
        inputs = [helper.make_tensor_value_info(v.name, tensor_type(v.dtype), v.shape if v.known else None)
                  for v in known.values()]
        inputs += [helper.make_tensor_value_info(name, tensor_type(array.dtype), array.shape)
                   for name, array in self.inputs.items() if name in node.input and name not in known]
        outputs = [helper.make_empty_tensor_value_info(name) for name in node.output]
        graph = helper.make_graph([node], "node", inputs, outputs, constants)
        opset = helper.make_opsetid("", min(self.opset, KNOWN_OPSET))
        try:
            model = shape_inference.infer_shapes(helper.make_model(graph, opset_imports=[opset], ir_version=8),
                                                 check_type=True, strict_mode=True, data_prop=True)
        except (shape_inference.InferenceError, checker.ValidationError, RuntimeError) as error:
            raise Misfit(str(error)) from error
        types = []
        for output in model.graph.output:
            info = output.type.tensor_type
            if not info.elem_type:
                raise Misfit("no type")
            dims = [d.dim_value if d.HasField("dim_value") else -1 for d in info.shape.dim]
            types.append((str(mapping.TENSOR_TYPE_TO_NP_TYPE[info.elem_type]),
                          dims if info.HasField("shape") and -1 not in dims else None))
        return types

    def hide(self, *values):
        """Most of the time no other node takes these values, and no result shows them."""
        for value in values:
            if value in self.values and self.chance(0.85):
                self.values.remove(value)

    def attempt(self, make):
        """Runs a maker; leaves everything as it was where it does not fit."""
        before = len(self.nodes), len(self.initializers), dict(self.inputs), list(self.values)
        try:
            make(self)
        except Misfit:
            pass
        if len(self.nodes) == before[0]:
            del self.initializers[before[1]:]
            self.inputs, self.values = before[2:]


def with_axes(b, op, v, axes, since, **how):
    """A node whose axes are an attribute before version `since`, afterwards an input."""
    if b.opset < since:
        return b.node(op, [v], axes=axes, **how)
    return b.node(op, [v, b.ints(axes)], **how)


def move(since=1, until=99, least=0, ranks=(1, 2, 3, 4, 5)):
    """The maker gets any value; what it does keeps exact values exact."""
    def register(function):
        @maker(since, until)
        def make(b):
            value = b.find(ranks=ranks, least=least)
            function(b, value, {"exact": value.exact})
        return function
    return register
