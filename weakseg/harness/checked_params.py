"""From params.yaml to the Params of a stage: choices resolved, entries laid over sections, every problem at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError, create_model

from weakseg.errors import UserError
from weakseg.harness import choices, params
from weakseg.harness.choices import Choice
from weakseg.harness.params import Network, NetworkParams, Of, StageParams

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
PHRASES = {"missing": "is missing", "extra_forbidden": "is unknown"}
FILES_OF_DATA = ("extra_masks",)  # options of data sets whose value may be a path or an address
AS_IT_IS = "none"  # an entry's train, where its file is used as it is
OWN = "Value error, "  # before what a model's own check says
Models = Mapping[str, type[StageParams]]


def phrases(error: ValidationError, where: str) -> list[str]:
    """One phrase for each problem pydantic found, with the full name of the parameter."""
    found = []
    for item in error.errors():
        place = item["loc"] if item["loc"][:1] and item["loc"][0] in params.SHARED else (where, *item["loc"])
        name = ".".join(str(part) for part in place if part != "")
        whole = not item["loc"] and item["msg"].startswith(OWN)  # a check of several fields: its input is all of them
        phrase = PHRASES.get(item["type"]) or f"is {item['input']!r}: {item['msg'].removeprefix(OWN)}"
        found.append(f"{name}: {item['msg'].removeprefix(OWN)}" if whole else f"{name} {phrase}")
    return found


class Resolver:
    """What params.yaml says, as the models of stages; what stands in their way is added to `problems`."""

    def __init__(self, whole: Mapping[str, Any]) -> None:
        self.whole = whole
        self.problems: list[str] = []

    def mapping(self, value: Any, where: str) -> dict[str, Any]:
        """A copy of a mapping; an empty one where the value is none."""
        if isinstance(value, Mapping):
            return dict(value)
        self.problems.append(f"{where} is missing" if value is None else f"{where} is {value!r}: write a mapping")
        return {}

    def options(self, of: Of, name: str, given: dict[str, Any]) -> dict[str, Any]:
        """Options of a choice, checked against the keyword-only arguments of its function."""
        fields = choices.option_types(of.folder, name, of.symbol, of.supplied)
        model = create_model("Options", __config__=params.STRICT, **fields)  # type: ignore[call-overload]
        try:
            return model.model_validate(given).model_dump()
        except ValidationError as error:
            takes = ", ".join(fields) or "none"
            found = phrases(error, f"{of.folder}.{name}")
            self.problems += [f"{problem} (the options of {name} are: {takes})" for problem in found]
            return {}

    def choice(self, of: Of, name: Any, where: str, own: Mapping[str, Any]) -> Choice | None:
        """The file that a field names, its options those of params.yaml with a section's `own` over them."""
        try:
            choices.check(of.folder, str(name))
        except UserError as error:
            self.problems.append(f"{where}: {error}")
            return None
        if params.WITH_OPTIONS.get(of.folder) != of.symbol:
            return Choice(of.folder, of.symbol, name)
        shared = self.mapping((self.whole.get(of.folder) or {}).get(name), f"{of.folder}.{name}")
        special = self.mapping(own.get(name, {}), f"options.{name}")
        return Choice(of.folder, of.symbol, name, self.options(of, name, shared | special))

    def model(self, model: type[BaseModel], where: str, values: dict[str, Any]) -> Any:
        """A model from plain values, every choice in it resolved; None where that fails."""
        fields = params.choice_fields(model)
        own = self.mapping(values.pop("options", {}), f"{where}.options") if fields else {}
        legal = {name for of in fields.values() for name in choices.names(of.folder)}
        self.problems += [f"{where}.options.{name} is no choice of this section" for name in own if name not in legal]
        places = {key: key if key in params.SHARED else f"{where}.{key}" for key in fields}
        named = {key: self.choice(of, values[key], places[key], own) for key, of in fields.items() if key in values}
        try:
            return model.model_validate(values | named)
        except ValidationError as error:
            # a choice that could not be resolved has its own problem already
            broken = tuple(f"{places[key]} " for key, value in named.items() if value is None)
            self.problems += [problem for problem in phrases(error, where) if not problem.startswith(broken or "\0")]
            return None

    def network(self, name: str) -> tuple[Network | None, dict[str, dict[str, Any]]]:
        """An entry of `networks`, and its parts; None where it is no good."""
        networks = self.mapping(self.whole.get("networks"), "networks")
        if name not in networks:
            self.problems.append(f"networks has no entry '{name}': choose one of {', '.join(map(str, networks))}")
            return None, {}
        entry = self.mapping(networks[name], f"networks.{name}")
        if not NAME.fullmatch(name):
            self.problems.append(f"networks.{name} becomes the name of files: use letters, digits, _ . and - alone")
        as_it_is = {"train": entry.pop("train")} if entry.get("train") == AS_IT_IS else {}
        self.check_start(f"networks.{name}", entry, bool(as_it_is))
        missing = {"train": {"epochs": 0}} if as_it_is else {}
        parts = {part: missing.get(part) or self.part(entry.pop(part, None), name, part) for part in params.PARTS}
        return self.model(Network, f"networks.{name}", {"name": name, **entry, **as_it_is}), parts

    def part(self, value: Any, name: str, part: str) -> dict[str, Any]:
        """What an entry wants different, a mapping; of train the word none too."""
        if part == "train" and isinstance(value, str):
            where = f"networks.{name}.train is '{value}'"
            self.problems.append(f"{where}: write a mapping of what training wants different, or {AS_IT_IS}")
            return {}
        return self.mapping(value, f"networks.{name}.{part}")

    def check_start(self, where: str, entry: Mapping[str, Any], as_it_is: bool) -> None:
        """Weights that have no head, or no classes by name, are not used as they are; random ones have no classes."""
        weights, named = entry.get("weights"), entry.get("classes") is not None
        if weights == "random" and (as_it_is or named):
            key = f"train is {AS_IT_IS}" if as_it_is else "classes names those of a weight file"
            self.problems.append(f"{where}.{key}, but weights is random: give a weight file with its head")
        elif weights == "pretrained" and as_it_is and not named:
            self.problems.append(
                f"{where}.train is {AS_IT_IS}, but nothing names the classes of the pretrained weights: give classes, a"
                " text file with one name a line in the head's order"
            )

    def lay_over(self, model: type[NetworkParams], where: str, values: dict[str, Any], part: dict[str, Any]) -> None:
        """Put an entry's part over the values of its section."""
        for key, value in part.items():
            if key in params.choice_fields(model):
                self.problems.append(f"{where}.{key} is chosen for all networks at once: choose it in the section")
            elif key not in values:
                self.problems.append(f"{where}.{key} is unknown")
            else:
                values[key] = value

    def stage(self, model: type[StageParams], section: str, network: str | None = None) -> Any:
        """The Params of a stage; None where that fails."""
        own = set(model.model_fields) - {*params.SHARED, "network"}
        values = self.mapping(self.whole.get(section), section) if own else {}
        shared = {key: self.whole[key] for key in params.SHARED if key in model.model_fields and key in self.whole}
        self.problems += [f"{section}.{key} is unknown: it stands at the top" for key in shared if key in values]
        if issubclass(model, NetworkParams):
            entry, parts = self.network(str(network))
            if entry is None:
                return None
            shared["network"] = entry
            if model.part:
                self.lay_over(model, f"networks.{entry.name}.{model.part}", values, parts[model.part])
        return self.model(model, section, values | shared)


def load(model: type[StageParams], section: str, path: Path = Path("params.yaml"), network: str | None = None) -> Any:
    """Read and check what one stage needs; all unknown, missing and mistyped keys are named in one UserError."""
    resolver = Resolver(params.read(path))
    loaded = resolver.stage(model, section, network)
    if resolver.problems:
        raise UserError(f"{path}: {'; '.join(dict.fromkeys(resolver.problems))}")
    return loaded


def check_all(whole: Mapping[str, Any], models: Models) -> list[str]:
    """Every problem of params.yaml: sections, entries of `networks`, choices and options, used or not."""
    resolver = Resolver(whole)
    known = (*params.SHARED, *params.WITH_OPTIONS)
    resolver.problems += [f"{key} is unknown" for key in whole if key not in {*models, *known}]
    resolver.problems += [f"{key} is missing" for key in known if key not in whole]
    networks = list(map(str, resolver.mapping(whole.get("networks", {}), "networks")))
    if networks:
        resolver.problems += check_named(whole, networks)
    else:
        resolver.problems.append("networks is empty: give it at least one entry")
    _check_sections_of_options(resolver, models)
    for section, model in models.items():
        for network in networks if issubclass(model, NetworkParams) else [None]:
            resolver.stage(model, section, network)
    return list(dict.fromkeys(resolver.problems))


def check_named(whole: Mapping[str, Any], networks: list[str]) -> list[str]:
    """Problems of mask_network and features_from: no entries, or two where one was meant.

    Features of another network than that of the maps come from blocks that do not train, so that whoever changes
    `mask_network` alone is told.
    """
    legal = ", ".join(networks)
    named = {key: whole.get(key) for key in ("mask_network", "features_from")}
    unknown = [f"{key} is '{name}': choose one of {legal}" for key, name in named.items() if name not in networks]
    maps, features = map(str, named.values())
    if unknown or maps == features or is_frozen(whole, features):
        return unknown
    return [
        f"features_from is '{features}', whose blocks train as those of mask_network '{maps}' do: choose {maps}, or an"
        " entry with train: none, trainable_blocks: 0 or epochs: 0"
    ]


def is_frozen(whole: Mapping[str, Any], network: str) -> bool:
    """Whether no block of an entry's network trains on the labels; of what is no mapping other checks speak."""
    part = (whole["networks"][network] or {}).get("train")
    if not isinstance(part, Mapping) or not isinstance(whole.get("train_classifier"), Mapping):
        return True
    values = {**whole["train_classifier"], **part}
    return 0 in (values.get("trainable_blocks"), values.get("epochs"))


def origins(whole: Mapping[str, Any]) -> dict[str, str]:
    """Parameters of a legal params.yaml whose value may be a path or an address."""
    weights = {f"networks.{name}.weights": entry["weights"] for name, entry in whole["networks"].items()}
    weights |= {
        f"networks.{name}.classes": entry["classes"]
        for name, entry in whole["networks"].items()
        if entry.get("classes") is not None
    }
    named = {
        "download": ["source"],
        "download_weights": ["perceptual", "reconstruct"],
        "train_segmenter": ["weights"],
    }
    found = weights | {f"{section}.{key}": whole[section][key] for section, keys in named.items() for key in keys}
    options = whole["datasets"].get(whole["data"], {})
    found |= {f"datasets.{whole['data']}.{key}": options[key] for key in FILES_OF_DATA if key in options}
    return {name: origin for name, origin in found.items() if origin not in params.WORDS}


def _check_sections_of_options(resolver: Resolver, models: Models) -> None:
    """Each choice has its line under its folder's name, with what it takes and nothing else."""
    marks = [of for model in models.values() for of in params.choice_fields(model).values()]
    for folder, symbol in params.WITH_OPTIONS.items():
        supplied = tuple(sorted({name for of in marks if of.folder == folder for name in of.supplied}))
        section = resolver.mapping(resolver.whole.get(folder, {}), folder)
        resolver.problems += [f"{folder}.{name} is unknown" for name in section if name not in choices.names(folder)]
        for name in choices.names(folder):
            given = resolver.mapping(section.get(name), f"{folder}.{name}")
            resolver.options(Of(folder, symbol, supplied), name, given)
