"""The shipped trained model sets: ``NAME.vrcnn`` (integers) and ``NAME.float.npz`` (the float networks beside it)."""

from pathlib import Path

from vrcnn_int.errors import VrcnnError
from vrcnn_int.text import plain

DEFAULT = "vrcnn_intra"
DEFAULT_AT = {"before_deblocking": DEFAULT, "after_sao": "joint_post"}
"""By position, for decoded video: after the filters of an ordinary encoder it is filtered by what learned from such video."""


def set_names() -> tuple[str, ...]:
    """The names of the shipped model sets, in their order. They are compiled into the C library, too."""
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.vrcnn")))


def model_path(word: str, folder: Path | None = None) -> Path:
    """The file that a model option names: the shipped set of this name, or else the word as a path, in the folder if one is given.

    Raises VrcnnError, naming the shipped sets, for a word that names neither one of them nor a file.
    """
    if word in set_names():
        return builtin_path(word)
    path = folder / word if folder else Path(word)
    if Path(word).name == word and not path.exists():
        known = ", ".join(set_names())
        raise VrcnnError(f"cannot read model {plain(word)}: there is no such file, nor such a shipped set; shipped are {known}")
    return path


def builtin_path(name: str = DEFAULT) -> Path:
    """The shipped binary model ``name``. Raises VrcnnError, naming those there are, if it does not exist."""
    path = Path(__file__).parent / f"{name}.vrcnn"
    if not path.is_file():
        known = ", ".join(set_names()) or "none: the installation is incomplete"
        raise VrcnnError(f"no shipped model set {name!r}; there are: {known}")
    return path


def float_path(model: str | Path) -> Path:
    """The float networks that lie beside a binary model: the same name with ``.float.npz``."""
    return Path(model).with_suffix(".float.npz")


def float_file(model: str | Path) -> Path:
    """float_path() where there is such a file. Raises VrcnnError where there is none, as in what a wheel installs."""
    path = float_path(model)
    if not path.is_file():
        is_shipped = path.resolve().parent == Path(__file__).resolve().parent
        advice = f"; wheels leave it out: give --model FOLDER/vrcnn_int/models/{Path(model).name} of a source tree" if is_shipped else ""
        raise VrcnnError(f"there is no {path}, the float networks of the model set beside it{advice}")
    return path


def read_files(model: Path | None) -> list[Path]:
    """What is read of a model set, None for the shipped one: the set, and the float networks beside it."""
    path = model or builtin_path()
    return [path, float_path(path)]


def starts_path(model: str | Path) -> Path:
    """The float networks that others of the set began their training with: the same name with ``.starts.npz``."""
    return Path(model).with_suffix(".starts.npz")


def float_networks_of(path: Path) -> Path:
    """The file of float networks that a path means: itself; float.npz of a training folder; what lies beside a set.

    A set: its file, or the name of a shipped one. Raises VrcnnError for a set without one, as in what a wheel installs.
    """
    if str(path) in set_names():
        return float_file(builtin_path(str(path)))
    if path.is_dir():
        return path / "float.npz"
    return float_file(path) if path.suffix == ".vrcnn" else path
