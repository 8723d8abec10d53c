"""The one decoder. Training, evaluation and the check at shard time all use it.

So nothing that was committed to a dataset fails later, or looks different in training than it did
when it was checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitctl.data.tensorflow import load_tensorflow

if TYPE_CHECKING:
    from tensorflow import Tensor

# The accurate inverse DCT agrees with Pillow bit for bit (all of grey, RGB and CMYK, measured with
# TensorFlow 2.21); TensorFlow's default is off by up to 12 of 255 and 5 % faster.
ACCURATE_DCT = "INTEGER_ACCURATE"


def decode(data: Tensor) -> Tensor:
    """Encoded image, string[] -> uint8[h, w, 3]. Works eagerly and inside a graph.

    Fails with `tf.errors.InvalidArgumentError` on bytes that are not a whole image.
    """
    tf = load_tensorflow()
    image = tf.cond(
        tf.io.is_jpeg(data),
        lambda: tf.io.decode_jpeg(data, channels=3, dct_method=ACCURATE_DCT),
        lambda: tf.io.decode_image(data, channels=3, expand_animations=False),
    )
    image.set_shape([None, None, 3])
    return image


def decode_jpeg_window(data: Tensor, window: Tensor) -> Tensor:
    """Decode only `window` = int32[4] (top, left, height, width) -> uint8[height, width, 3].

    The blocks outside are skipped. Beside the window's edges the result may differ from cropping
    the whole image where colours are stored at half resolution: their interpolation sees no
    neighbours there.
    """
    tf = load_tensorflow()
    return tf.io.decode_and_crop_jpeg(data, window, channels=3, dct_method=ACCURATE_DCT)
