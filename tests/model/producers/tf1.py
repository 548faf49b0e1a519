# SPDX-License-Identifier: Apache-2.0
"""Checkpoints and frozen graphs, by tf.compat.v1."""

import os

import numpy as np

from tests.model.producers.network import EPSILON, ROOT, walk
from tests.model.producers.sandberg import freeze

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import tensorflow as tf

v1 = tf.compat.v1


class Graph:
    """The walk as operations of slim's names. Variants: BatchNorm in separate operations (on two
    devices: sharded), as one (fused), or that one twice, with a placeholder (phase)."""

    def __init__(self, variant, weights):
        self.variant, self.weights = variant, weights
        self.fused = variant in ("fused", "phase")
        self.phase = v1.placeholder(tf.bool, name="phase_train") if variant == "phase" else None

    def channels(self, x):
        return int(x.shape[-1])

    def variable(self, name, value, trainable=True):
        with tf.device("/cpu:1" if self.variant == "sharded" and "Repeat_1" in name else "/cpu:0"):
            return v1.get_variable(name, initializer=value, trainable=trainable, use_resource=False)

    def norm(self, x, scope, p):
        name = f"{scope}/BatchNorm"
        beta = self.variable(f"{name}/beta", p["beta"])
        mean = self.variable(f"{name}/moving_mean", p["mean"], False)
        variance = self.variable(f"{name}/moving_variance", p["variance"], False)
        with v1.name_scope(f"{name}/"):
            if not self.fused:
                return tf.nn.batch_normalization(x, mean, variance, beta, None, EPSILON)
            gamma = tf.constant(1.0, shape=[len(p["beta"])], name="Const")

            def one(training):
                moving = (None, None) if training else (mean, variance)
                return v1.nn.fused_batch_norm(
                    x, gamma, beta, *moving, EPSILON, is_training=training, name="FusedBatchNorm"
                )[0]

            if self.phase is None:
                return one(False)
            return v1.cond(self.phase, lambda: one(True), lambda: one(False))

    def conv(self, x, scope, oc, kernel, stride, same):
        p = self.weights.get(scope, (*kernel, self.channels(x), oc), True)
        k = self.variable(f"{scope}/weights", p["kernel"])
        x = tf.nn.conv2d(x, k, stride, "SAME" if same else "VALID", name=f"{scope}/Conv2D")
        return tf.nn.relu(self.norm(x, scope, p), name=f"{scope}/Relu")

    def up(self, x, scope, oc):
        p = self.weights.get(scope, (1, 1, self.channels(x), oc), False)
        k = self.variable(f"{scope}/weights", p["kernel"])
        b = self.variable(f"{scope}/biases", p["bias"])
        x = tf.nn.conv2d(x, k, 1, "SAME", name=f"{scope}/Conv2D")
        return tf.nn.bias_add(x, b, name=f"{scope}/BiasAdd")

    def pool(self, x, scope):
        return tf.nn.max_pool2d(x, 3, 2, "VALID", name=f"{scope}/MaxPool")

    def concat(self, parts, scope):
        return tf.concat(parts, 3, name=f"{scope}/concat")

    def residual(self, x, up, scale, relu, scope):
        with v1.name_scope(f"{scope}/"):
            x = x + up * scale
        return tf.nn.relu(x, name=f"{scope}/Relu") if relu else x

    def head(self, x, scope, oc):
        x = tf.nn.avg_pool2d(x, 3, 1, "VALID", name=f"{ROOT}/Logits/AvgPool_1a_8x8/AvgPool")
        x = tf.reshape(x, [-1, self.channels(x)], name=f"{ROOT}/Logits/Flatten/Reshape")
        p = self.weights.get(scope, (1, 1, self.channels(x), oc), True)
        k = self.variable(f"{scope}/weights", p["kernel"][0, 0])
        x = tf.matmul(x, k, name=f"{scope}/MatMul")
        if self.fused:  # the op wants four dimensions
            x = self.norm(x[:, None, None, :], scope, p)[:, 0, 0, :]
        else:
            x = self.norm(x, scope, p)
        self.variable("Logits/weights", np.ones((oc, 3), np.float32))
        self.variable("Logits/biases", np.zeros(3, np.float32))
        return tf.nn.l2_normalize(x, 1, 1e-10, name="embeddings")


def build(variant, width, embedding, weights):
    graph = tf.Graph()
    with graph.as_default():
        x = v1.placeholder(tf.float32, [None, 160, 160, 3], "input")
        y = walk(Graph(variant, weights), x, width, embedding)
    return graph, y


def open_session(graph):
    return v1.Session(graph=graph, config=v1.ConfigProto(device_count={"CPU": 2}))


def initialize(session, graph):
    session.run([v.initializer for v in graph.get_collection("variables")])


def trained(out, *network):
    """A checkpoint as training leaves it: averages (of other values), slots, a counter."""
    graph, y = build("separate", *network)
    with graph.as_default(), open_session(graph) as session:
        variables = v1.global_variables()
        step = v1.train.get_or_create_global_step()
        ema = tf.train.ExponentialMovingAverage(0.9999)
        ema_op = ema.apply(v1.trainable_variables())
        v1.train.MomentumOptimizer(0.1, 0.9).minimize(tf.reduce_sum(y), step)
        session.run([v.initializer for v in variables])
        session.run(v1.global_variables_initializer())
        session.run([v1.assign(ema.average(v), v * 1.5) for v in v1.trainable_variables()])
        del ema_op
        prefix = str(out / "tf-checkpoint/model-small.ckpt")
        v1.train.Saver().save(session, prefix, global_step=7)
    (out / "tf-checkpoint/model-small.ckpt-7.meta").unlink()  # mostly the optimizer's graph


def frozen(out, *network):
    """Graphs with their weights in them; a checkpoint in two files; one with its graph."""
    graph, _ = build("sharded", *network)
    with graph.as_default(), open_session(graph) as session:
        initialize(session, graph)
        prefix = str(out / "tf-sharded/model.ckpt")
        v1.train.Saver(sharded=True).save(session, prefix, write_meta_graph=False)
    for variant, name in (("separate", "frozen.pb"), ("fused", "frozen-fused.pb")):
        graph, y = build(variant, *network)
        with graph.as_default(), open_session(graph) as session:
            initialize(session, graph)
            if variant == "fused":
                v1.train.Saver().save(session, str(out / "tf-meta/model.ckpt"))
            constant = v1.graph_util.convert_variables_to_constants(
                session, graph.as_graph_def(), [y.op.name]
            )
        (out / name).write_bytes(constant.SerializeToString(deterministic=True))


def refused(out):
    """What has no network in it that can be read."""
    with tf.Graph().as_default() as graph, open_session(graph) as session:
        v1.get_variable(
            f"{ROOT}/Conv2d_1a_3x3/weights",
            [3, 3, 3, 4],
            use_resource=False,
            partitioner=v1.fixed_size_partitioner(2, axis=3),
        )
        session.run(v1.global_variables_initializer())
        prefix = str(out / "tf-partitioned/model.ckpt")
        v1.train.Saver().save(session, prefix, write_meta_graph=False)
    tf2 = tf.train.Checkpoint(kernel=tf.Variable(np.ones(3, np.float32)))
    tf2.write(str(out / "tf2-object/model.ckpt"))


def make(out, *network):
    for folder in ("tf-checkpoint", "tf-sharded", "tf-meta", "tf-partitioned", "tf2-object"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    trained(out, *network)
    frozen(out, *network)
    refused(out)
    for f in out.glob("tf-*/checkpoint"):
        f.unlink()


def make_released(out, *network):
    """A run's folder as facenet's are released: one .meta for all steps, and the frozen graph with
    the switches of phase_train in it; and a graph after optimize_for_inference."""
    from tensorflow.python.tools import optimize_for_inference_lib

    v1.disable_control_flow_v2()
    run = out / "20170512-110547"
    run.mkdir(parents=True, exist_ok=True)
    graph, _ = build("phase", *network)
    with graph.as_default(), open_session(graph) as session:
        initialize(session, graph)
        saver = v1.train.Saver()
        prefix = str(run / "model-20170512-110547.ckpt")
        saver.save(session, prefix, global_step=250000, write_meta_graph=False)
        saver.export_meta_graph(str(run / "model-20170512-110547.meta"))
        constant = freeze(v1, session)
    (run / "20170512-110547.pb").write_bytes(constant.SerializeToString(deterministic=True))
    (run / "checkpoint").unlink()
    graph, y = build("fused", *network)
    with graph.as_default(), open_session(graph) as session:
        initialize(session, graph)
        constant = v1.graph_util.convert_variables_to_constants(
            session, graph.as_graph_def(), [y.op.name]
        )
    folded = optimize_for_inference_lib.optimize_for_inference(
        constant, ["input"], [y.op.name], tf.float32.as_datatype_enum
    )
    (out / "optimized.pb").write_bytes(folded.SerializeToString(deterministic=True))
