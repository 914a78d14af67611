"""Options that several verbs share, and the checks that click makes of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from nomul.images import DATASETS, PREPROCESSINGS, Images, load_images
from nomul.verb import OutputFile
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
    """``3,32,32``: channels, height, width; ``20``: features, for a network of linear layers."""

    name = "C,H,W|F"

    def convert(self, value: Any, param, ctx) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            shape = tuple(int(part) for part in value.split(","))
        except ValueError:
            shape = ()
        if len(shape) not in (1, 3):
            self.fail(
                f"{value!r} is no shape; write CHANNELS,HEIGHT,WIDTH as 3,32,32, or FEATURES",
                param,
                ctx,
            )
        if min(shape) < 1:
            self.fail(f"{value!r} has a side below 1", param, ctx)
        return shape


network_options = combine(
    click.option(
        "--input-shape",
        type=ShapeType(),
        help="Channels, height, width of the input, or features, where the source does not say it.",
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
    type=OutputFile(),
    help="The file to write.",
)

plot_option = click.option(
    "--plot",
    type=OutputFile(".png", ".svg", ".pdf"),
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
