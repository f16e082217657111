"""A teacher: its facts, from a bundle or from a folder of embeddings, and its towers where they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.bundle.reader import open_bundle
from edgekit.choices import list_choices, nothing_works
from edgekit.converters.distill.data.store_records import VERSION, TeacherRecord
from edgekit.errors import BundleError, ExecutionError, GoldenError, InputError, RuntimeUnavailableError
from edgekit.judging import judge, open_towers
from edgekit.locations import cache_dir
from edgekit.runtimes.protocol import SessionSettings
from edgekit.text_embedder import TextEmbedder

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.bundle.reader import Bundle
    from edgekit.converters.distill.recipe import TeacherSpec
    from edgekit.golden import TowerName
    from edgekit.judging import Choice
    from edgekit.results import Candidate
    from edgekit.tower import DeviceTower

TEACHER, TOKENIZER = "teacher.json", "tokenizer.json"
# The names of the type that weights and arithmetic of a float reference have.
_FLOAT = frozenset({"fp32", "float32"})
# Between two batches the threads would burn the time that images are decoded in, and the teacher's cost would be wrong.
_SETTINGS = SessionSettings(spinning=False)


@dataclass(frozen=True)
class Source:
    """A teacher of a recipe.

    Attributes:
        record: its facts.
        home: folder of its embeddings.
        bundle: opened; None where there are only embeddings.
        given: whether the recipe names the embeddings, so that nothing is added to them.
    """

    record: TeacherRecord
    home: Path
    bundle: Bundle | None
    given: bool


def default_store() -> Path:
    """Return where embeddings are kept when the recipe names no folder."""
    return cache_dir() / "embeddings"


def open_source(spec: TeacherSpec, bundle: Path | None, store: Path) -> Source:
    """Open a teacher.

    Args:
        spec: the recipe's.
        bundle: path of its bundle; None where there is none.
        store: folder that embeddings are kept in.

    Returns:
        The teacher; in a store, its facts and its tokenizer are written down.

    Raises:
        BundleError: the bundle is damaged.
        InputError: there is neither a bundle nor embeddings, or they are another teacher's.
    """
    if bundle is None and not spec.embeddings:
        raise InputError("teachers: one has neither a model nor embeddings; give one of them")
    opened = None if bundle is None else open_bundle(bundle)
    if spec.embeddings:
        from pathlib import Path

        home, record = stored(Path(spec.embeddings), None if opened is None else f"sha256:{opened.digest}")
        return Source(record, home, opened, given=True)
    if opened is None:
        raise InputError(f"{spec.model}: was not turned into a bundle")
    record = facts(opened)
    home = store / opened.digest[:16]
    home.mkdir(parents=True, exist_ok=True)
    write_bytes(home / TOKENIZER, bytes(opened.read(record.text.tokenizer)))
    write_bytes(home / TEACHER, schema.dumps(record).encode())
    return Source(record, home, opened, given=False)


def stored(folder: Path, digest: str | None = None) -> tuple[Path, TeacherRecord]:
    """Read the facts of a teacher whose embeddings were computed before.

    Args:
        folder: the teacher's, or a store that holds it.
        digest: of the teacher wanted, ``sha256:`` and 64 digits; None takes the only one.

    Returns:
        The teacher's folder, which also holds its ``tokenizer.json``, and its facts.

    Raises:
        InputError: there is none, several and no digest says which, or another one; the message names both digests.
    """
    homes = [folder] if (folder / TEACHER).is_file() else sorted(path.parent for path in folder.glob(f"*/{TEACHER}"))
    if not homes:
        raise InputError(f"{folder}: holds no embeddings: there is no {TEACHER} in it, nor in a folder of it")
    found = [(home, _record(home / TEACHER)) for home in homes]
    if digest is None and len(found) == 1:
        return found[0]
    fitting = [one for one in found if one[1].digest == digest]
    if fitting:
        return fitting[0]
    known = ", ".join(f"{record.name} ({record.digest}) in {home}" for home, record in found)
    if digest is None:
        raise InputError(f"{folder}: holds embeddings of several teachers: {known}; give the folder of one")
    raise InputError(f"{folder}: holds embeddings of another teacher: {known}; the recipe's has the digest {digest}")


def facts(bundle: Bundle) -> TeacherRecord:
    """Return the facts of a teacher's bundle; an `InputError` where it has no text tower."""
    manifest = bundle.manifest
    if manifest.text is None:
        raise InputError(f"{bundle.where}: has no text tower; take the bundle that it was made of as a teacher")
    return TeacherRecord(
        version=VERSION,
        name=manifest.name,
        license=manifest.license,
        digest=f"sha256:{bundle.digest}",
        space=manifest.embedding.space,
        dimension=manifest.embedding.dimension,
        logit_scale=manifest.embedding.logit_scale,
        logit_bias=manifest.embedding.logit_bias,
        scores=manifest.embedding.scores,
        image=manifest.image,
        text=manifest.text,
    )


class Towers:
    """A teacher's towers, opened when first used: its float variant where it has one, since speed matters less."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._open: dict[TowerName, DeviceTower] = {}
        self._texts: TextEmbedder | None = None
        self.variant = ""

    def image(self) -> DeviceTower:
        """Return the image tower."""
        return self._tower("image")

    def texts(self) -> TextEmbedder:
        """Return the text tower behind its tokenizer."""
        if self._texts is None:
            self._texts = TextEmbedder(self._bundle(), self._tower("text"), capacity=0)
        return self._texts

    def close(self) -> None:
        """Free the memory of both."""
        for tower in self._open.values():
            tower.close()
        self._open.clear()

    def _tower(self, name: TowerName) -> DeviceTower:
        if name not in self._open:
            self._open[name] = self._opened(name)
        return self._open[name]

    def _opened(self, name: TowerName) -> DeviceTower:
        bundle = self._bundle()
        refusals = []
        for variant in sorted(bundle.manifest.variants, key=lambda one: one.precision not in _FLOAT):
            try:
                choices, refused = list_choices(bundle, variant.id, None, "auto")
            except RuntimeUnavailableError as error:
                refusals.append(str(error))
                continue
            found = _fastest(bundle, choices, name, refused)
            if found is not None:
                choice, tower = found
                self.variant = f"{variant.id} on {choice.runtime.name} {choice.version} ({choice.device})"
                return tower
            refusals.append(nothing_works(bundle, refused))
        raise RuntimeUnavailableError("\n".join(refusals))

    def _bundle(self) -> Bundle:
        if self._source.bundle is None:
            raise InputError(f"{self._source.home}: holds embeddings only; name the model to compute others")
        return self._source.bundle


def _fastest(
    bundle: Bundle, choices: list[Choice], name: TowerName, refused: list[Candidate]
) -> tuple[Choice, DeviceTower] | None:
    """Open a tower where it is right and fastest; what was refused is added to `refused`.

    Unlike `edgekit.load` this leaves no mark of a candidate that is being tried: a distillation may be killed at any
    moment and must go on afterwards, and a candidate that crashes ends a child process only.
    """
    best: tuple[float, Choice, DeviceTower] | None = None
    for choice in choices:
        try:
            (tower,) = open_towers(bundle, choice, (name,), _SETTINGS).values()
        except ExecutionError as error:
            refused.append(choice.candidate(str(error)))
            continue
        try:
            times, _ = judge(bundle, choice, {name: tower}, timed=len(choices) > 1)
        except GoldenError as error:
            refused.append(choice.candidate(str(error)))
            tower.close()
            continue
        taken = times.milliseconds if times else 0.0
        if best is not None:
            slower = tower if best[0] <= taken else best[2]
            slower.close()
        if best is None or taken < best[0]:
            best = taken, choice, tower
    return None if best is None else best[1:]


def _record(path: Path) -> TeacherRecord:
    try:
        record = schema.loads(TeacherRecord, path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except BundleError as error:
        raise InputError(f"{error}; compute the embeddings again") from error
    if record.version != VERSION:
        raise InputError(f"{path}: is of version {record.version}, this edgekit reads {VERSION}; compute them again")
    return record
