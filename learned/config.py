"""Every choice of a training run: frozen, validated dataclasses, presets, files and ``key=value``.

A key is written ``section.field``, e.g. ``optimiser.learning_rate``, in files, on the command line
and in every message.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, ClassVar

from varreg.errors import FileError, InputError
from varreg.options import PRESETS as ENERGIES

FORMAT, VERSION = "learned configuration", 1
SOURCES = ("phantom", "labels", "manifest")
#: Bytes; no configuration is nearly as long.
LARGEST_FILE = 1 << 20


@dataclass(frozen=True)
class Rule:
    """What a field may be, said in words and tested; it reads values and text alike."""

    wanted: str
    kind: type
    test: Callable[[Any], bool] = lambda value: True
    many: bool = False
    optional: bool = False

    def plain(self, value: Any) -> Any:
        """Python's own number, text or tuple; a ValueError or TypeError if it is none of ours."""
        if value is None and self.optional:
            return None
        if self.many:
            if isinstance(value, (str, bytes, Mapping)):
                raise TypeError
            result: Any = tuple(_plain(entry, self.kind) for entry in value)
        else:
            result = _plain(value, self.kind)
        if not self.test(result):
            raise ValueError
        return result

    def parse(self, text: str) -> Any:
        """The value that a text stands for, not tested yet."""
        if self.optional and text.strip().lower() == "none":
            return None
        if not self.many:
            return _parse(text, self.kind)
        text = text.strip()
        if self.kind is str and text.startswith("["):
            return parse_json(text)
        inner = text[1:-1] if text[:1] + text[-1:] in ("()", "[]") else text
        parts = [part.strip() for part in inner.split(",")]
        return [_parse(p, self.kind) for p in (parts[:-1] if not parts[-1] else parts)]


def _plain(value: Any, kind: type) -> Any:
    if kind is bool or kind is str:
        if not isinstance(value, kind):
            raise TypeError
        return value
    # numpy's scalars are numbers.Real too, its bool is not
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise TypeError
    if kind is int and not float(value).is_integer():
        raise ValueError
    return kind(value)


def _parse(text: str, kind: type) -> Any:
    if kind is str:
        return text
    word = text.strip().lower()
    if kind is bool:
        return {"true": True, "false": False}[word]
    try:
        return int(word)
    except ValueError:
        return float(word)


def _whole(default: int, low: int, high: int) -> Any:
    wanted = f"a whole number from {low} to {high}"
    return _field(default, Rule(wanted, int, lambda v: low <= v <= high))


def _number(default: float, low: float, high: float) -> Any:
    wanted = f"a number from {low:g} to {high:g}"
    return _field(default, Rule(wanted, float, lambda v: low <= v <= high))


def _choice(default: str, choices: Iterable[str]) -> Any:
    known = tuple(choices)
    return _field(default, Rule("one of " + ", ".join(map(repr, known)), str, lambda v: v in known))


def _names() -> Any:
    once = lambda v: all(name.strip() for name in v) and len(set(v)) == len(v)  # noqa: E731
    return _field((), Rule("names, each once", str, once, many=True))


def _path(default: str | None) -> Any:
    optional = default is None
    wanted = "a path" + (" or None" if optional else "")
    usable = lambda v: bool(v.strip()) and "\0" not in v  # noqa: E731
    return _field(default, Rule(wanted, str, usable, optional=optional))


def _field(default: Any, rule: Rule) -> Any:
    return dataclasses.field(default=default, metadata={"rule": rule})


def _are_scales(scales: tuple[float, ...]) -> bool:
    decreasing = all(a > b for a, b in zip(scales, scales[1:], strict=False))
    return decreasing and all(1 <= s <= 64 for s in scales)


def _are_devices(names: tuple[str, ...]) -> bool:
    known = all(re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", name) for name in names)
    alone = "auto" not in names or len(names) == 1
    return len(names) > 0 and known and alone and len(set(names)) == len(names)


@dataclass(frozen=True)
class Section:
    """A part of the configuration, whose fields carry their rules."""

    name: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, rule = getattr(self, field.name), field.metadata["rule"]
            try:
                object.__setattr__(self, field.name, rule.plain(value))
            except (TypeError, ValueError, OverflowError):
                self._refuse(field.name, rule.wanted)

    def _refuse(self, field: str, wanted: str) -> None:
        came = getattr(self, field)
        raise InputError(f"`{self.name}.{field}` must be {wanted}; got {_shown(came)}.")


@dataclass(frozen=True)
class ModelConfig(Section):
    """The cascade: what ``Cascade.build`` is called with.

    Parameters
    ----------
    dimension : {2, 3}
        d, of the images.
    shape : tuple of int
        Voxels of the images along each of the d axes.
    at_width, dt_width : int
        Channels of the first block of AT-Net and of each DT-Net; 16 and 32 give the paper's numbers
        of parameters, 588 k and 1474 k.
    scales : tuple of float
        Coarsening factor of the images that each DT-Net stage sees, decreasing; may be empty.
    shared : bool
        All stages are one network.
    pooling : {"flatten", "global"}
        What stands before AT-Net's dense layers; "flatten" ties it to `shape`.
    """

    name: ClassVar[str] = "model"
    dimension: int = _field(2, Rule("2 or 3", int, lambda v: v in (2, 3)))
    shape: tuple[int, ...] = _field(
        (224, 224),
        Rule(
            "one whole number from 8 to 4096 for each dimension, e.g. 224,224",
            int,
            lambda v: all(8 <= n <= 4096 for n in v),
            many=True,
        ),
    )
    at_width: int = _whole(16, 1, 1024)
    dt_width: int = _whole(32, 1, 1024)
    scales: tuple[float, ...] = _field(
        (4.0, 2.0, 1.0),
        Rule("decreasing factors from 64 to 1, e.g. 4,2,1", float, _are_scales, many=True),
    )
    shared: bool = _field(False, Rule("true or false", bool))
    pooling: str = _choice("flatten", ("flatten", "global"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.shape) != self.dimension:
            self._refuse("shape", f"{self.dimension} sizes, as `model.dimension` says")


@dataclass(frozen=True)
class LossConfig(Section):
    """Weights and choices of the objective, eq. (12) of the paper.

    Parameters
    ----------
    smoothness, mutual_information, background, consistency : float
        lambda_1 to lambda_4, at least one above 0.
    gamma : float
        The fixed image is background where its intensity, in [0, 1], is below.
    inverse : {"fixed-point", "paper"}
        How the inverse displacement of the consistency term is found.
    estimator : str
        A preset of :class:`varreg.Options`, whose estimator and bins the mutual information takes.
    deep_supervision : float
        Weight of the loss of the coarse stages, each at its own resolution, beside that of the last.
    """

    name: ClassVar[str] = "loss"
    smoothness: float = _number(1.0, 0, 1e6)
    mutual_information: float = _number(50.0, 0, 1e6)
    background: float = _number(100.0, 0, 1e6)
    consistency: float = _number(100.0, 0, 1e6)
    gamma: float = _number(0.1, 0, 1)
    inverse: str = _choice("fixed-point", ("fixed-point", "paper"))
    estimator: str = _choice("cfir", ENERGIES)
    deep_supervision: float = _number(0.0, 0, 1e6)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not max(self.smoothness, self.mutual_information, self.background, self.consistency):
            self._refuse("mutual_information", "above 0, or another weight of `loss`")


@dataclass(frozen=True)
class DataConfig(Section):
    """Where pairs of images come from, and how they are varied.

    Parameters
    ----------
    source : {"phantom", "labels", "manifest", "mixed"}
        Drawn from the phantom, synthesised from label volumes, or listed in a manifest.
    phantom_share, labels_share, manifest_share : float
        For "mixed": how often each is drawn, relative to the others.
    manifest, labels : str or None
        Paths of the manifest and of the label volumes, relative to the working folder.
    cache : str or None
        Folder that keeps volumes once they have been resampled.
    licences : tuple of str
        Of the data, for the card of the weights.
    validation_subjects : tuple of str
        Subjects that are never trained on; empty leaves the choice to the split.
    spacing : float
        Voxel size to which volumes are brought, in mm.
    slice_axes : tuple of int
        Axes across which slices are taken for d = 2, all alike: 0 right, 1 anterior, 2 superior.
    rotation, scaling, shear, shift, amplitude : float
        Largest motion between the two images: degrees; relative change; tangent; share of the
        extent; length of the smooth displacement, as a share of the longest extent.
    pose : float
        Strength of the motion that both share, flips apart: 1 is :data:`learned.data.POSE`, 0 none.
    intensity : float
        Strength of random gamma, blur, bias field and noise: 1 is the default, 0 none.
    pairs_per_epoch, validation_pairs, test_pairs : int
        Numbers of pairs.
    workers : int
        Processes that prepare pairs; 0 prepares them in the training process.
    """

    name: ClassVar[str] = "data"
    source: str = _choice("phantom", (*SOURCES, "mixed"))
    phantom_share: float = _number(0.0, 0, 1e6)
    labels_share: float = _number(0.0, 0, 1e6)
    manifest_share: float = _number(0.0, 0, 1e6)
    manifest: str | None = _path(None)
    labels: str | None = _path(None)
    cache: str | None = _path(None)
    licences: tuple[str, ...] = _names()
    validation_subjects: tuple[str, ...] = _names()
    spacing: float = _number(1.0, 0.01, 100)
    slice_axes: tuple[int, ...] = _field(
        (2,),
        Rule(
            "one or more of 0, 1 and 2, each once",
            int,
            lambda v: 0 < len(v) == len(set(v)) and set(v) <= {0, 1, 2},
            many=True,
        ),
    )
    rotation: float = _number(20.0, 0, 180)
    scaling: float = _number(0.15, 0, 0.9)
    shear: float = _number(0.1, 0, 1)
    shift: float = _number(0.12, 0, 1)
    amplitude: float = _number(0.04, 0, 1)
    pose: float = _number(1.0, 0, 4)
    intensity: float = _number(1.0, 0, 2)
    pairs_per_epoch: int = _whole(320, 1, 10_000_000)
    validation_pairs: int = _whole(32, 1, 1_000_000)
    test_pairs: int = _whole(32, 0, 1_000_000)
    workers: int = _whole(0, 0, 256)

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [name for name in SOURCES if getattr(self, f"{name}_share")]
        if self.source == "mixed" and not given:
            self._refuse("phantom_share", "above 0, or another share, for `data.source` 'mixed'")
        if self.source != "mixed" and given:
            self._refuse(f"{given[0]}_share", "0 unless `data.source` is 'mixed'")

    def shares(self) -> dict[str, float]:
        """The sources that pairs are drawn from, with their probabilities.

        Raises
        ------
        InputError
            If a source needs a path and has none; a preset may be completed until then.

        Examples
        --------
        >>> DataConfig(source="mixed", phantom_share=1, labels_share=3, labels="maps").shares()
        {'phantom': 0.25, 'labels': 0.75}
        """
        if self.source != "mixed":
            shares = {self.source: 1.0}
        else:
            shares = {s: getattr(self, f"{s}_share") for s in SOURCES}
        total = sum(shares.values())
        shares = {source: share / total for source, share in shares.items() if share}
        for source in ("labels", "manifest"):
            if source in shares and getattr(self, source) is None:
                self._refuse(source, f"a path, because `data.source` is {self.source!r}")
        return shares


@dataclass(frozen=True)
class OptimiserConfig(Section):
    """Adam, its learning rate over time, and for how long.

    Parameters
    ----------
    learning_rate : float
        Of Adam, at its largest.
    batch_size : int
        Pairs per step, of all processes together.
    affine_epochs, epochs : int
        Epochs of AT-Net alone, then of the DT-Net stages with AT-Net frozen.
    schedule : {"constant", "cosine"}
        Of the learning rate, after the warm-up.
    warm_up : int
        Steps over which the learning rate rises linearly.
    gradient_clipping : float or None
        Largest norm of the gradient of all parameters together.
    dropout : float
        Share of the values that are cleared in the two deepest blocks of each network.
    """

    name: ClassVar[str] = "optimiser"
    learning_rate: float = _number(1e-3, 1e-12, 10)
    batch_size: int = _whole(8, 1, 65536)
    affine_epochs: int = _whole(100, 0, 1_000_000)
    epochs: int = _whole(300, 0, 1_000_000)
    schedule: str = _choice("constant", ("constant", "cosine"))
    warm_up: int = _whole(0, 0, 100_000_000)
    gradient_clipping: float | None = _field(
        None, Rule("a number above 0, up to 1e+12, or None", float, lambda v: 0 < v <= 1e12,
                   optional=True)
    )  # fmt: skip
    dropout: float = _number(0.3, 0, 0.9)


@dataclass(frozen=True)
class TrainConfig(Section):
    """The run: where it writes, on what it computes, how often it looks at itself.

    Parameters
    ----------
    seed : int
        Of every random choice.
    output : str
        Folder of checkpoints, logs and pictures.
    precision : {"float32", "bfloat16"}
        Of the networks' convolutions.
    threads : int or None
        That each process computes with; None leaves it to torch. Another number rounds differently.
    devices : tuple of str
        "auto" alone, or "cpu", "mps", "cuda", "cuda:0", ...
    checkpoint_every : int
        Steps between checkpoints.
    validation_every : int
        Epochs between validations.
    patience : int or None
        Validations without a better value after which a stage ends; None never ends it early.
    """

    name: ClassVar[str] = "train"
    seed: int = _whole(0, 0, 2**63 - 1)
    output: str = _path("run")
    precision: str = _choice("float32", ("float32", "bfloat16"))
    threads: int | None = _field(
        None, Rule("a whole number from 1 to 1024 or None", int, lambda v: 1 <= v <= 1024,
                   optional=True)
    )  # fmt: skip
    devices: tuple[str, ...] = _field(
        ("auto",),
        Rule("'auto' alone, or 'cpu', 'mps', 'cuda', 'cuda:0', ..., each once", str, _are_devices,
             many=True),
    )  # fmt: skip
    checkpoint_every: int = _whole(200, 1, 100_000_000)
    validation_every: int = _whole(1, 1, 1_000_000)
    patience: int | None = _field(
        None, Rule("a whole number above 0 or None", int, lambda v: 1 <= v <= 10**9, optional=True)
    )


@dataclass(frozen=True)
class Config:
    """All sections together.

    Examples
    --------
    >>> Config().model.scales
    (4.0, 2.0, 1.0)
    """

    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    data: DataConfig = DataConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    train: TrainConfig = TrainConfig()

    def __post_init__(self) -> None:
        for name, kind in SECTIONS.items():
            if not isinstance(getattr(self, name), kind):
                raise InputError(
                    f"`Config({name}=...)` must be a {kind.__name__}; got "
                    f"{type(getattr(self, name)).__name__}."
                )


SECTIONS: dict[str, type[Section]] = {
    kind.name: kind for kind in (ModelConfig, LossConfig, DataConfig, OptimiserConfig, TrainConfig)
}
#: What each preset changes.
PRESETS: dict[str, dict[str, Any]] = {
    # one minute on two cores: shows that everything works, teaches nothing
    "smoke": {
        "model.shape": (64, 64),
        "model.at_width": 4,
        "model.dt_width": 4,
        "model.scales": (2, 1),
        "loss.estimator": "default",
        "data.pairs_per_epoch": 64,
        "data.validation_pairs": 4,
        "data.test_pairs": 4,
        "optimiser.batch_size": 4,
        "optimiser.affine_epochs": 3,
        "optimiser.epochs": 6,
        "train.checkpoint_every": 16,
        "train.threads": 1,
        "train.devices": ("cpu",),
    },
    # Slices of 224 x 224 voxels on two cores: a step of 8 pairs takes about 0.5 s in the affine stage
    # and 0.65 s in the second, so 3000 + 6000 steps take an hour and a half, validations included.
    # It is affordable because the finest stage has half the resolution of the images, enough for
    # what is smooth.  Dual consistency costs more than all other terms, is 0.3 % of the loss for
    # maps that do not fold, and is left out; the loss of every stage at its own resolution costs
    # little and helped in short trials; dropout only disturbs where no pair comes twice.
    "laptop": {
        "model.at_width": 16,
        "model.dt_width": 16,
        "model.scales": (8, 4, 2),
        "loss.estimator": "default",
        "loss.smoothness": 5.0,
        "loss.consistency": 0.0,
        "loss.deep_supervision": 1.0,
        "data.pairs_per_epoch": 800,
        "optimiser.affine_epochs": 30,
        "optimiser.epochs": 60,
        "optimiser.schedule": "cosine",
        "optimiser.warm_up": 40,
        "optimiser.gradient_clipping": 10.0,
        "optimiser.dropout": 0.0,
        "train.threads": 2,
        "train.devices": ("cpu",),
        "train.validation_every": 2,
    },
    # Table 1; it gives no epochs for AT-Net, and the code that it inherits from at most 100
    "paper": {"data.source": "manifest", "data.intensity": 0.0},
}  # fmt: skip


def preset(name: str) -> Config:
    """The named configuration.

    Parameters
    ----------
    name : {"smoke", "laptop", "paper"}
        A minute on the phantom; an hour and a half on two cores, for slices of 224 x 224 voxels (3000
        steps of 0.5 s, then 6000 of 0.65 s); the paper's Table 1, for which ``data.manifest`` is still
        to be given.

    Returns
    -------
    Config

    Raises
    ------
    InputError
        If there is no such preset.

    Examples
    --------
    >>> preset("paper").optimiser.epochs
    300
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise InputError(
            f"learned.preset: `name` must be one of {', '.join(map(repr, PRESETS))}; got "
            f"{name!r}.{_meant(name, PRESETS)}"
        )
    return _replaced(Config(), PRESETS[name])


def from_file(path: str | os.PathLike[str]) -> Config:
    """Read a configuration from a ``.toml`` or ``.json`` file.

    Parameters
    ----------
    path : str or PathLike
        Sections ``model``, ``loss``, ``data``, ``optimiser`` and ``train``; what is left out keeps
        the value of the top-level ``preset``, if there is one, or else the default.

    Returns
    -------
    Config

    Raises
    ------
    FileError
        If the file cannot be read; TOML needs Python 3.11.
    InputError
        If it has unknown keys or values that are not allowed; the message names file and key.
    """
    text, suffix = _text(path)
    where = f"learned.from_file: {os.fspath(path)!r}"
    try:
        content = parse_json(text) if suffix == ".json" else _toml().loads(text)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{where} is not valid {suffix[1:].upper()} ({error}).") from error
    except ImportError as error:
        raise FileError(f"{where} needs Python 3.11 to be read; write it as JSON.") from error
    return _configured(content, where, complete=False)


def with_changes(config: Config, changes: Iterable[str]) -> Config:
    """A copy with fields changed by ``section.field=value`` texts, checked all together.

    Parameters
    ----------
    config : Config
        What is changed.
    changes : iterable of str
        Values are read by the type of the field: ``none``, ``true``, ``1e-4``, ``4,2,1``; of
        several for one key the last counts.

    Returns
    -------
    Config

    Raises
    ------
    InputError
        If a key is unknown (the nearest is suggested) or a value is not allowed.

    Examples
    --------
    >>> with_changes(Config(), ["model.scales=2,1", "optimiser.learning_rate=1e-4"]).model.scales
    (2.0, 1.0)
    """
    if isinstance(changes, str):
        raise InputError(
            f"learned.with_changes: `changes` must be a list of texts; got {changes!r}."
        )
    values = {}
    for change in changes:
        if not isinstance(change, str) or "=" not in change:
            raise InputError(
                f"learned.with_changes: a change must be 'section.field=value'; got {change!r}."
            )
        key, _, text = change.partition("=")
        key = key.strip()
        rule = _rule(key, "learned.with_changes")
        try:
            values[key] = rule.parse(text)
        except (ValueError, KeyError, RecursionError) as error:
            raise InputError(f"`{key}` must be {rule.wanted}; got {_shown(text)}.") from error
    return _replaced(config, values)


def to_json(config: Config) -> str:
    """Write a configuration as JSON that :func:`from_json` reads back without loss.

    Examples
    --------
    >>> from_json(to_json(Config())) == Config()
    True
    """
    return json.dumps(
        {"format": FORMAT, "version": VERSION, **dataclasses.asdict(config)}, indent=2
    )


def from_json(text: str) -> Config:
    """Read what :func:`to_json` wrote: every key is there, and no other.

    Raises
    ------
    InputError
        If it is not JSON, of another format or version, or a key is missing, unknown or not allowed.
    """
    where = "learned.from_json: the configuration"
    try:
        content = parse_json(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{where} is not valid JSON ({error}).") from error
    return _configured(content, where, complete=True)


def changed_keys(before: Config, after: Config) -> list[str]:
    """The keys in which two configurations differ.

    Examples
    --------
    >>> changed_keys(Config(), with_changes(Config(), ["train.seed=3"]))
    ['train.seed']
    """
    return [key for key in _rules() if _value(before, key) != _value(after, key)]


def parse_json(text: str) -> Any:
    """JSON without the liberties of Python's reader: no key twice, no NaN; else a ValueError."""
    return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"the key {_shown(key)} is there twice")
        content[key] = value
    return content


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not a number of JSON")


def _text(path: str | os.PathLike[str]) -> tuple[str, str]:
    """The text of a configuration file, and its suffix."""
    try:
        file = Path(os.fsdecode(path)).expanduser()
        suffix = file.suffix.lower()
        if suffix not in (".toml", ".json"):
            raise ValueError("its name ends neither in .toml nor in .json")
        if not file.is_file():
            raise ValueError("it does not exist or is no file")
        if file.stat().st_size > LARGEST_FILE:
            raise ValueError(f"it is longer than {LARGEST_FILE} bytes")
        return file.read_text(encoding="utf-8-sig"), suffix
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise FileError(f"learned.from_file: {path!r} cannot be read ({error}).") from error


def _toml() -> Any:
    return importlib.import_module("tomllib")


def _configured(content: Any, where: str, *, complete: bool) -> Config:
    """The configuration that nested mappings describe; `complete` ones name every key."""
    if not isinstance(content, dict):
        raise InputError(f"{where} must be an object of sections; got {_shown(content)}.")
    content = dict(content)
    for key, known in (("format", FORMAT), ("version", VERSION)):
        value = content.pop(key, None if complete else known)
        if value != known or isinstance(value, bool):
            raise InputError(f"{where} has `{key}` {_shown(value)}; only {known!r} can be read.")
    start = content.pop("preset", None) if not complete else None
    values = {}
    for section, fields in content.items():
        if section not in SECTIONS or not isinstance(fields, dict):
            raise InputError(
                f"{where} has no place for `{section}` = {_shown(fields)}; its sections are "
                f"{', '.join(SECTIONS)}.{_meant(section, SECTIONS)}"
            )
        values.update({f"{section}.{name}": value for name, value in fields.items()})
    for key in values:
        _rule(key, where)
    missing = [key for key in _rules() if key not in values]
    if complete and missing:
        raise InputError(f"{where} lacks `{missing[0]}`.")
    try:
        return _replaced(Config() if start is None else preset(start), values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _replaced(config: Config, values: Mapping[str, Any]) -> Config:
    """A copy with the values of some keys; each section is checked once, when it is whole."""
    if not isinstance(config, Config):
        raise InputError(f"learned: `config` must be a Config; got {type(config).__name__}.")
    sections = {}
    for name in SECTIONS:
        changes = {k.partition(".")[2]: v for k, v in values.items() if k.startswith(f"{name}.")}
        sections[name] = dataclasses.replace(getattr(config, name), **changes)
    return Config(**sections)


def _value(config: Config, key: str) -> Any:
    section, _, field = key.partition(".")
    return getattr(getattr(config, section), field)


def _rules() -> dict[str, Rule]:
    """The rule of every key."""
    return {
        f"{section}.{field.name}": field.metadata["rule"]
        for section, kind in SECTIONS.items()
        for field in dataclasses.fields(kind)
    }


def _rule(key: str, where: str) -> Rule:
    """The rule of one key, or an error that suggests another."""
    rules = _rules()
    if key not in rules:
        raise InputError(f"{where} has no key `{key}`.{_meant(key, rules)}")
    return rules[key]


def _meant(name: Any, known: Iterable[str]) -> str:
    """The known name that was probably meant, in a sentence."""
    keys = list(known)
    last = str(name).rpartition(".")[2]
    near = [key for key in keys if key.rpartition(".")[2] == last]
    near = near or difflib.get_close_matches(str(name), keys, 1)
    ends = difflib.get_close_matches(last, [key.rpartition(".")[2] for key in keys], 1)
    near = near or [key for key in keys if ends and key.rpartition(".")[2] == ends[0]]
    return f" Did you mean `{near[0]}`?" if near else f" Known: {', '.join(keys)}."


def _shown(value: Any) -> str:
    words = repr(value)
    return words if len(words) <= 80 else words[:77] + "..."
