"""``group_vars/`` and ``host_vars/``: which files belong to a name, and what they set together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fleetssh.core.errors import InventoryError
from fleetssh.inventory.variables import Variables, merge, read_variables
from fleetssh.inventory.yamlfile import compose, is_vault

YAML_ENDINGS = (".yml", ".yaml")


@dataclass(frozen=True, slots=True)
class VarsFolder:
    """A ``group_vars/`` or ``host_vars/`` folder, listed once; ``names`` is empty when there is none."""

    path: Path
    names: frozenset[str]

    def files_for(self, name: str) -> tuple[Path, ...]:
        """The files for a group or host, the weakest first; none when there are none.

        As in Ansible only the first that exists of ``NAME``, ``NAME.yml`` and ``NAME.yaml`` counts, and
        each may be a file or a folder.
        """
        for candidate in (name + ending for ending in ("", *YAML_ENDINGS)):
            if candidate in self.names:
                path = self.path / candidate
                return tuple(_files_below(path, ())) if path.is_dir() else (path,)
        return ()


def list_folder(path: Path) -> VarsFolder:
    """The folder as it is now."""
    if not path.exists():
        return VarsFolder(path, frozenset())
    return VarsFolder(path, frozenset(list_names(path)))


def list_names(path: Path) -> list[str]:
    """The names in a folder, sorted."""
    return sorted(entry.name for entry in path.iterdir())


def _files_below(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """Ansible's rules: by name, no hidden or backup files, folders too unless they have an ending.

    ``above`` are the real paths of the folders that lead here. Raises ``InventoryError`` for a folder that
    a symbolic link puts inside itself.
    """
    real = folder.resolve()
    if real in above:
        raise InventoryError(f"a symbolic link leads back to {real}", str(folder), "remove the link")
    for name in list_names(folder):
        path, ending = folder / name, Path(name).suffix
        if name.startswith(".") or name.endswith("~"):
            continue
        if path.is_dir():
            if not ending:
                yield from _files_below(path, (*above, real))
        elif not ending or ending in YAML_ENDINGS:
            yield path


def read_variables_for(name: str, folder: VarsFolder) -> Variables:
    """All that the files for ``name`` set; a file encrypted by Ansible Vault is named instead of read."""
    return merge(_read_file(path) for path in folder.files_for(name))


def _read_file(path: Path) -> Variables:
    root = compose(path)
    if is_vault(root):
        return Variables(encrypted=(str(path),))
    return read_variables(root, "the file", f"{path}:1")
