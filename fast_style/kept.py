"""What Hydra writes into a run's folder before our code runs, kept for a run that is refused."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException


class KeptConfiguration(Callback):
    """Remembers the configuration that a folder's earlier run has left in it.

    Named in configs/train.yaml as a callback of Hydra's, which replaces those files at once.
    """

    before: ClassVar[dict[Path, bytes]] = {}
    made: ClassVar[list[Path]] = []  # the folders that this run makes, innermost first

    def on_run_start(self, config: DictConfig, **options: Any) -> None:
        """Read the files, if there are any; a sweep's runs have folders of their own."""
        self.before.clear()
        self.made.clear()
        try:
            run = Path(config.hydra.run.dir).absolute()
            folder = run / str(config.hydra.output_subdir)
            files = list(folder.glob("*.yaml"))
            made = [folder, *(one for one in (run, *run.parents) if not one.exists())]
        except (OmegaConfBaseException, OSError):  # said when the run begins
            return
        for path in files:
            self.before[path.absolute()] = path.read_bytes()
        if not run.exists():
            self.made.extend(made)

    @classmethod
    def restore(cls) -> None:
        """Write them back: the run was refused, and the folder is still the earlier one's.

        If there was none, what Hydra has made is removed.
        """
        with suppress(OSError):  # what cannot be removed stays: a log file open on Windows
            if cls.made:
                for path in (*cls.made[0].glob("*.yaml"), *cls.made[1].glob("*.log")):
                    path.unlink()
            for folder in cls.made:
                folder.rmdir()  # if it is empty
        for path, content in cls.before.items():
            path.write_bytes(content)
        cls.before.clear()
