"""Train a tiny GPT on the book's English text, in one process or in several with the same loss curve.

    .venv/bin/python examples/train_gpt.py
    .venv/bin/torchrun --standalone --nproc-per-node 2 examples/train_gpt.py

With GPUs, one process takes one of them. `--help` lists the options.
"""

import csv
import os
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor
from torch.nn import functional as F

from lmprep.architectures.transformer import GPT, GPTConfig
from lmprep.data.corpora import CharVocabulary, english_text, normalize_text
from lmprep.training.distributed import own_share, process_group, rank, world_size
from lmprep.training.loop import History, fit
from lmprep.training.optim import AdamW
from lmprep.training.schedules import cosine

CONTEXT = 32  # characters that the model reads


class Text:
    """The English text as character ids, and a tiny GPT that fits it.

    Attributes:
        train, validation: ids of different topics, on `device`.
    """

    def __init__(self, device: torch.device) -> None:
        splits = english_text()
        train = normalize_text("\n\n".join(splits["train"]["text"]))
        validation = normalize_text("\n\n".join(splits["validation"]["text"]))
        self.vocabulary = CharVocabulary.from_text(train + validation)
        self.train = torch.tensor(self.vocabulary.encode(train), device=device)
        self.validation = torch.tensor(self.vocabulary.encode(validation), device=device)

    def model(self, seed: int = 0) -> GPT:
        """A GPT of one block, untrained."""
        config = GPTConfig(
            vocab_size=len(self.vocabulary),
            context_length=CONTEXT,
            width=48,
            num_layers=1,
            num_heads=4,
            init_std=0.1,
            residual_scale=0.7,
            tied_head=False,
            head_std=0.02,
        )
        return GPT(config, torch.Generator().manual_seed(seed)).to(self.train.device)

    def batch(self, step: int, size: int) -> Tensor:
        """The windows of one update, the same in every process: (size, CONTEXT + 1)."""
        starts = torch.randint(
            len(self.train) - CONTEXT, (size,), generator=torch.Generator().manual_seed(step)
        ).to(self.train.device)
        return self.train[starts[:, None] + torch.arange(CONTEXT + 1, device=starts.device)]

    def validation_loss(self, model: GPT, windows: int = 256) -> float:
        """Nats per character on the first windows of the validation text."""
        ids = self.validation[: windows * CONTEXT + 1]
        return F.cross_entropy(model(ids[:-1].view(-1, CONTEXT)).flatten(0, 1), ids[1:]).item()


def next_character_loss(model: GPT, windows: Tensor) -> Tensor:
    """Mean cross-entropy of each character given those before it: windows (B, CONTEXT + 1) → ()."""
    return F.cross_entropy(model(windows[:, :-1]).flatten(0, 1), windows[:, 1:].flatten())


def train(
    text: Text, model: GPT, *, steps: int, batch_size: int, learning_rate: float, weight_decay: float = 0.1
) -> History:
    """Train on `steps` batches of `batch_size` windows, shared out among the processes."""
    return fit(
        model,
        lambda step: own_share(text.batch(step, batch_size)),
        next_character_loss,
        optimizer=AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.95), weight_decay=weight_decay),
        num_steps=steps,
        schedule=cosine(steps, warmup=min(20, steps // 5), floor=0.1),
        max_norm=1.0,
        evaluate=text.validation_loss,
    )


def main(
    steps: Annotated[int, typer.Option(min=1, help="Updates.")] = 300,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows per update, over all processes.")] = 24,
    learning_rate: Annotated[float, typer.Option(help="AdamW's, at its highest.")] = 8e-3,
    losses: Annotated[Path | None, typer.Option(help="A CSV file to write the losses to.")] = None,
) -> None:
    """Train a tiny GPT on the book's English text."""
    torch.set_num_threads(1)
    with process_group() as device:
        text = Text(device)
        history = train(text, text.model(), steps=steps, batch_size=batch_size, learning_rate=learning_rate)
        if rank() == 0:
            last = history.records[-1]
            processes = "1 process" if world_size() == 1 else f"{world_size()} processes"
            print(f"{processes}, {steps} updates: {last.eval_loss:.4f} nats per character")
            if losses is not None:
                with losses.open("w", newline="") as file:
                    writer = csv.writer(file)
                    writer.writerow(["step", "train_loss", "eval_loss"])
                    writer.writerows((r.step, r.train_loss, r.eval_loss) for r in history.records)


if __name__ == "__main__":
    os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
    typer.run(main)
