"""Each command, by its words: what it prints where, and the exit code that says how it went."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_samples import ID, analysis, media, verdict
from typer.testing import CliRunner

from drishtiksha_cli import main, tokens

COMMANDS = (
    "demo", "signup", "login", "logout", "analyze", "list", "show", "watch", "rerun", "cancel", "delete", "models", "up",
    "down", "restart", "status", "logs", "dev", "doctor", "verify", "db", "config",
)  # fmt: skip
REFUSED = {"code": "UNSUPPORTED_TYPE", "message": "Unsupported file type: 'text/plain'."}


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)])
def test_help_is_there_for_the_whole_and_for_each_command(words: list[str]) -> None:
    result = CliRunner().invoke(main.app, [*words, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    assert "Usage:" in result.output
    assert max(len(line) for line in result.output.splitlines()) <= 80
    if not words:
        assert all(f"  {name} " in result.output for name in (*COMMANDS, "kubectl"))
        assert "..." not in result.output.partition("Commands:")[2], "a command's first sentence is too long"
        assert "Exit codes:" in result.output


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['drishtiksha', '--help']\n"
        "from drishtiksha_cli import main\n"
        "try: main.main()\nexcept SystemExit: pass\n"
        "heavy = ('httpx', 'socketio', 'rich.table', 'numpy', 'av', 'PIL', 'pydantic', 'psycopg', 'aiohttp', 'requests')\n"
        "print([name for name in (*heavy, 'drishtiksha_devcluster', 'drishtiksha') if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.strip() == "[]"
    assert "Usage:" in done.stdout


def test_no_words_and_wrong_words_are_wrong_usage(drishtiksha: Callable[..., Any]) -> None:
    assert drishtiksha()[0] == 2
    code, out, err = drishtiksha("analise")
    assert (code, out) == (2, "")
    assert "No such command 'analise'" in err


def test_login_keeps_the_token_and_says_where_and_logout_ends_it(api: Any, drishtiksha: Callable[..., Any]) -> None:
    api.answers["POST /auth/login"] = [(200, {"token": "new-token"})]
    api.answers["POST /auth/logout"] = [(200, None)]
    code, out, _ = drishtiksha("login", "--email", "a@b.c", "--password", "secret")
    assert code == 0
    assert "as a@b.c" in out
    assert "secret" not in out
    assert "new-token" not in out
    assert tokens.load(api.url) == "new-token"
    assert drishtiksha("logout")[:2] == (0, "Logged out.\n")
    assert tokens.load(api.url) is None
    assert api.asked[-1][1]["Authorization"] == "Bearer new-token"
    assert drishtiksha("logout")[:2] == (0, "You were not logged in.\n")


def test_signup_asks_on_standard_error_for_what_is_missing(
    api: Any, drishtiksha: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    api.answers["POST /auth/signup"] = [(201, {"token": "new-token"})]
    monkeypatch.setenv("DRISHTIKSHA_PASSWORD", "secret-word")
    monkeypatch.setattr(sys, "stdin", io.StringIO("a@b.c\nAda\nLovelace\n"))
    code, out, err = drishtiksha("signup")
    assert code == 0
    assert json.loads(api.asked[0][2]) == {
        "email": "a@b.c", "firstName": "Ada", "lastName": "Lovelace", "password": "secret-word"
    }  # fmt: skip
    assert out.strip().startswith("Logged in at ")
    assert [word in err for word in ("E-mail", "First name", "Last name", "Password")] == [True, True, True, False]


def test_where_nobody_answers_a_question_the_option_is_named(
    api: Any, drishtiksha: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    code, out, err = drishtiksha("login")
    assert (code, out.strip()) == (2, "")
    assert err.splitlines()[-1] == "drishtiksha: nobody answered; give it with --email"
    assert api.asked == []


@pytest.mark.parametrize("words", [["list"], ["show", ID], ["watch"], ["analyze", __file__]])
def test_who_is_not_logged_in_is_told_so_before_anything_is_sent(
    api: Any, drishtiksha: Callable[..., Any], words: list[str]
) -> None:
    code, out, err = drishtiksha(*words)
    assert (code, out) == (3, "")
    assert err == "drishtiksha: You are not logged in. Try: drishtiksha login, or drishtiksha signup.\n"
    assert api.asked == []


def test_a_login_that_has_ended_is_exit_3(logged_in: Any, drishtiksha: Callable[..., Any]) -> None:
    logged_in.answers["GET /media"] = [(401, {"code": "TOKEN_EXPIRED", "message": "Invalid token"})]
    assert drishtiksha("list") == (3, "", "drishtiksha: Your login has ended. Try: drishtiksha login\n")


def test_an_api_that_is_away_is_exit_4(
    api: Any, drishtiksha: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drishtiksha_cli.client.TRIES", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{taken.getsockname()[1]}"
        tokens.save(base, "a@b.c", "t")
        code, out, err = drishtiksha("login", "--api", base, "--email", "a@b.c", "--password", "x")
    assert (code, out) == (4, "")
    assert err.startswith(f"drishtiksha: The API at {base} cannot be reached (")


def test_an_unknown_id_and_a_refused_type_are_exit_5_with_the_servers_sentence(
    logged_in: Any, drishtiksha: Callable[..., Any], tmp_path: Path
) -> None:
    code, _, err = drishtiksha("show", "nope")
    assert (code, err) == (5, "drishtiksha: Media not found. Yours are listed by: drishtiksha list\n")
    (tmp_path / "notes.txt").write_text("words")
    logged_in.answers["POST /media"] = [(415, REFUSED)]
    code, out, err = drishtiksha("analyze", str(tmp_path / "notes.txt"))
    assert (code, out, err) == (5, "", "drishtiksha: notes.txt: Unsupported file type: 'text/plain'.\n")


def test_a_file_that_is_not_there_is_wrong_usage_and_the_others_are_not_sent(
    logged_in: Any, drishtiksha: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"a")
    code, _, err = drishtiksha("analyze", str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4"))
    assert (code, err) == (2, f"drishtiksha: {tmp_path / 'b.mp4'}: there is no such file\n")
    code, _, err = drishtiksha("analyze", str(tmp_path))
    assert (code, err) == (2, f"drishtiksha: {tmp_path}: this is no file\n")
    assert drishtiksha("demo", str(tmp_path / "b.mp4"))[0] == 2
    assert logged_in.asked == []


def test_when_a_later_file_is_refused_the_accepted_ones_are_named(
    logged_in: Any, drishtiksha: Callable[..., Any], tmp_path: Path
) -> None:
    for name in ("a.mp4", "b.txt"):
        (tmp_path / name).write_bytes(b"a")
    logged_in.answers["POST /media"] = [(202, media("QUEUED", filename="a.mp4")), (415, REFUSED)]
    code, _, err = drishtiksha("analyze", str(tmp_path / "a.mp4"), str(tmp_path / "b.txt"))
    assert code == 5
    assert f"drishtiksha watch {ID}   # a.mp4" in err
    assert "b.txt: Unsupported" in err


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (media("ANALYZED", analysis()), 0),
        (media("PARTIALLY_ANALYZED", analysis(), analysis("TWO-V1", "FAILED", errorClass="CRASHED")), 1),
        (media("FAILED", analysis(status="FAILED", errorClass="CRASHED"), reason="CRASHED"), 1),
    ],
)
def test_analyze_ends_0_only_when_all_was_analyzed_and_json_is_nothing_but_json(
    logged_in: Any, drishtiksha: Callable[..., Any], tmp_path: Path, ended: dict[str, Any], code: int
) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"a")
    logged_in.answers["POST /media"] = [(202, media("QUEUED"))]
    logged_in.answers[f"GET /media/{ID}"] = [(200, ended)]
    got, out, _ = drishtiksha("analyze", "--json", str(tmp_path / "clip.mp4"))
    assert (got, json.loads(out)) == (code, [ended])
    got, out, _ = drishtiksha("analyze", str(tmp_path / "clip.mp4"))
    assert got == code
    assert "clip.mp4: examined" in out or "clip.mp4: failed" in out


def test_without_watching_the_upload_alone_decides(
    logged_in: Any, drishtiksha: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"a")
    logged_in.answers["POST /media"] = [(202, media("QUEUED"))]
    code, out, _ = drishtiksha("analyze", "--no-watch", str(tmp_path / "clip.mp4"))
    assert (code, out) == (0, f"{ID}  clip.mp4: accepted. Follow it: drishtiksha watch {ID}\n")
    code, out, _ = drishtiksha("analyze", "--no-watch", "--json", str(tmp_path / "clip.mp4"))
    assert json.loads(out) == [media("QUEUED")]
    assert {what for what, _, _ in logged_in.asked} == {"POST /media"}


def test_list_and_show_print_tables_or_json(logged_in: Any, drishtiksha: Callable[..., Any]) -> None:
    one = media("ANALYZED", analysis(), verdict=verdict("FAKE", "DECLARED", None, "ONE-V1"))
    logged_in.answers["GET /media"] = [(200, [one])]
    logged_in.answers[f"GET /media/{ID}"] = [(200, one)]
    code, out, _ = drishtiksha("list")
    assert code == 0
    assert all(word in out for word in (ID, "clip.mp4", "VIDEO", "371.3 KiB", "ANALYZED", "FAKE (declared)"))
    assert json.loads(drishtiksha("list", "--json")[1]) == [one]
    assert json.loads(drishtiksha("show", ID, "--json")[1]) == one
    assert "FAKE. The file itself declares it (ONE-V1)." in drishtiksha("show", ID)[1]
    logged_in.answers["GET /media"] = [(200, [])]
    assert drishtiksha("list")[1] == "Nothing yet. Try: drishtiksha analyze FILE\n"
    assert drishtiksha("watch")[:2] == (0, "Nothing is being examined.\n")


def test_watch_without_an_id_follows_what_is_not_final(logged_in: Any, drishtiksha: Callable[..., Any]) -> None:
    logged_in.answers["GET /media"] = [(200, [media("PROCESSING"), media("ANALYZED", id="done")])]
    logged_in.answers[f"GET /media/{ID}"] = [
        (200, media("PROCESSING", analysis(status="PROCESSING"))), (200, media("ANALYZED", analysis()))
    ]  # fmt: skip
    code, out, _ = drishtiksha("watch")
    assert code == 0
    assert out.splitlines()[:4] == [
        "clip.mp4: being examined",
        "clip.mp4: ONE-V1: examining",
        "clip.mp4: ONE-V1: INCONCLUSIVE",
        "clip.mp4: examined by all models",
    ]


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for before, after in (("", "127.0.0.1,localhost"), ("x.org", "x.org,127.0.0.1,localhost"), ("*", "*")):
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.setenv("NO_PROXY", before)
        main.spare_loopback()
        assert os.environ["NO_PROXY"] == after


def test_a_demo_whose_platform_cannot_come_up_is_one_sentence(drishtiksha: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("JWT_SECRETT=x\n")
    code, out, err = drishtiksha("demo", "--home", str(tmp_path))
    assert code == 1
    assert "settings" in out
    assert err == (
        f"drishtiksha: {tmp_path / '.env'}: unknown setting JWT_SECRETT: check the spelling, or remove it\n"
    )  # fmt: skip


def test_ctrl_c_in_the_demo_is_130_and_says_what_goes_on(
    drishtiksha: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drishtiksha_devcluster import platform

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(platform, "up", interrupted)
    code, _, err = drishtiksha("demo", "--home", str(tmp_path))
    assert code == 130
    assert "What has been started keeps running: drishtiksha status · drishtiksha down" in err
