"""The measured cost of reading and decoding: it tells which part makes a slow input slow."""

from __future__ import annotations

import time

import numpy as np

from vitctl.data.config import AugmentConfig
from vitctl.data.image_cost import ImageCost
from vitctl.data.records import Records, read_images, spread

# Images that are tried: enough that one odd one does not decide, few enough to take a second.
_TRIED = 16


def measure(records: Records, *, resolution: int, augment: AugmentConfig) -> ImageCost:
    """Decode some images spread over the records, with and without RandAugment; the records are
    closed then. Imports TensorFlow."""
    from vitctl.data.decode import decode
    from vitctl.data.tensorflow import as_it_is, load_tensorflow
    from vitctl.data.tf_pipeline import train_function

    tf = load_tensorflow()
    try:
        images = read_images(records, spread(records, most=_TRIED))
    finally:
        records.close()
    sizes = [decode(tf.constant(image)).shape for image in images]
    signature = [tf.TensorSpec([], tf.string), tf.TensorSpec([2], tf.int32)]

    def seconds(how: AugmentConfig) -> float:
        function = tf.function(
            as_it_is(train_function(resolution=resolution, augment=how)),
            input_signature=signature,
        )
        function(images[0], tf.zeros([2], tf.int32))  # traced, and warm
        began = time.perf_counter()
        for number, image in enumerate(images):
            function(image, tf.constant([number, 0], tf.int32))
        return (time.perf_counter() - began) / len(images)

    decode_s = seconds(augment.model_copy(update={"randaugment": None}))
    whole_s = decode_s if augment.randaugment is None else seconds(augment)
    return ImageCost(
        decode_s=decode_s,
        augment_s=max(0.0, whole_s - decode_s),
        pixels=float(np.mean([height * width for height, width, _ in sizes])),
        jpegs=float(np.mean([bool(tf.io.is_jpeg(image)) for image in images])),
    )
