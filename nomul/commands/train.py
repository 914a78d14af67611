"""``nomul train``: a network, float or with weights that the hardware can hold."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from torch import nn

from nomul.codebooks import codebook_table
from nomul.images import DATASETS
from nomul.output import console, stage
from nomul.verb import OutputFile, Verb
from quant.errors import NoMulError
from quant.files import write_bytes
from quant.networks import NETWORKS, PRETRAINED, Preprocessing, find_trainable, pretrained
from quant.training.recipe import PRECISIONS, SCHEDULES, Recipe

__all__ = ["command"]

PLACES = {"data", "models", "json_file", "debug", "resume"}
"""Options that say nothing of what is trained."""

FILES = {"origin", "teacher", "out"}
"""Options that may name files."""

MIRRORED = {"cifar10", "cifar10-jpeg", "cifar10-lossless"}
"""Data sets whose images may be mirrored."""


class Pair(click.ParamType):
    """``name=value``."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param, ctx) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, text = value.partition("=")
        if not (name and equals):
            self.fail(f"{value!r} is no option of a method; write NAME=VALUE", param, ctx)
        return name, text


@click.command("train", cls=Verb)
@click.option("--network", required=True, metavar="NAME", help=f"One of {', '.join(NETWORKS)}.")
@click.option(
    "--method",
    default="float",
    show_default=True,
    help="float, nbq: signed powers of two, clipq: a codebook a layer, or mixed: the widths of an "
    "allocation (docs/training.md).",
)
@click.option("--bits", type=int, help="Width of a weight, for methods that have one.")
@click.option(
    "--option",
    "options",
    type=Pair(),
    multiple=True,
    help="An option of the method (docs/training.md); may be given several times.",
)
@click.option(
    "--from",
    "origin",
    metavar="FILE|NAME",
    help="Weights to begin with: a trained file, or the name of a pretrained network.",
)
@click.option("--out", type=OutputFile(".pt"), required=True, help="Trained weights (.pt).")
@click.option("--epochs", type=int, required=True, help="Passes over the training images.")
@click.option("--batch", type=int, default=128, show_default=True, help="Images a step.")
@click.option(
    "--learning-rate", type=float, default=0.02, show_default=True, help="The largest one."
)
@click.option("--schedule", type=click.Choice(SCHEDULES), default="cosine", show_default=True)
@click.option("--warmup", type=float, default=0.0, help="Epochs of rising learning rate.")
@click.option("--weight-decay", type=float, default=1e-4, show_default=True)
@click.option("--label-smoothing", type=float, default=0.0)
@click.option(
    "--teacher",
    metavar="FILE|NAME",
    help="Network to imitate: a file or name as of --from, of the same or another network.",
)
@click.option(
    "--distillation",
    type=float,
    help="Share of the loss that compares with the teacher.  [default: 0.5 with a teacher]",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="float32",
    show_default=True,
    help="Of the computation; bfloat16 is faster where the processor has it.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="Of torch; the same number gives the same weights.  [default: torch's]",
)
@click.option("--test-every", type=click.IntRange(1), default=1, help="Epochs between tests.")
@click.option("--resume", is_flag=True, help="Go on where the training to --out was stopped.")
@click.option("--images", metavar="NAME", help=f"Data set: {', '.join(DATASETS)}.")
@click.option("--count", type=int, help="How many training images.  [default: all]")
@click.option("--test-count", type=int, help="How many test images.  [default: all]")
@click.option(
    "--data",
    envvar="NOMUL_DATA",
    type=click.Path(path_type=Path),
    help="Folder of the data sets.  [env: NOMUL_DATA]",
)
@click.option(
    "--models",
    envvar="NOMUL_MODELS",
    type=click.Path(path_type=Path),
    help="Folder of the pretrained networks.  [env: NOMUL_MODELS]",
)
def command(
    network: str,
    method: str,
    bits: int | None,
    options: tuple[tuple[str, str], ...],
    origin: str | None,
    out: Path,
    epochs: int,
    batch: int,
    learning_rate: float,
    schedule: str,
    warmup: float,
    weight_decay: float,
    label_smoothing: float,
    teacher: str | None,
    distillation: float | None,
    precision: str,
    seed: int,
    threads: int | None,
    test_every: int,
    resume: bool,
    images: str | None,
    count: int | None,
    test_count: int | None,
    data: Path | None,
    models: Path | None,
) -> dict[str, Any]:
    """Train a network, and write its weights.

    The log lies beside the weights (.jsonl: a line an epoch), while it runs also a checkpoint
    (.checkpoint), from which --resume goes on after any end to the same weights bit by bit.
    """
    import torch

    from nomul.training import training_bar
    from quant.training.data import TrainingData
    from quant.training.loop import Epoch, train
    from quant.training.methods import find_method
    from quant.training.trained import codebooks, save_trained

    trainable = find_trainable(network)
    cls = find_method(method)
    texts = dict(options) | ({} if bits is None else {"bits": str(bits)})
    chosen = cls(cls.options_type.parse(texts))
    recipe = Recipe(
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        schedule=schedule,
        warmup=warmup,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        distillation=(0.5 if teacher else 0.0) if distillation is None else distillation,
        seed=seed,
        precision=precision,
    )
    if threads is not None:
        torch.set_num_threads(threads)
    torch.manual_seed(seed)
    model = weights(origin, network, models) if origin else trainable.make()
    imitated = teacher_of(teacher, network, models) if teacher else None
    name = images or ("cifar10-jpeg" if trainable.input_shape[0] == 3 else "mnist")
    if name not in DATASETS:
        raise NoMulError(f"no data set {name!r}; choose one of {', '.join(DATASETS)}")
    with stage(f"Read {name}"):
        mirror = name in MIRRORED
        dataset = TrainingData.of(DATASETS[name](data), trainable.preprocessing, mirror)
        if count is not None or test_count is not None:
            dataset = dataset.part(count, test_count)
    checkpoint, log_file = out.with_suffix(".checkpoint"), out.with_suffix(".jsonl")
    log: list[dict[str, Any]] = []
    with training_bar(epochs) as bar:

        def record(done: list[Epoch]) -> None:
            log[:] = [asdict(epoch) for epoch in done]
            text = "".join(json.dumps(line) + "\n" for line in log)
            write_bytes(log_file, text.encode())
            bar.epoch(done[-1])

        trained = train(
            model,
            dataset,
            chosen,
            recipe,
            teacher=imitated,
            test_every=test_every,
            checkpoint=checkpoint,
            resume=resume,
            progress=bar.step,
            log=record,
        )
    save_trained(out, network, trained)
    checkpoint.unlink(missing_ok=True)
    accuracy = log[-1]["test_accuracy"]
    console.print(f"Weights: {out}, {accuracy:.2f} % of the test images", soft_wrap=True)
    coded = codebooks(trained)
    return {
        "command": command_line(),
        "network": network,
        "method": {"name": method, **asdict(chosen.options)},
        "recipe": asdict(recipe),
        "images": name,
        "test_accuracy": accuracy,
        "epochs": log,
        **({} if coded is None else {"codebooks": codebook_table(coded, out)}),
    }


def command_line() -> str:
    """The command that is running, with files by their names alone and without where things lie."""
    context = click.get_current_context()
    words = ["nomul", "train"]
    for param in context.command.params:
        value = context.params.get(param.name or "")
        given = context.get_parameter_source(param.name or "") == ParameterSource.COMMANDLINE
        if not given or param.name in PLACES:
            continue
        for item in (value or ()) if param.multiple else [value]:
            words.append(param.opts[0])
            if isinstance(item, tuple):
                words.append("=".join(item))
            elif not isinstance(item, bool):
                words.append(Path(str(item)).name if param.name in FILES else str(item))
    return shlex.join(words)


def weights(source: str, network: str, models: Path | None) -> nn.Module:
    """The network with the weights of a trained file or of a pretrained network.

    Errors: :class:`NoMulError` where the source holds another network.
    """
    name, model, preprocessing = stored(source, models)
    trainable = find_trainable(network)
    if type(model) is not type(trainable.make()) or preprocessing != trainable.preprocessing:
        raise NoMulError(
            f"{source} holds a {name}, not a {network}; give weights of the same network"
        )
    return model


def teacher_of(source: str, network: str, models: Path | None) -> nn.Module:
    """A trained file or a pretrained network that can teach a network: it reads the same images.

    Errors: :class:`NoMulError` where the two prepare their images in different ways.
    """
    _, model, preprocessing = stored(source, models)
    if preprocessing != find_trainable(network).preprocessing:
        raise NoMulError(
            f"{source} prepares its images in another way than {network}; take a teacher that "
            "reads the same"
        )
    return model


def stored(source: str, models: Path | None) -> tuple[str, nn.Module, Preprocessing]:
    """A trained file's network or a pretrained one: what it is, and what its images must be."""
    from quant.training.trained import load_trained

    if source in PRETRAINED:
        return f"published {source}", *pretrained(source, models)
    trained = load_trained(source)
    return trained.name, trained.model, trained.preprocessing
