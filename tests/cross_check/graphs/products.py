"""Products of matrices."""
from .builder import FLOATS, Misfit, maker

EQUATIONS = ["ij,jk->ik", "bij,bjk->bik", "bhid,bhjd->bhij", "i,j->ij", "ij->ji", "ij->i", "ii->i", "ij,ij->",
             "bij,kj->bik", "...ij,...jk->...ik", "abc,cd->abd", "ij,jk,kl->il", "bij", "ik,jk"]


@maker()
def matmul(b):
    kinds = FLOATS + (("int32", "int64") if b.opset >= 9 else ())
    v = b.find(kinds, ranks=(1, 2, 3, 4), least=1)
    k, n = v.shape[-1], b.int(1, 20)
    b.node("MatMul", [v, b.constant(b.array(v.dtype, b.pick([[k], [k, n], [1, k, n]])))])


@maker()
def matmul_of_values(b):
    """Neither side is known; leading axes broadcast."""
    m, k, n = b.int(1, 40), b.int(1, 70), b.int(1, 40)
    left, right = b.pick([([2], [2]), ([2], [1]), ([], [3]), ([2, 1], [3]), ([], [])])
    b.node("MatMul", [b.input("float32", [*left, m, k]), b.input("float32", [*right, k, n])])


@maker()
def matmul_of_nothing(b):
    m, k, n = b.pick([(0, 2, 3), (2, 0, 3), (2, 3, 0)])
    b.node("MatMul", [b.input("float32", [m, k]), b.input("float32", [k, n])])


@maker()
def gemm(b):
    v = b.find(("float32", "float64"), ranks=(2,), least=1)
    trans_a, trans_b, n = b.int(0, 1), b.int(0, 1), b.int(1, 20)
    m, k = v.shape[::-1] if trans_a else v.shape
    weights = b.array(v.dtype, [n, k] if trans_b else [k, n])
    bias = [b.constant(b.array(v.dtype, b.pick([[], [n], [m, 1], [m, n], [1, n]])))]
    if b.opset >= 11 and b.chance(0.2):
        bias = []
    b.node("Gemm", [v, b.constant(weights), *bias], alpha=b.pick([0.5, 1.0]), beta=b.pick([0.0, 1.0, 2.0]),
           transA=trans_a, transB=trans_b)


@maker(12)
def einsum(b):
    equation = b.pick(EQUATIONS)
    dtype = b.pick(["float32", "float32", "float64", "int64", "int32"])
    sizes = {}
    operands, shapes = equation.split("->")[0].split(","), []
    for operand in operands:
        shapes.append([2, 3] * operand.count("...") +
                      [sizes.setdefault(letter, b.int(1, 5)) for letter in operand.replace("...", "")])
    b.node("Einsum", [b.input(dtype, shape) for shape in shapes], equation=equation)


@maker(11)
def determinant(b):
    n = b.int(1, 5)
    b.node("Det", [b.input("float32", [b.int(1, 3)] * b.int(0, 2) + [n, n])])


@maker()
def attention(b):
    """Softmax(q k^T / sqrt(d)) v of inputs, as exporters spell it."""
    n, heads, length, d = 1, b.int(1, 3), b.int(2, 9), b.pick([4, 8, 16])
    q, k, v = (b.input("float32", [n, length, heads, d]) for _ in range(3))
    q = b.node("Transpose", [q], perm=[0, 2, 1, 3])
    k = b.node("Transpose", [k], perm=[0, 2, 3, 1])
    v = b.node("Transpose", [v], perm=[0, 2, 1, 3])
    scores = b.node("MatMul", [q, k])
    scaled = b.node(b.pick(["Mul", "Div"]), [scores, b.scalar(d ** 0.5)])
    weights = b.node("Softmax", [scaled], axis=3)
    mixed = b.node("MatMul", [weights, v])
    if mixed.rank != 4:
        raise Misfit("rank")
    back = b.node("Transpose", [mixed], perm=[0, 2, 1, 3])
    b.node("Reshape", [back, b.ints([n, length, heads * d])])
    b.hide(q, k, v, scores, scaled, weights, mixed, back)
