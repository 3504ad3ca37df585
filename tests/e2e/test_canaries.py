"""Erasure proven by canaries, on whole processes: words that stand nowhere else are looked for in every place there is.

While the media lives each word is found where it belongs (so the search works) and nowhere else; after the deletion
nowhere at all. What stays is what the account holds, while it lives.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from canaries import (
    Blob,
    Overheard,
    columns,
    etcd,
    etcd_files,
    files,
    heap,
    logs,
    objects_of,
    png,
    processes,
    search,
    valkey,
    word,
)
from figures import Claim, Table, record
from world import Person, World, wait_for

from drishtiksha.signing import SigningKeys

pytestmark = [pytest.mark.kill, pytest.mark.timeout(600)]

SECRETS = {"JWT secret": "JWT_SECRET", "signing key": "DRISHTIKSHA_SIGNING_KEYS", "ML key": "SERVER_API_KEY"}
THE_ACCOUNT = {
    "e-mail": {"row users.email"},
    "first name": {"row users.first_name"},
    "last name": {"row users.last_name"},
}
"""What belongs to the account, not to a media."""
STAYS = {name: {*places, "PostgreSQL's files"} for name, places in THE_ACCOUNT.items()}
"""What is left after a deletion, while the account lives."""
KNOWN_BY_ID = {
    *(
        "row media.id",
        "PostgreSQL's files",
        "etcd drishtiksha.io",
        "etcd pods",
        "etcd's file",
        "object MediaAnalysis",
        "object Pod",
    ),
    *("labels and annotations", "log api", "log operator", "log pod", "Valkey: a command", "command lines"),
}
"""Places where ids are found: so they are seen to be read."""
IN_SECRETS = {"object Secret", "etcd secrets"}
BELONGS: dict[str, set[str]] = THE_ACCOUNT | {
    "file name": {"row media.filename"},
    "description": {"row media.description"},
    "media bytes": {"objects"},
    "file name, being examined": {"row media.filename"},
    "media bytes, being examined": {"objects", "scratch of pods"},
    "model's note": {"row analyses.note", "objects"},
    "model's refusal": {
        *("row analyses.error_message", "row analysis_errors.error_message", "row analysis_errors.server_response"),
        *("row attempts.message", "row events.payload", "object MediaAnalysis", "etcd drishtiksha.io"),
    },
    "reason of a rerun": {"row analysis_runs.requested_reason"},
    "password": set(),
    "token": set(),
    "attempt's token": IN_SECRETS,
    "JWT secret": set(),
    "signing key": set(),
    "ML key": IN_SECRETS,
}


@pytest.fixture(scope="module")
def canaries() -> dict[str, str]:
    return {
        name: word(name.title().replace(" ", "").replace("-", "").replace("'", "").replace(",", "")) for name in BELONGS
    }


@pytest.fixture(scope="module")
def world(new_world: Callable[..., World], canaries: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> World:
    settings = {SECRETS[name]: (canaries[name] * 2)[:64] for name in SECRETS}
    settings["DRISHTIKSHA_SIGNING_KEYS"] = "k1:" + settings["DRISHTIKSHA_SIGNING_KEYS"]
    made = new_world(script=script(canaries), settings=settings)
    temporary = tmp_path_factory.mktemp("temporary")
    for running in made.processes.values():
        env = {**running.spec.env, "TMPDIR": str(temporary)}
        running.spec = dataclasses.replace(running.spec, env=env)
    made.start()
    return made


def script(canaries: dict[str, str], seconds: float = 0.0) -> dict[str, Any]:
    return {
        "GOOD-V1": {"fake": 0.9, "note": canaries["model's note"], "seconds": seconds},
        "BAD-V1": {"do": "bad-media", "words": canaries["model's refusal"]},
    }


@dataclasses.dataclass
class Everywhere:
    """All places, and how many of them there were."""

    world: World
    heard: Overheard
    looked_at: int = 0

    def blobs(self, *, deep: bool = False) -> Iterator[Blob]:
        """`deep`: the files of PostgreSQL and etcd too, once their old versions were cleared away."""
        world, home = self.world, self.world.cluster.home
        kinds: set[str] = set()
        sources = [
            columns(world.database_url),
            files(world.folder / "objects", "objects"),
            files(home / "pods", "scratch of pods"),
            files(Path(world["api"].spec.env["TMPDIR"]), "temporary files"),
            valkey(world.wiring.redis_url),
            self.heard.blobs(),
            objects_of(world.cluster, world.namespace),
            etcd(world.cluster),
            logs(world.database_url, world.folder, home / "logs"),
            processes(),
        ]
        if deep:
            sources += [heap(world.database_url), etcd_files(world.cluster)]
        for source in sources:
            for place, blob in source:
                kinds.add(place)
                yield place, blob
        self.looked_at = len(kinds)


def sign_up(world: World, canaries: dict[str, str]) -> Person:
    """An account of these words; somebody else tries the same address, and somebody a wrong password."""
    person = world.person()
    canaries["e-mail"] = person.email.partition("@")[0]
    canaries["token"] = person.token.rpartition(".")[2]
    names = {"firstName": canaries["first name"], "lastName": canaries["last name"]}
    assert person.http.put("/auth/profile", json=names).status_code == 200
    again = {"email": person.email.upper(), "password": canaries["password"], **names}
    assert person.http.post("/auth/signup", json=again).status_code == 409
    wrong = {"email": person.email, "password": canaries["password"]}
    assert person.http.post("/auth/login", json=wrong).status_code == 401
    changed = {"currentPassword": "correct horse", "newPassword": canaries["password"]}
    assert person.http.put("/auth/profile/password", json=changed).status_code == 200
    return person


def upload(person: Person, drawn: bytes, name: str, text: str, description: str) -> str:
    files = {"file": (f"{name}.png", png(drawn, text))}
    answer = person.http.post("/media", files=files, data={"description": description})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["data"]["id"])


def test_i10_every_word_of_a_person_is_where_it_belongs_and_after_the_erasure_nowhere(
    world: World, canaries: dict[str, str], demo_media: dict[str, Any]
) -> None:
    drawn = demo_media["picture"].path.read_bytes()
    person = sign_up(world, canaries)
    with Overheard(world.wiring.redis_url) as heard:
        places = Everywhere(world, heard)

        # One media has been examined twice; another one is just being examined.
        first = upload(person, drawn, canaries["file name"], canaries["media bytes"], canaries["description"])
        assert person.wait(first)["status"] == "PARTIALLY_ANALYZED"
        again = person.http.post(f"/media/{first}/analyze", json={"reason": canaries["reason of a rerun"]})
        assert again.status_code == 202, again.text
        link = person.wait(first, run=2)["url"]
        assert canaries["media bytes"].encode() in person.http.get(link, headers={"Authorization": ""}).content
        world.script(script(canaries, seconds=240))
        name, text = canaries["file name, being examined"], canaries["media bytes, being examined"]
        second = upload(person, drawn, name, text, "")
        being = {"media bytes, being examined": text}
        pods = world.cluster.home / "pods"
        wait_for(
            "a runner to have fetched the bytes",
            lambda: search(files(pods, "pods"), being)["media bytes, being examined"],
        )
        ((attempt,),) = world.sql(
            "SELECT t.id FROM attempts t JOIN analyses a ON a.id = t.analysis_id "
            "WHERE a.media_id = %s AND a.model = 'GOOD-V1'",
            second,
        )
        signing = SigningKeys(world.wiring.settings["DRISHTIKSHA_SIGNING_KEYS"])
        canaries["attempt's token"] = signing.attempt_token(attempt).rpartition(".")[2]
        wait_for("the refusal of the second", lambda: person.media(second)["analyses"][0]["status"] == "FAILED")
        before = search(places.blobs(), canaries)
        ids = {
            "first": first,
            "second": second,
            "attempt": str(attempt),
            "namespace": world.namespace,
            "user": person.id,
        }
        read = set().union(*search(places.blobs(deep=True), ids).values())

        # Both are deleted; the two minutes of a tombstone are let pass.
        for media in (first, second):
            assert person.http.delete(f"/media/{media}").status_code == 200
        assert person.http.get(link, headers={"Authorization": ""}).status_code == 404
        until_gone(world)
        after = search(places.blobs(deep=True), canaries)

    # The platform has no route that ends an account: whoever runs it removes the row, and all that hangs on it.
    world.sql("DELETE FROM users WHERE id = %s RETURNING id", person.id)
    ended = search(columns(world.database_url), canaries)
    figures(canaries, before, after, ended, places)
    assert heard.published > 0, "Valkey is not heard"
    assert read >= KNOWN_BY_ID, "these places were not read"
    assert before == BELONGS
    assert after == {name: STAYS.get(name, set()) for name in canaries}
    assert ended == {name: set() for name in canaries}


def until_gone(world: World) -> None:
    """Make the tombstones old, and wait for rows and objects of the cluster to go."""

    def rows_are_gone() -> bool:
        with psycopg.connect(world.database_url, autocommit=True) as owner:
            owner.execute("SET session_replication_role = replica")  # a tombstone does not change otherwise
            owner.execute(
                "UPDATE media SET deleted_at = deleted_at - interval '5 min' WHERE deleted_at > now() - interval '5 min'"
            )
            owner.execute(
                "UPDATE outbox SET next_try_at = now() WHERE kind = 'erase' AND next_try_at > now() + interval '5 s'"
            )
        return not world.sql("SELECT 1 FROM media")

    wait_for("the rows to go", rows_are_gone, 180)
    wait_for(
        "the cluster to forget", lambda: not world.kubectl("get", "ma,jobs,pods,secrets", "-o", "name").split(), 180
    )


def figures(
    canaries: dict[str, str],
    before: dict[str, set[str]],
    after: dict[str, set[str]],
    ended: dict[str, set[str]],
    places: Everywhere,
) -> None:
    astray = sum(len(before[name] - BELONGS[name]) for name in canaries)
    missed = sum(len(BELONGS[name] - before[name]) for name in canaries)
    left = sum(len(after[name] - STAYS.get(name, set())) for name in canaries)
    record(
        "erasure",
        "Erasure, proven by canaries",
        "DRISHTIKSHA_WRITE_FIGURES=1 make test-kill",
        [
            Claim(
                "words of a person found where they belong, before the deletion",
                "all: the search is shown to work",
                f"{sum(map(len, BELONGS.values())) - missed} of {sum(map(len, BELONGS.values()))} places of {len(canaries)} words",
                missed == 0,
                "a place that was not read to its end: ids that must be there were missed",
            ),
            Claim(
                "found where they never belong (labels, objects of the cluster, logs, Valkey, command lines)",
                "0",
                str(astray),
                astray == 0,
                "the file name in the log of an upload; the ML service's words in the runner's log (seen by test_erasure.py, test_run.py)",
            ),
            Claim(
                f"left after the erasure, in {places.looked_at} kinds of places",
                "0",
                f"{left}; the account keeps its own address and names",
                left == 0,
                "an erasure that leaves the bytes; events that go on telling; a tombstone that keeps the name (seen by tests/api/test_erasure.py)",
            ),
            Claim(
                "left in the rows after the account's row was removed",
                "0",
                str(sum(map(len, ended.values()))),
                not any(ended.values()),
                "the same search finds them before",
            ),
        ],
        words=(
            "Looked at: every column of every table, PostgreSQL's files after VACUUM FULL, every file of the object store, every "
            "live key of etcd and its file after compaction, all objects of the namespace, every key of Valkey and every command "
            "that it was given, all logs (processes, control plane, nodes, pods, PostgreSQL), temporary files, the pods' folders, "
            "all command lines. Not looked at: the write-ahead logs of PostgreSQL and etcd, and free blocks of the disk."
        ),
        table=Table(
            ["word", "found before", "found after"],
            [
                [name, ", ".join(sorted(before[name])) or "–", ", ".join(sorted(after[name])) or "–"]
                for name in canaries
            ],
        ),
    )
