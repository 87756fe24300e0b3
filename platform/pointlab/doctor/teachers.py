"""Teachers that somebody else trained: there, and with the weights that the config names."""

from collections.abc import Iterator
from dataclasses import dataclass

from pointlab.doctor.finding import Finding, of_error, passed, warned
from pointlab.errors import PointlabError
from pointlab.launch.teachers import AskedFolder, require_folder
from pointlab.teachers.folders import is_to_fetch


@dataclass(frozen=True)
class Teachers:
    """The folders of teachers, on this machine."""

    asked: tuple[AskedFolder, ...]
    name: str = "teachers"
    seconds: float = 300.0
    """Weights of gigabytes are hashed."""

    def run(self) -> Iterator[Finding]:
        """A finding for each folder."""
        for asked in self.asked:
            check, path = f"teacher {asked.source.path}", asked.source.path
            try:
                if is_to_fetch(path):
                    yield warned(
                        f"No folder and not in the hub's cache: it would be downloaded for {asked.role}.",
                        "copy its folder to this machine, where it cannot reach the hub",
                        check,
                    )
                    continue
                require_folder(asked)
            except PointlabError as error:
                yield of_error(error, check)
            else:
                yield passed(f"there, with the weights {asked.source.sha256[:12]} for {asked.role}", check)
