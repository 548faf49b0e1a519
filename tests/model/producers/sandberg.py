# SPDX-License-Identifier: Apache-2.0
"""Files as davidsandberg/facenet leaves them, by its own code.

Its package on PyPI (facenet 1.0.5) is written for TensorFlow 1. Given the folder of its sources,
the functions that make graphs and files are run on tf.compat.v1 and tf-slim: the network, the
losses, the optimizer with its moving averages, and the steps of freeze_graph.
"""

import ast
import os
import pathlib
import types

import numpy as np

from tests.model.producers import network

CLASSES = 8631  # VGGFace2


def load(path, names=None):
    """A module of its, with the imports of today; of `names`, only those functions."""
    import tensorflow.compat.v1 as tf
    import tf_slim as slim
    from tensorflow.python.framework import ops
    from tensorflow.python.ops import control_flow_ops

    ops.Tensor, control_flow_ops.cond = tf.Tensor, tf.cond  # where tf-slim looks for them
    tree = ast.parse(path.read_text())
    tree.body = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and (names is None or node.name in names)
    ]
    module = types.ModuleType(path.stem)
    slim.initializers = types.SimpleNamespace(xavier_initializer=tf.glorot_uniform_initializer)
    vars(module).update(tf=tf, slim=slim, np=np)
    exec(compile(tree, str(path), "exec"), vars(module))
    return module


def build(tf, src, embedding, phase_train, optimizer=None):
    """The graph of train_softmax.py from the picture on; with an optimizer, one for training."""
    slim = load(src / "models/inception_resnet_v1.py").slim
    facenet = load(src / "facenet.py", {"train", "center_loss", "_add_loss_summaries"})
    net = load(src / "models/inception_resnet_v1.py")
    step = tf.Variable(0, trainable=False)
    rate = tf.placeholder(tf.float32, name="learning_rate")
    images = tf.placeholder(tf.float32, [None, 160, 160, 3], name="image_batch")
    images = tf.identity(images, "input")
    labels = tf.placeholder(tf.int64, [None], name="label_batch")
    if phase_train is None:
        phase_train = tf.placeholder(tf.bool, name="phase_train")
    prelogits, _ = net.inference(images, 0.4, phase_train, embedding, 5e-4)
    logits = slim.fully_connected(
        prelogits, CLASSES, activation_fn=None, scope="Logits", reuse=False
    )
    tf.nn.l2_normalize(prelogits, 1, 1e-10, name="embeddings")
    if optimizer is None:
        return
    center, _ = facenet.center_loss(prelogits, labels, 0.95, CLASSES)
    losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    entropy = tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    )
    tf.add_to_collection("losses", entropy)
    total = tf.add_n([entropy, center, *losses], name="total_loss")
    rate = tf.train.exponential_decay(rate, step, 1000, 1.0, staircase=True)
    facenet.train(total, step, optimizer, rate, 0.9999, tf.trainable_variables(), False)


def assign(tf, session, weights):
    """Our weights into the network, averages of other values, something into everything else."""
    tensors = network.slim_tensors(weights)
    session.run(tf.global_variables_initializer(), {"learning_rate:0": 0.05})
    values = {}
    for variable in tf.global_variables():
        name = variable.op.name
        average = name.removesuffix("/ExponentialMovingAverage")
        if average in tensors:
            value = tensors[average] * np.float32(1.0 if average == name else 1.5)
            values[variable.initializer.inputs[1]] = value.reshape(variable.shape)
    assignments = [t.consumers()[0] for t in values]
    session.run(assignments, values)


def freeze(tf, session):
    """What freeze_graph.py does to the graph and its variables."""
    graph = session.graph.as_graph_def()
    for node in graph.node:
        if node.op == "RefSwitch":
            node.op = "Switch"
            for i, name in enumerate(node.input):
                if "moving_" in name:
                    node.input[i] = name + "/read"
        elif node.op in ("AssignSub", "AssignAdd"):
            node.op = node.op.removeprefix("Assign")
            if "use_locking" in node.attr:
                del node.attr["use_locking"]
    kept = ("InceptionResnetV1", "embeddings", "phase_train")
    names = [node.name for node in graph.node if node.name.startswith(kept)]
    return tf.graph_util.convert_variables_to_constants(
        session, graph, ["embeddings"], variable_names_whitelist=names
    )


def as_version_1(graph):
    """The same with the operation that TensorFlow 1 had: FusedBatchNorm."""
    for node in graph.node:
        if node.op.startswith("FusedBatchNormV"):
            node.op = "FusedBatchNorm"
            if "U" in node.attr:
                del node.attr["U"]
    return graph


def make(out, embedding, weights, src):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    import tensorflow.compat.v1 as tf
    from tensorflow.python.tools import optimize_for_inference_lib

    tf.disable_v2_behavior()
    src = pathlib.Path(src)
    config = tf.ConfigProto(device_count={"CPU": 2})

    def folder(name):
        (out / name).mkdir(parents=True, exist_ok=True)
        return out / name

    for optimizer in ("RMSPROP", "ADAM", "ADAGRAD"):
        with tf.Graph().as_default(), tf.Session(config=config) as session:
            build(tf, src, embedding, None, optimizer)
            assign(tf, session, weights)
            if optimizer == "RMSPROP":
                # As released: the trainable variables, and the graph under the name of the run.
                top = folder("20180402-114759")
                saver = tf.train.Saver(tf.trainable_variables(), max_to_keep=3)
                prefix = top / "model-20180402-114759.ckpt"
                saver.save(session, str(prefix), global_step=275, write_meta_graph=False)
                saver.export_meta_graph(str(top / "model-20180402-114759.meta"))
                frozen = freeze(tf, session)
                (top / "20180402-114759.pb").write_bytes(frozen.SerializeToString())
                (out / "fused-v1.pb").write_bytes(as_version_1(frozen).SerializeToString())
            saver = tf.train.Saver(sharded=optimizer == "ADAM")
            saver.save(session, str(folder(f"all-{optimizer.lower()}") / "model.ckpt"))
    with tf.Graph().as_default(), tf.Session(config=config) as session:
        build(tf, src, embedding, False)
        assign(tf, session, weights)
        frozen = freeze(tf, session)
    optimized = optimize_for_inference_lib.optimize_for_inference(
        frozen, ["input"], ["embeddings"], tf.float32.as_datatype_enum
    )
    (out / "optimized.pb").write_bytes(optimized.SerializeToString())
