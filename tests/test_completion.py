"""Shell completion: the scripts for each shell, and what they are answered."""

import sys

import pytest

import lrrec
from lrrec.models import by_command_name

COMMANDS = {"demo", "data", "fit", "evaluate", "benchmark", "adapt", "recommend", "info", "warmup"}


@pytest.fixture(autouse=True)
def started_as_lrrec(monkeypatch):
    """As the installed command, and not as a module of pytest's."""
    monkeypatch.setattr(sys.modules["__main__"], "__package__", None)


@pytest.fixture
def complete(run, monkeypatch):
    """What the last of some words may be, as bash is told."""

    def complete(*words):
        monkeypatch.setenv("_LRREC_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", " ".join(["lrrec", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        code, out, err = run()
        assert (code, err) == (0, "")
        return {line.strip() for line in out.splitlines()} - {""}

    return complete


def test_commands_options_models_and_data_sets_are_completed(complete):
    assert complete("re") == {"recommend"}
    assert complete("") >= COMMANDS
    assert complete("data", "li") == {"list"}
    assert complete("fit", "--half") == {"--half-life"}
    assert complete("fit", "--model", "") == set(by_command_name())
    assert complete("fit", "-m", "sv") == {"svd"}
    assert complete("fit", "ml-1") == {name for name in lrrec.datasets.names() if name.startswith("ml-1")}
    assert complete("fit", "ratings.c") == set()  # bash then completes names of files


@pytest.mark.parametrize(("shell", "words"), [
    ("bash", "complete -o default -F _lrrec_completion lrrec"),
    ("zsh", "#compdef lrrec"),
    ("fish", "complete --command lrrec"),
])  # fmt: skip
def test_there_is_a_script_for_each_shell(shell, words, run, monkeypatch):
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")  # the shell is then an argument
    code, out, _ = run("--show-completion", shell)
    assert code == 0
    assert words in out
    assert "_LRREC_COMPLETE" in out


def test_the_script_is_installed_for_the_user(run, monkeypatch, tmp_path):
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    code, out, err = run("--install-completion", "bash")
    assert code == 0, err
    assert "bash completion installed" in out
    written = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert any("_lrrec_completion" in text for text in written)


def test_help_names_completion_and_documentation(run):
    out = " ".join(run("--help")[1].replace("│", " ").split())
    assert "--install-completion" in out
    assert "docs/start.md" in out
    assert "lrrec COMMAND --help" in out
