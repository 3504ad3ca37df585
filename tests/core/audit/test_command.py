"""`drishtiksha verify` as a person runs it against the settings of the environment: words, JSON, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: x
contexts: [{name: x, context: {cluster: x, user: x}}]
clusters: [{name: x, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: x, user: {token: t}}]
"""


def verify(url: str, folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DRISHTIKSHA_")}
    environment |= {"DATABASE_URL": url, "LOCAL_STORAGE_PATH": str(folder), "COLUMNS": "200", **more}
    command = [sys.executable, "-m", "drishtiksha_cli.main", "verify", "--patience", "0", *words]
    return subprocess.run(
        command, check=False, env=environment, cwd=folder, capture_output=True, text=True, timeout=120
    )


async def test_words_json_and_exit_codes(empty, tmp_path: Path) -> None:
    media = await empty.upload(await empty.stores.user())
    clean = verify(empty.url, tmp_path, "--without", "kubernetes", "--deep")
    assert (clean.returncode, clean.stderr) == (0, "")
    assert clean.stdout.startswith("✓ All ")
    with psycopg.connect(empty.url) as connection:
        connection.execute("DELETE FROM image_metadata")
    empty.objects.path(media.object_key).unlink()
    red = verify(empty.url, tmp_path, "--without", "kubernetes", "--json")
    assert red.returncode == 1
    told = json.loads(red.stdout)
    named = [(v["check"], v["id"]) for v in told["violations"]]
    assert named == [("media-metadata", str(media.id)), ("media-bytes", str(media.id))]


@pytest.mark.parametrize(
    ("words", "more", "code", "sentence"),
    [
        (("--without", "kubernetes"), {"DATABASE_URL": "postgresql://x@127.0.0.1:9/x"}, 4, "The database does not answer"),
        (("--without", "objects"), {"KUBECONFIG": "nothing.yaml"}, 2, "KUBECONFIG: nothing.yaml is not a usable"),
        (("--without", "objects"), {"KUBECONFIG": "dead.yaml"}, 4, "The Kubernetes API at http://127.0.0.1:9 cannot"),
        (("--home", "nowhere"), {}, 1, "there is no platform in"),
    ],
)  # fmt: skip
def test_who_does_not_answer_is_named(tmp_path: Path, words, more, code: int, sentence: str) -> None:
    (tmp_path / "dead.yaml").write_text(KUBECONFIG)
    said = verify("postgresql://x@127.0.0.1:9/x", tmp_path, *words, **more)
    assert (said.returncode, said.stdout) == (code, "")
    assert sentence in said.stderr
    assert "Traceback" not in said.stderr


def test_a_weight_in_the_operators_file_is_seen(tmp_path: Path) -> None:
    from drishtiksha.audit.places import _weighted

    file = tmp_path / "config.yaml"
    for text, weighted in (
        ("services: []\n", False),
        ("models: {defaults: {weight: 1}}\n", False),
        ("models: {overrides: [{match: 'X*', weight: 2}]}\n", True),
        ("models: {defaults: {weight: 0.5}}\n", True),
    ):
        file.write_text(text)
        assert _weighted(file) is weighted
    assert not _weighted(None)
