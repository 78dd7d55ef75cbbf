"""What params.yaml holds: strict models of its sections, and of an entry of `networks`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import BaseModel, ConfigDict

from weakseg.errors import UserError
from weakseg.harness.choices import Choice

SHARED = (  # top-level keys that belong to no stage
    "seed", "data", "networks", "mask_network", "features_from", "weights_from", "background_classes",
)  # fmt: skip
PARTS = ("train", "cams", "distill")  # what an entry of `networks` may want different, a mapping each
WITH_OPTIONS = {  # sections that hold the options of choices: folder, and the function whose arguments they are
    "datasets": "fetch", "methods": "maps", "refiners": "refine", "segmenters": "build", "thresholds": "pick",
}  # fmt: skip
# Where a path or an address may stand too.
WORDS = ("classifier", "none", "official", "pretrained", "random", "torchvision")
STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)


@dataclass(frozen=True)
class Of:
    """Marks a field whose value names a file of `folder`, which offers `symbol`.

    The options of that file are its function's keyword-only arguments but for those `supplied` by the caller.
    """

    folder: str
    symbol: str
    supplied: tuple[str, ...] = ()


class StageParams(BaseModel):
    """Base of every stage's Params: the fields of its section, and what it shares with others, by name.

    A field of type `Annotated[Choice, Of(folder, symbol)]` names a file; the file's options stand at the top level of
    params.yaml under the folder's name, and under `options` of the section where one stage wants its own.
    """

    model_config = STRICT


class Network(BaseModel):
    """One entry of `networks`: a name of one's own, and what is built."""

    model_config = STRICT
    name: str
    backbone: Annotated[Choice, Of("backbones", "build")]
    variant: str  # of the backbone; of backbone timm: any model's name
    weights: str  # random, pretrained, or the path or address of a weight file
    classes: str | None = None  # text file that names the classes of the weight file's head, one a line
    train: Literal["none"] | None = None  # none: used as it is; what training wants different is no field of this


class NetworkParams(StageParams):
    """Base of the Params of a stage that runs for one network; `part` of its entry is laid over the section."""

    part: ClassVar[str] = ""
    network: Network


# The parser in C where PyYAML was built with it: a fifth of a second less for each stage.
class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Refuses a key that a mapping holds twice, where YAML would keep the last silently; reads 5e-05 as a number.

    So `dvc exp run -S train_classifier.learning_rate=0.00005` writes it, by YAML 1.2; PyYAML reads YAML 1.1, where it
    is text.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        twice = [key for key in keys if keys.count(key) > 1]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"'{twice[0]}' is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read(path: Path) -> dict[str, Any]:
    """Read params.yaml as a mapping; UserError when it is absent, no mapping, or names something twice."""
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: run from the project's root") from None
    except yaml.MarkedYAMLError as error:
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{path} is not valid YAML{where}: {error.problem}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} must hold one section per stage")
    return value


def choice_fields(model: type[BaseModel]) -> dict[str, Of]:
    """Fields of a model that name a choice."""
    marks = {
        name: [mark for mark in field.metadata if isinstance(mark, Of)] for name, field in model.model_fields.items()
    }
    return {name: found[0] for name, found in marks.items() if found}
