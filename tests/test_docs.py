"""The README's console blocks and catalogue table are true; run this file to write them anew."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lossctl.loss.registry import all_losses

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
TABLE = re.compile(r"(<!-- catalogue -->\n).*?(<!-- /catalogue -->)", re.DOTALL)
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Each command of a block with the output printed under it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def output_of(command: str) -> str:
    """What a shell prints for a command, both streams, with this environment's lossctl first."""
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "100"}
    done = subprocess.run(
        ["bash", "-c", f"({command}) 2>&1"], cwd=ROOT, env=env, capture_output=True, text=True
    )
    return done.stdout


def table() -> str:
    """The catalogue as Markdown: one row per family."""
    rows = ["| family | losses |", "|---|---|"]
    families: dict[str, list[str]] = {}
    for loss in all_losses():
        families.setdefault(loss.family, []).append(f"`{loss.name}`")
    rows += [f"| {family} | {', '.join(names)} |" for family, names in families.items()]
    return "\n".join(rows) + "\n"


CASES = [case for block in BLOCK.findall(README.read_text()) for case in commands(block)]


@pytest.mark.parametrize(("command", "expected"), CASES, ids=[c[:60] for c, _ in CASES])
def test_readme_command_prints_what_it_says(command: str, expected: str) -> None:
    assert output_of(command) == expected


def test_readme_has_commands() -> None:
    assert len(CASES) >= 10


def test_catalogue_table_is_current() -> None:
    found = TABLE.search(README.read_text())
    assert found is not None
    assert found.group(0) == f"<!-- catalogue -->\n{table()}<!-- /catalogue -->"


@pytest.mark.parametrize("code", PYTHON.findall(README.read_text()))
def test_readme_python_runs(code: str, tmp_path: Path) -> None:
    file = tmp_path / "example.py"
    file.write_text(code)
    done = subprocess.run([sys.executable, str(file)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


def test_readme_yaml_is_yaml() -> None:
    yaml = pytest.importorskip("yaml")
    github, gitlab, commit = (yaml.safe_load(text) for text in examples("yaml"))
    assert github["jobs"]["gate"]["steps"][-1]["run"].startswith("lossctl gate")
    assert gitlab["gate"]["script"][-1].startswith("lossctl gate")
    assert commit["repos"][0]["hooks"][0]["entry"].startswith("lossctl gate")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_readme_makefile_is_read_by_make(tmp_path: Path) -> None:
    (text,) = examples("make")
    (tmp_path / "Makefile").write_text(text)
    (tmp_path / "gate").touch()  # a file of that name must not stop the gate from being run
    done = subprocess.run(["make", "-n", "gate"], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == "mkdir -p reports && lossctl gate -c lossctl.toml -o reports/gate.json\n"


GATES = sorted(
    {
        line
        for kind in ("yaml", "make")
        for text in examples(kind)
        for line in re.findall(r"lossctl gate -.*", text)
    }
)


@pytest.mark.parametrize("command", GATES)
def test_readme_ci_commands_run(command: str, tmp_path: Path) -> None:
    (tmp_path / "lossctl.toml").write_text(
        f"[data]\nfiles = '{ROOT / 'examples/data/preds.csv'}'\n[[check]]\nspec = 'mae'\nmax = 50\n"
    )
    (tmp_path / "reports").mkdir()
    words = [sys.executable, "-m", *command.split()]
    env = {**os.environ, "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr


def write() -> None:
    text = README.read_text()
    text = BLOCK.sub(
        lambda m: "```console\n" + "".join(f"$ {c}\n{output_of(c)}" for c, _ in commands(m.group(1))) + "```",
        text,
    )
    README.write_text(TABLE.sub(lambda m: m.group(1) + table() + m.group(2), text))


if __name__ == "__main__":
    write()
