# SPDX-License-Identifier: Apache-2.0
"""Files of Keras 3, of its older formats too, and a graph frozen from its model."""

import re

from tests.model.producers.network import EPSILON, here, walk


def slip(scope):
    """The same with the slip in deepface's files: Block17_4_Branch_4 for Branch_1."""
    return re.sub(r"^(Block17|Block8(?!_6))_(\d+)_Branch_1_", r"\1_\2_Branch_\2_", here(scope))


def build(width, embedding, weights, names=here):
    import keras as k

    layers = k.layers
    to_set = {}

    class Functional:
        def channels(self, x):
            return int(x.shape[-1])

        def norm(self, x, scope, p):
            layer = layers.BatchNormalization(
                axis=-1,
                momentum=0.995,
                epsilon=EPSILON,
                scale=False,
                name=f"{names(scope)}_BatchNorm",
            )
            x = layer(x)
            to_set[layer] = [p["beta"], p["mean"], p["variance"]]
            return x

        def conv(self, x, scope, oc, kernel, stride, same):
            p = weights.get(scope, (*kernel, self.channels(x), oc), True)
            layer = layers.Conv2D(
                oc,
                kernel,
                strides=stride,
                padding="same" if same else "valid",
                use_bias=False,
                name=names(scope),
            )
            x = layer(x)
            to_set[layer] = [p["kernel"]]
            return layers.Activation("relu", name=f"{names(scope)}_Activation")(
                self.norm(x, scope, p)
            )

        def up(self, x, scope, oc):
            p = weights.get(scope, (1, 1, self.channels(x), oc), False)
            layer = layers.Conv2D(oc, 1, padding="same", name=names(scope))
            x = layer(x)
            to_set[layer] = [p["kernel"], p["bias"]]
            return x

        def pool(self, x, scope):
            return layers.MaxPooling2D(3, strides=2, name=names(scope))(x)

        def concat(self, parts, scope):
            return layers.Concatenate(axis=3, name=names(scope + "/Concatenate"))(parts)

        def residual(self, x, up, scale, relu, scope):
            up = layers.Rescaling(scale, name=names(scope + "/ScaleSum"))(up)
            x = layers.Add(name=names(scope + "/Add"))([x, up])
            return layers.Activation("relu", name=names(scope + "/Activation"))(x) if relu else x

        def head(self, x, scope, oc):
            x = layers.GlobalAveragePooling2D(name="AvgPool")(x)
            p = weights.get(scope, (1, 1, self.channels(x), oc), True)
            layer = layers.Dense(oc, use_bias=False, name="Bottleneck")
            x = layer(x)
            to_set[layer] = [p["kernel"][0, 0]]
            return self.norm(x, scope, p)

    inputs = k.Input((160, 160, 3))
    model = k.Model(
        inputs, walk(Functional(), inputs, width, embedding), name="inception_resnet_v1"
    )
    for layer, values in to_set.items():
        layer.set_weights(values)
    return model


def make(out, *network):
    model = build(*network)
    model.save(str(out / "keras-model.h5"))
    model.save_weights(str(out / "keras3.weights.h5"))
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    # A plain function: traced as one, whatever Keras makes of its own __call__.
    call = tf.function(lambda x: model(x)).get_concrete_function(  # noqa: PLW0108
        tf.TensorSpec((None, 160, 160, 3), tf.float32)
    )
    frozen = convert_variables_to_constants_v2(call).graph.as_graph_def()
    (out / "keras-frozen.pb").write_bytes(frozen.SerializeToString(deterministic=True))
    save_old(out / "keras-weights.h5", model)


def save_old(path, model):
    """Weights alone in the format before Keras 3, as deepface's files are."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as f:
        legacy_h5_format.save_weights_to_hdf5_group(f, model)


def make_released(out, *network):
    """Weights with deepface's names, and a whole model in Keras 3's own format."""
    model = build(*network, names=slip)
    save_old(out / "facenet_weights.h5", model)
    model.save(str(out / "facenet.keras"))
