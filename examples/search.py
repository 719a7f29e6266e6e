"""Search learning rate and weight decay of a tiny GPT; whoever names the same storage joins the search.

    .venv/bin/python examples/search.py --storage sqlite:///search.db --trials 20

Run the same command in a second terminal while the first is at work: both draw on one study, and each stops
after its current trial once 20 are done. Run it later with more trials and it goes on from there. SQLite is
for one machine. Several machines name a database that all of them reach (`postgresql://…`, `mysql://…`), or
a file in a folder that they share (`/shared/search.log`).
"""

from typing import Annotated

import optuna
import torch
import typer
from optuna.samplers import TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import MaxTrialsCallback
from optuna.trial import Trial, TrialState
from train_gpt import Text, train

DONE = (TrialState.COMPLETE, TrialState.PRUNED)


def open_storage(address: str) -> BaseStorage:
    """A database by its URL, or a journal in the file of that path."""
    return RDBStorage(address) if "://" in address else JournalStorage(JournalFileBackend(address))


def main(
    storage: Annotated[str, typer.Option(help="A database's URL, or a file's path.")] = "sqlite:///search.db",
    study_name: Annotated[str, typer.Option(help="The search's name in the storage.")] = "tiny-gpt",
    trials: Annotated[int, typer.Option(min=1, help="Trials to stop after, of all processes together.")] = 20,
    steps: Annotated[int, typer.Option(min=1, help="Updates per trial.")] = 150,
) -> None:
    """Search learning rate and weight decay of a tiny GPT, together with whoever names the same storage."""
    torch.set_num_threads(1)
    text = Text(torch.device("cpu"))

    def validation_loss(trial: Trial) -> float:
        rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
        decay = trial.suggest_float("weight_decay", 1e-3, 1.0, log=True)
        model = text.model()
        try:
            train(text, model, steps=steps, batch_size=24, learning_rate=rate, weight_decay=decay)
        except FloatingPointError as error:  # the sampler is to stay away from here
            raise optuna.TrialPruned(str(error)) from error
        return text.validation_loss(model)

    study = optuna.create_study(
        study_name=study_name,
        storage=open_storage(storage),
        # Trials that others have not finished count as bad, so that two processes do not try the same.
        sampler=TPESampler(constant_liar=True),
        load_if_exists=True,
    )
    if len(study.get_trials(deepcopy=False, states=DONE)) < trials:
        study.optimize(validation_loss, callbacks=[MaxTrialsCallback(trials, states=DONE)])
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        print(f"All of {len(study.trials)} trials diverged: search lower learning rates.")
        raise typer.Exit(1)
    best = study.best_trial
    settings = ", ".join(f"{name} {value:.2g}" for name, value in best.params.items())
    print(f"{len(study.trials)} trials; best: {best.value:.4f} nats per character with {settings}")


if __name__ == "__main__":
    typer.run(main)
