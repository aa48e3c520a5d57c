"""The command `synbt`: its families, and what it says when something is wrong."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer

from synbt_aug import __version__
from synbt_aug.cli import (
    adapt,
    bank,
    demo,
    doctor,
    evaluate,
    generate,
    nnunet,
    phantom,
    prepare,
    preview,
    probe,
    realism,
    segmentation,
    synthesize,
    tissue,
    train,
)
from synbt_aug.cli.console import complain, log_to_screen, sentence_for

app = typer.Typer(
    name="synbt",
    help="Realistic synthetic breast tumors in DCE-MRI. For research; not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    # Rich's own markup would swallow what stands in brackets: pip install 'synbt-aug[nnunet]'.
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("synthesize")(synthesize.synthesize)
app.command("adapt")(adapt.adapt)
app.command("generate")(generate.generate)
app.command("preview")(preview.preview)
app.command("probe")(probe.probe)
app.command("tissue")(tissue.tissue)
app.command("phantom")(phantom.phantom)
app.command("evaluate")(evaluate.evaluate)
app.command("realism")(realism.realism)
app.command("doctor")(doctor.doctor)
app.command("nnunet-path")(nnunet.nnunet_path)
app.command("nnunet-export")(nnunet.nnunet_export)
train.app.command("segmentation")(segmentation.segmentation)
app.add_typer(train.app, name="train")
app.add_typer(bank.app, name="bank")
app.add_typer(prepare.app, name="prepare")


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"synbt-aug {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    log_to_screen(logging.DEBUG if verbose else logging.INFO)


def main(arguments: list[str] | None = None) -> None:
    """Run `synbt`. Errors of ours are one red line and exit code 2; bugs keep their traceback."""
    try:
        app(args=arguments)
    except Exception as error:
        sentence = sentence_for(error)
        if sentence is None or os.environ.get("SYNBT_TRACEBACK"):
            raise
        complain(sentence)
        sys.exit(2)
