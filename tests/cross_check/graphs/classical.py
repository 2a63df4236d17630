"""Operators of ai.onnx.ml: trees, linear models and what prepares features."""
import numpy as np

from .builder import maker

ML = {"domain": "ai.onnx.ml"}


def rows(b, dtypes=("float32", "float64", "int64", "int32")):
    return b.input(b.pick(dtypes), [b.int(1, 5), b.int(1, 6)])


def floats(b, count):
    return [float(x) for x in b.rng.standard_normal(count).astype(np.float32)]


def tree(b, features, number, targets):
    """Attributes of one tree, by name without prefix; and its leaves' (tree, node, target, weight)."""
    nodes, leaves = [], []

    def grow(depth):
        at = len(nodes)
        nodes.append(None)
        if depth == 0 or b.chance(0.2):
            nodes[at] = ("LEAF", 0, 0.0, 0, 0)
            # A vote for every class: of those without one, ONNX Runtime takes none, however low the others are.
            leaves.extend((number, at, target, weight) for target, weight in enumerate(floats(b, targets)))
        else:
            mode = b.pick(["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE"])
            # Halves: whole inputs never meet them, so types of other widths agree.
            split = b.int(0, features - 1), b.int(-2, 3) + 0.5
            yes = grow(depth - 1)
            nodes[at] = (mode, *split, yes, grow(depth - 1))
        return at
    grow(b.int(0, 3))
    return nodes, leaves


def ensemble(b, features, targets):
    trees = [tree(b, features, number, targets) for number in range(b.int(1, 4))]
    flat = [(number, i, *node) for number, (nodes, _) in enumerate(trees) for i, node in enumerate(nodes)]
    columns = list(zip(*flat))
    how = dict(zip(["nodes_treeids", "nodes_nodeids", "nodes_modes", "nodes_featureids", "nodes_values",
                    "nodes_truenodeids", "nodes_falsenodeids"], map(list, columns)))
    how["nodes_missing_value_tracks_true"] = [b.int(0, 1) for _ in flat]
    return how, list(zip(*(leaf for _, leaves in trees for leaf in leaves)))


@maker(9)
def tree_regressor(b):
    x, targets = rows(b, ("float32", "float64")), b.int(1, 3)
    how, leaves = ensemble(b, x.shape[1], targets)
    how.update(zip(["target_treeids", "target_nodeids", "target_ids", "target_weights"], map(list, leaves)))
    b.node("TreeEnsembleRegressor", [x], n_targets=targets, **how, **ML,
           aggregate_function=b.pick(["SUM", "AVERAGE", "MIN", "MAX"]),
           # "Indicates the transform to apply to the score"; of a lone target ONNX Runtime knows PROBIT only.
           post_transform=b.pick(["NONE", "LOGISTIC"]) if targets > 1 else "NONE",
           base_values=floats(b, targets) if b.chance(0.5) else None, types=[("float32", [x.shape[0], targets])])


@maker(9)
def tree_classifier(b):
    x, classes = rows(b), b.int(3, 4)
    how, leaves = ensemble(b, x.shape[1], classes)
    how.update(zip(["class_treeids", "class_nodeids", "class_ids", "class_weights"], map(list, leaves)))
    b.nodes_of("TreeEnsembleClassifier", [x], 2, classlabels_int64s=list(range(10, 10 + classes)), **how, **ML,
               post_transform=b.pick(["NONE", "LOGISTIC", "SOFTMAX"]),
               types=[("int64", [x.shape[0]]), ("float32", [x.shape[0], classes])])


@maker(9)
def tree_classifier_of_two(b):
    """One score for the second of two classes: the others are made of it."""
    x = rows(b)
    how, leaves = ensemble(b, x.shape[1], 1)
    if b.chance(0.5):
        leaves[3] = [abs(weight) for weight in leaves[3]]
    how.update(zip(["class_treeids", "class_nodeids", "class_ids", "class_weights"], map(list, leaves)))
    b.nodes_of("TreeEnsembleClassifier", [x], 2, classlabels_int64s=[7, 4], **how, **ML,
               post_transform=b.pick(["NONE", "LOGISTIC"]),
               types=[("int64", [x.shape[0]]), ("float32", [x.shape[0], 2])])


@maker(9)
def linear_regressor(b):
    x, targets = rows(b, ("float32",)), b.int(1, 3)
    b.node("LinearRegressor", [x], coefficients=floats(b, targets * x.shape[1]), targets=targets, **ML,
           intercepts=floats(b, targets) if b.chance(0.5) else None, types=[("float32", [x.shape[0], targets])])


@maker(9)
def linear_classifier(b):
    x, classes = rows(b), b.int(3, 4)
    b.nodes_of("LinearClassifier", [x], 2, coefficients=floats(b, classes * x.shape[1]), **ML,
               intercepts=floats(b, classes), classlabels_ints=list(range(classes)),
               multi_class=0, post_transform=b.pick(["NONE", "LOGISTIC", "SOFTMAX"]),
               types=[("int64", [x.shape[0]]), ("float32", [x.shape[0], classes])])


@maker(9)
def svm_regressor(b):
    x, vectors = rows(b, ("float32",)), b.int(1, 4)
    kernel = b.pick(["LINEAR", "POLY", "RBF", "SIGMOID"])
    b.node("SVMRegressor", [x], coefficients=floats(b, vectors), kernel_params=[0.5, 0.25, 2.0], kernel_type=kernel,
           n_supports=vectors, rho=floats(b, 1), support_vectors=floats(b, vectors * x.shape[1]), **ML,
           types=[("float32", [x.shape[0], 1])])


@maker(9)
def svm_classifier(b):
    x, classes = rows(b), b.int(2, 5)
    per_class = [b.int(1, 3) for _ in range(classes)]
    vectors, pairs = sum(per_class), classes * (classes - 1) // 2
    how, scores = {}, 2 if classes == 2 else pairs
    if b.chance(0.5):
        how, scores = {"prob_a": floats(b, pairs), "prob_b": floats(b, pairs)}, classes
    # Of a lone score ONNX Runtime transforms none, the standard's reference both that it becomes.
    post = b.pick(["NONE", "LOGISTIC", "SOFTMAX"]) if how or classes > 2 else "NONE"
    b.nodes_of("SVMClassifier", [x], 2, classlabels_ints=list(range(10, 10 + classes)), vectors_per_class=per_class,
               support_vectors=floats(b, vectors * x.shape[1]), coefficients=floats(b, (classes - 1) * vectors),
               rho=floats(b, pairs), kernel_type=b.pick(["LINEAR", "POLY", "RBF", "SIGMOID"]),
               kernel_params=[0.5, 0.25, 2.0], post_transform=post, **how, **ML,
               types=[("int64", [x.shape[0]]), ("float32", [x.shape[0], scores])])


@maker(9)
def scaler(b):
    x = rows(b)
    count = b.pick([1, x.shape[1]])
    b.node("Scaler", [x], offset=floats(b, count), scale=floats(b, count), types=[("float32", x.shape)], **ML)


@maker(9)
def normalizer(b):
    x = rows(b, ("float32", "float64"))
    b.node("Normalizer", [x], norm=b.pick(["MAX", "L1", "L2"]), types=[("float32", x.shape)], **ML)


@maker(9)
def binarizer(b):
    x = rows(b, ("float32",))
    b.node("Binarizer", [x], threshold=b.pick([0.0, 0.5]), types=[(x.dtype, x.shape)], exact=True, **ML)


@maker(9)
def imputer(b):
    x = rows(b, ("int64",))
    b.node("Imputer", [x], imputed_value_int64s=[b.int(10, 20)], replaced_value_int64=b.int(0, 3), exact=True,
           types=[("int64", x.shape)], **ML)


@maker(9)
def label_encoder(b):
    x = rows(b, ("int64",))
    keys = list(range(0, 8, b.int(1, 3)))
    b.node("LabelEncoder", [x], keys_int64s=keys, values_floats=floats(b, len(keys)), default_float=-7.0,
           types=[("float32", x.shape)], exact=True, **ML)


@maker(9)
def one_hot_encoder(b):
    x = rows(b, ("int64",))
    classes = list(range(-2, 7))
    b.node("OneHotEncoder", [x], cats_int64s=classes, zeros=1, types=[("float32", [*x.shape, len(classes)])],
           exact=True, **ML)


@maker(9)
def array_feature_extractor(b):
    x = rows(b)
    places = b.rng.integers(0, x.shape[1], b.int(1, 4))
    b.node("ArrayFeatureExtractor", [x, b.constant(places)], types=[(x.dtype, [x.shape[0], len(places)])], exact=True,
           **ML)


@maker(9)
def feature_vectorizer(b):
    n, kind = b.int(1, 4), b.pick(["float32", "int64", "int32", "float64"])
    parts = [b.input(kind, [n, b.int(1, 3)]) for _ in range(b.int(1, 3))]
    widths = [part.shape[1] for part in parts]
    b.node("FeatureVectorizer", parts, inputdimensions=widths, types=[("float32", [n, sum(widths)])], exact=True, **ML)


@maker(9)
def tf_idf(b):
    """Counts of sequences of 1 and of 2 whole numbers."""
    ones = [int(i) for i in b.rng.permutation(6)[:b.int(1, 4)]]
    twos = [int(i) for pair in {(b.int(0, 5), b.int(0, 5)) for _ in range(b.int(1, 4))} for i in pair]
    count = len(ones) + len(twos) // 2
    kind = b.pick(["int64", "int32"])
    x = b.input_of(b.rng.integers(0, 6, [b.int(1, 3)] * b.int(0, 1) + [b.int(1, 12)]).astype(kind))
    mode = b.pick(["TF", "IDF", "TFIDF"])
    b.node("TfIdfVectorizer", [x], mode=mode, min_gram_length=b.int(1, 2), max_gram_length=2,
           max_skip_count=b.int(0, 3), pool_int64s=ones + twos, ngram_counts=[0, len(ones)],
           ngram_indexes=[int(i) for i in b.rng.permutation(count)],
           weights=[abs(w) for w in floats(b, count)] if b.chance(0.5) else None,
           types=[("float32", [*x.shape[:-1], count])], exact=True)
