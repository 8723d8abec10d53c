"""What happens to an image between its file and the model. Plain configuration, no TensorFlow."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    Field,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from vitctl.settings.config import Config, without_defaults

# The reference code and most ViT papers evaluate 224 px as the centre of a 256 px image.
CROP_RATIO = 256 / 224

HELD_OUT = "held-out"
"""The split that a part of the images to train on is scored as."""


def held_out_count(images: int, *, share: float) -> int:
    """How many of so many different images are held out: at least one."""
    return max(1, round(share * images))


class RandAugmentConfig(Config):
    """RandAugment (Cubuk et al., 2020): `layers` random operations, one after another."""

    layers: int = Field(2, ge=1, le=8)
    magnitude: float = Field(10.0, ge=0, le=30)
    """Strength on the scale where 10 is the operations' nominal full range."""


LATER_AUGMENT = ("crop_ratio", "jpeg_oversampling")
"""Settings that `AugmentConfig` got after its first version."""


class AugmentConfig(Config):
    """Training images. The defaults are the paper's: inception crop and flip, nothing else.

    crop          "inception": a random window of `area_min` to `area_max` of the image and of
                  aspect ratio `aspect_min` to `aspect_max`, resized bilinearly; "simple": the image
                  resized as for scoring, so that its smaller side is round(resolution *
                  `crop_ratio`), and a random square of it; "resize": the whole image, squashed;
                  "none": images already have the training resolution
    crop_ratio    of "simple" alone; None is scoring's 256 / 224
    flip          mirror left and right half of the time; off where sides mean something (digits)
    randaugment   None is off
    mixup_alpha   mixup's Beta(alpha, alpha), applied by the train step; None is off
    jpeg_oversampling
                  JPEGs are decoded at 1/2, 1/4 or 1/8 of their size: the smallest at which both
                  sides of the crop still have this many times the pixels that it is resized to.
                  None decodes them in full, as other formats always are
    """

    crop: Literal["inception", "simple", "resize", "none"] = "inception"
    crop_ratio: float | None = Field(default=None, ge=1, le=4)
    area_min: float = Field(0.05, gt=0, le=1)
    area_max: float = Field(1.0, gt=0, le=1)
    aspect_min: float = Field(3 / 4, gt=0)
    aspect_max: float = Field(4 / 3, gt=0)
    flip: bool = True
    randaugment: RandAugmentConfig | None = None
    mixup_alpha: float | None = Field(None, gt=0)
    jpeg_oversampling: float | None = Field(default=None, ge=1, le=8)

    @model_validator(mode="after")
    def _ordered(self) -> AugmentConfig:
        if self.area_min > self.area_max:
            raise ValueError(f"area_min {self.area_min} is above area_max {self.area_max}")
        if self.aspect_min > self.aspect_max:
            raise ValueError(f"aspect_min {self.aspect_min} is above aspect_max {self.aspect_max}")
        return self

    @model_validator(mode="after")
    def _has_a_ratio_only_where_it_counts(self) -> AugmentConfig:
        if self.crop_ratio is not None and self.crop != "simple":
            raise ValueError(f"crop_ratio is of crop=simple, and crop is {self.crop}")
        return self

    @model_validator(mode="after")
    def _decodes_smaller_only_what_is_resized(self) -> AugmentConfig:
        if self.jpeg_oversampling is not None and self.crop == "none":
            raise ValueError("jpeg_oversampling is of crops that are resized, and crop is none")
        return self

    @model_serializer(mode="wrap")
    def _written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_defaults(self, handler, later=LATER_AUGMENT)


class EvalPreprocess(Config):
    """Images that are scored: resized to round(resolution * ratio), then the centre is cut out.

    resize   "small": the smaller side becomes that long, aspect ratio kept, by area averaging,
             or bilinearly where that enlarges (evaluation); "squash": both sides do, bilinearly
             without antialiasing (the few-shot protocol)
    ratio    1.0 leaves nothing to cut
    trim_border  pixels that are cut off each side first, as the red line around ObjectNet's images
    """

    resize: Literal["small", "squash"] = "small"
    ratio: float = Field(default=CROP_RATIO, ge=1, le=4)
    trim_border: int = Field(default=0, ge=0, le=1000)

    @model_serializer(mode="wrap")
    def _written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_defaults(self, handler, later=("trim_border",))


MOCK_SPLITS = ("train", "val")
"""Of synthetic images."""


class MockConfig(Config):
    """Synthetic images, so many; their classes are the model's."""

    examples: PositiveInt = 100_000
    eval_examples: PositiveInt = 1_000


Language = Literal["dyck", "shuffle", "copy"]


class ProceduralConfig(Config):
    """Steps on sequences of a formal language before the first image (`vitctl.data.sequences`).

    steps     how many, of as many sequences as a batch has images
    language  "dyck": brackets of several kinds, properly nested; "shuffle": they may cross; "copy":
              a string twice
    kinds     of brackets; there are twice as many symbols, also of "copy"
    masked    with which chance a symbol that follows from others is hidden, and asked for
    peak_lr   the learning rate after a tenth of the steps; over the last fifth it falls to 0; None
              takes the schedule's
    """

    steps: PositiveInt
    language: Language = "dyck"
    kinds: int = Field(64, ge=2, le=1_000)
    masked: float = Field(0.5, gt=0, le=1)
    peak_lr: float | None = Field(None, gt=0)

    @property
    def symbols(self) -> int:
        """Different symbols of a sentence, without the one that stands for a hidden one."""
        return 2 * self.kinds


FEWSHOT_PREPROCESS = EvalPreprocess(resize="squash")
"""The public reference code's few-shot protocol: resize(256) and central_crop(224), scaled."""
