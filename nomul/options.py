"""Options that several verbs share, and the checks that click makes of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from nomul.images import DATASETS, PREPROCESSINGS, Images, load_images
from quant.graph import Shape
from quant.networks import Preprocessing

__all__ = [
    "architecture_option",
    "image_options",
    "images_of",
    "network_options",
    "output_option",
    "plot_option",
]

Decorator = Callable[[Callable], Callable]


def combine(*decorators: Decorator) -> Decorator:
    """Several click decorators as one, in the order of the help text."""

    def decorate(function: Callable) -> Callable:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


class ShapeType(click.ParamType):
    """``3,32,32``: channels, height, width."""

    name = "C,H,W"

    def convert(self, value: Any, param, ctx) -> Shape:
        if isinstance(value, tuple):
            return value
        try:
            channels, height, width = (int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is no shape; write CHANNELS,HEIGHT,WIDTH as 3,32,32", param, ctx)
        if min(channels, height, width) < 1:
            self.fail(f"{value!r} has a side below 1", param, ctx)
        return channels, height, width


network_options = combine(
    click.option(
        "--input-shape",
        type=ShapeType(),
        help="Channels, height, width of the input, where the source does not say it.",
    ),
    click.option(
        "--models",
        envvar="NOMUL_MODELS",
        type=click.Path(path_type=Path),
        help="Folder of the pretrained networks.  [env: NOMUL_MODELS]",
    ),
)

architecture_option = click.option(
    "--arch", required=True, metavar="NAME|FILE", help="The machine: a known name or a TOML file."
)

output_option = click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write.",
)

plot_option = click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a picture (.png, .svg, .pdf).",
)


def image_options(count: int | None) -> Decorator:
    """Which images; ``count`` is how many by default, None for all."""
    return combine(
        click.option(
            "--images",
            required=True,
            metavar="NAME|FILE",
            help=f"{', '.join(DATASETS)}, or a .npy or .npz file.",
        ),
        click.option(
            "--count",
            type=int,
            default=count,
            show_default="all" if count is None else True,
            help="How many images.",
        ),
        click.option(
            "--data",
            envvar="NOMUL_DATA",
            type=click.Path(path_type=Path),
            help="Folder of the data sets.  [env: NOMUL_DATA]",
        ),
        click.option(
            "--preprocess",
            type=click.Choice(list(PREPROCESSINGS)),
            help="What is done to uint8 pixels; by default what the network or data set needs.",
        ),
    )


def images_of(
    shape: Shape,
    images: str,
    count: int | None,
    data: Path | None,
    preprocess: str | None,
    known: Preprocessing | None = None,
    train: bool = False,
) -> Images:
    """The batch that the image options ask for.

    ``known`` is the preprocessing of a network that says it; ``--preprocess`` goes before it.
    """
    chosen = PREPROCESSINGS[preprocess](shape[0]) if preprocess else known
    return load_images(images, shape, train=train, count=count, preprocess=chosen, folder=data)
