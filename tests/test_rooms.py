"""The house: a layer imports only layers before it, files of one layer import each other without a circle, and nothing is
listed twice."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from itertools import combinations
from pathlib import Path

import pytest

from glmm_zoo import registry

PACKAGE = Path(__file__).parents[1] / "glmm_zoo"
LAYERS = (
    "errors",
    "tables",
    "formulas",
    "priors",
    "families",
    "plans",
    "trials",
    "results",
    "graph",
    "inference",
    "joint",
    "estimands",
    "report",
    "builders",
    "registry",
    "refits",
    "calibration",
    "qualification",
    "cli",
)
WITHOUT_PYMC = LAYERS[: LAYERS.index("graph")]
FILES = sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or p.stem not in ("__init__", "__main__"))


def layer_of(module: str) -> str:
    """`graph` of "glmm_zoo.graph.model"."""
    return module.split(".")[1]


def module_of(path: Path) -> str:
    """ "glmm_zoo.graph.model" of the file glmm_zoo/graph/model.py."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(p): p for p in FILES}


def imported(path: Path, *, at_import: bool = False) -> set[str]:
    """Modules that a file imports, wherever in the file, except for type checking.

    `at_import` leaves out what is imported inside functions.
    """
    tree = ast.parse(path.read_text())
    typing_only = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    nodes = tree.body if at_import else [n for n in ast.walk(tree) if id(n) not in typing_only]
    found = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def of_the_zoo(path: Path) -> set[str]:
    return imported(path) & set(MODULES)


def upwards(path: Path, layer: str) -> set[str]:
    """Modules that a file of this layer imports from the layers after it."""
    after = LAYERS[LAYERS.index(layer) + 1 :]
    return {m for m in of_the_zoo(path) if layer_of(m) in after}


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.promise("layers")
def test_imports_only_layers_before_its_own(module: str) -> None:
    assert not upwards(MODULES[module], layer_of(module))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.promise("layers")
def test_files_of_a_layer_import_each_other_without_a_circle(layer: str) -> None:
    own = {m: of_the_zoo(p) - {m} for m, p in MODULES.items() if layer_of(m) == layer}
    TopologicalSorter({m: {i for i in found if i in own} for m, found in own.items()}).prepare()


@pytest.mark.parametrize("module", [m for m in MODULES if layer_of(m) in WITHOUT_PYMC])
def test_no_pymc_is_imported_before_the_input_has_proved_sound(module: str) -> None:
    heavy = {"pymc", "pytensor", "nutpie", "jax"}
    assert not {m.split(".")[0] for m in imported(MODULES[module], at_import=True)} & heavy


def test_every_folder_and_file_is_a_layer() -> None:
    assert {layer_of(m) for m in MODULES} == set(LAYERS)


def test_an_import_of_a_later_layer_is_caught(tmp_path: Path) -> None:
    planted = tmp_path / "data.py"
    planted.write_text("def f():\n    from glmm_zoo.formulas import grammar\n")
    assert upwards(planted, "tables") and not upwards(planted, "families")


def test_a_circle_is_caught() -> None:
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()


def test_builders_are_found_as_files() -> None:
    files = {p.stem for p in (PACKAGE / "builders").glob("*.py")} - {"__init__"}
    assert set(registry.builders()) == files
    aliases = [a for b in registry.builders().values() for a in (b.name, *b.aliases)]
    assert len(aliases) == len(set(aliases)) and not set(aliases) & set(registry.cards())


@pytest.mark.parametrize("name", sorted(registry.builders()))
def test_builder_has_its_docstring_and_function(name: str) -> None:
    builder = registry.builders()[name]
    assert builder.title and "Parameters" in builder.doc and "Raises" in builder.doc
    assert builder.function().__name__ == name
    assert len(builder.table_arguments("data.csv", None)) == len(builder.tables)
    assert registry.example_card(builder).builder.name == name


RUN = 6  # lines; below it two builders are alike, from it on they say the same thing twice


def own_lines(path: Path) -> list[str]:
    """Lines of a builder's file without imports, blank lines and the signature of its function."""
    text = path.read_text()
    tree = ast.parse(text)
    function = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == path.stem)
    outside = set(range(function.lineno, function.body[0].lineno))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            outside |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = [line.strip() for i, line in enumerate(text.splitlines(), 1) if i not in outside]
    return [line for line in lines if line]


def runs(lines: list[str]) -> set[tuple[str, ...]]:
    return {tuple(lines[i : i + RUN]) for i in range(len(lines) - RUN + 1)}


def test_no_two_builders_say_the_same_thing() -> None:
    own = {p.stem: runs(own_lines(p)) for p in sorted((PACKAGE / "builders").glob("[a-z]*.py"))}
    shared = {(a, b): own[a] & own[b] for a, b in combinations(own, 2) if own[a] & own[b]}
    assert not shared, shared


def test_a_run_of_six_lines_is_caught_and_five_are_not() -> None:
    lines = [f"line {i}" for i in range(9)]
    assert runs(["a", *lines[:6], "b"]) & runs(["c", *lines[:6]])
    assert not runs(["a", *lines[:5], "b"]) & runs(["c", *lines[:5], "d"])


# ------------------------------------------------------------------------------------------------------ sizes and names

LONGEST_FILE, LONGEST_FUNCTION = 400, 60  # lines; a function's without its signature and docstring
OF_EVERY_BUILDER, OF_EVERY_FINDING = {"ALIASES"}, {"find", "ALARM", "MEANINGS"}  # what files of one kind have in common


def lengths(path: Path) -> dict[str, int]:
    """Lines of every function of a file, without its signature and its docstring."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            found[node.name] = (node.end_lineno or 0) - first.lineno + 1
    return found


@pytest.mark.parametrize("module", MODULES)
def test_no_file_and_no_function_is_long(module: str) -> None:
    path = MODULES[module]
    assert len(path.read_text().splitlines()) <= LONGEST_FILE
    assert not {name: n for name, n in lengths(path).items() if n > LONGEST_FUNCTION}


@pytest.mark.parametrize(("lines", "caught"), [(LONGEST_FUNCTION, False), (LONGEST_FUNCTION + 1, True)])
def test_a_long_function_is_caught(tmp_path: Path, lines: int, caught: bool) -> None:
    planted = tmp_path / "long.py"
    planted.write_text('def f():\n    """Says so."""\n' + "    x = 1\n" * lines)
    assert any(n > LONGEST_FUNCTION for n in lengths(planted).values()) is caught


def public_names(path: Path) -> set[str]:
    """Functions, classes and constants at the top of a file that have no leading underscore."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_")}


def test_no_two_things_have_one_name() -> None:
    """A command of the command line is called like the function that it calls."""
    homes: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        if layer_of(module) != "cli":
            for name in public_names(path) - OF_EVERY_BUILDER - OF_EVERY_FINDING:
                homes.setdefault(name, []).append(module)
    assert not {name: modules for name, modules in homes.items() if len(modules) > 1}


def test_a_name_given_twice_is_seen(tmp_path: Path) -> None:
    planted = tmp_path / "twice.py"
    planted.write_text("Tensor = int\n\n\ndef read():\n    pass\n\n\nclass Design:\n    pass\n\n\n_own = 1\n")
    assert public_names(planted) == {"Tensor", "read", "Design"}
