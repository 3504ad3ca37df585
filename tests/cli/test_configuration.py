"""`drishtiksha config`: it finds what a process would refuse, and its reference is the code's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drishtiksha import settings
from drishtiksha_cli import configuration
from drishtiksha_cli.reference import duration
from drishtiksha_devcluster import dotenv
from drishtiksha_models.settings import ModelService

ROOT = Path(__file__).resolve().parents[2]
GOOD = f"""
DATABASE_URL=postgresql://drishtiksha:canary-word@db/drishtiksha
REDIS_URL=redis://redis
JWT_SECRET={"s" * 32}
DRISHTIKSHA_SIGNING_KEYS=k1:{"s" * 32}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and an environment without settings."""
    for name in settings.names_of(*settings.GROUPS, ModelService):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("DRISHTIKSHA_SECRETS_DIR", raising=False)
    monkeypatch.setenv("DRISHTIKSHA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_of_the_settings_is_the_one_that_the_code_gives() -> None:
    page = (ROOT / "docs" / "api" / "settings.md").read_text()
    assert page == configuration.reference(), "run drishtiksha config reference > docs/api/settings.md"


def test_every_setting_has_a_line_with_type_default_and_meaning() -> None:
    lines = [line.split(" | ") for line in configuration.reference().splitlines() if line.startswith("| `")]
    told = {name.strip("| `"): rest for name, *rest in lines}
    missing = settings.names_of(*settings.GROUPS, ModelService) - {"NODE_ENV", "DRISHTIKSHA_ENV"} - told.keys()
    assert missing == set()
    assert told["DRISHTIKSHA_ENV` = `NODE_ENV"][0] == "`production` or `development`"
    assert told["DRISHTIKSHA_SWEEP"][:2] == ["duration", "`30s`"]
    assert told["JWT_SECRET"][:2] == ["secret", "**required**"]
    assert told["DRISHTIKSHA_DATABASE_POOL"][0] == "whole number, 1 to 200"
    assert all(rest[-1].strip("| ") for rest in told.values())


@pytest.mark.parametrize("seconds", [1, 90, 120, 3600, 5400, 86400, 172800, 604800, 0.5])
def test_a_duration_is_told_as_one_would_write_it(seconds: float) -> None:
    assert settings.seconds(duration(seconds)) == seconds


def test_good_settings_are_exit_0_and_no_secret_is_shown(folder: Path, drishtiksha: Callable[..., Any]) -> None:
    (folder / ".env").write_text(GOOD)
    code, out, err = drishtiksha("config", "check")
    assert (code, err) == (0, "")
    assert out.endswith("All is well.\n")
    assert str(folder / ".env") in out
    assert "canary-word" not in out


def test_each_fault_is_one_sentence_and_exit_1(folder: Path, drishtiksha: Callable[..., Any]) -> None:
    wrong = "JWT_SECRET=canary-word\nDRISHTIKSHA_SWEEPS=1m\nDRISHTIKSHA_HOST=\nMAX_UPLOAD_BYTE=1\nBCRYPT_ROUNDS=12\n"
    (folder / ".env").write_text(
        GOOD.replace("JWT_SECRET", "# JWT_SECRET") + wrong + "DRISHTIKSHA_RUNNING_DEADLINE=soon\n"
    )
    code, out, _ = drishtiksha("config", "check", "--json")
    found = json.loads(out)
    assert (code, found["ok"]) == (1, False)
    assert len(found["faults"]) == 4, "a setting that two groups read is told once"
    unknown, slip, secret, clock = found["faults"]
    assert unknown.startswith("unknown setting DRISHTIKSHA_SWEEPS: ")
    assert unknown.endswith("did you mean DRISHTIKSHA_SWEEP?")
    assert slip.endswith(
        "unknown setting MAX_UPLOAD_BYTE: check the spelling, or remove it; did you mean MAX_UPLOAD_BYTES?"
    )
    assert secret.startswith("JWT_SECRET: must have at least 32 bytes")
    assert clock.startswith("DRISHTIKSHA_RUNNING_DEADLINE: ")
    assert found["notes"][0] == "BCRYPT_ROUNDS is no longer used: passwords are hashed with argon2id"
    assert "canary-word" not in out


def test_what_up_has_made_is_well_and_what_it_brings_is_no_fault(folder: Path, drishtiksha: Callable[..., Any]) -> None:
    dotenv.make(folder / ".env")
    code, out, _ = drishtiksha("config", "check", "--json")
    found = json.loads(out)
    assert (code, found["faults"]) == (0, [])
    assert [note.partition(" ")[0] for note in found["notes"]] == ["DATABASE_URL", "REDIS_URL"]
    (folder / ".env").write_text(GOOD.replace("REDIS_URL", "# REDIS_URL"))
    assert "wrong  REDIS_URL is not set" in drishtiksha("config", "check")[1]


def test_the_operators_file_is_looked_at_through_its_setting_and_by_its_own_name(
    folder: Path, drishtiksha: Callable[..., Any]
) -> None:
    (folder / "config.yaml").write_text("services:\n  - name: gpu\n    url: http://gpu:8000\n    apiKeyFrom: GPU_KEY\n")
    (folder / ".env").write_text(GOOD + "DRISHTIKSHA_CONFIG=config.yaml\n")
    code, out, _ = drishtiksha("config", "check")
    assert code == 1
    assert "gpu takes its key from GPU_KEY, which is not set" in out
    (folder / "secrets").mkdir()
    (folder / "secrets" / "GPU_KEY").write_text("k")
    (folder / "more.env").write_text("")
    assert drishtiksha("config", "check", "config.yaml")[0] == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRISHTIKSHA_SECRETS_DIR", str(folder / "secrets"))
        assert drishtiksha("config", "check")[0] == 0
        assert drishtiksha("config", "check", "config.yaml")[0] == 0
    (folder / "config.yaml").write_text("model: {}\n")
    code, out, _ = drishtiksha("config", "check", "config.yaml")
    assert (code, out.splitlines()[-1]) == (1, "wrong  config.yaml: model: Extra inputs are not permitted")
    (folder / "config.yaml").unlink()
    assert "DRISHTIKSHA_CONFIG: config.yaml cannot be read" in drishtiksha("config", "check")[1]


def test_the_example_of_the_operators_file_is_well(folder: Path, drishtiksha: Callable[..., Any]) -> None:
    assert drishtiksha("config", "check", str(ROOT / "drishtiksha.example.yaml"))[0] == 0


def test_a_process_is_asked_only_for_what_it_reads(folder: Path, drishtiksha: Callable[..., Any]) -> None:
    (folder / ".env").write_text(GOOD.replace("JWT_SECRET", "# JWT_SECRET"))
    assert drishtiksha("config", "check", "--process", "door", "--process", "operator")[0] == 0
    assert drishtiksha("config", "check", "--process", "api")[0] == 1
    code, out, err = drishtiksha("config", "check", "--process", "dor")
    assert (code, out) == (2, "")
    assert "--process dor: there are api, door, operator, migrate, verify, modelserver" in err
    assert drishtiksha("config", "check", "nowhere.env")[0] == 2


def test_a_secrets_folder_that_is_not_there_is_a_fault(
    folder: Path, drishtiksha: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text(GOOD)
    monkeypatch.setenv("DRISHTIKSHA_SECRETS_DIR", str(folder / "absent"))
    code, out, _ = drishtiksha("config", "check")
    assert code == 1
    assert "absent is no folder that can be read; mount it, or unset it" in out
