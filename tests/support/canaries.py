"""Words that stand nowhere else in the world, and a search for them in every place where the platform could leave one.

A word is looked for as it is (in any case of letters), in hexadecimal, in base64 at each of its three alignments, and
percent-encoded where that differs. `search` says in which places each word was found; a test says where it belongs.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import secrets
import ssl
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import psycopg
import redis

from drishtiksha_devcluster.ephemeral import ThrowawayCluster

Blob = tuple[str, bytes]
"""Where something lies, in a word that is the same in each run, and what lies there."""


def word(kind: str) -> str:
    """A canary: letters and digits only, so that no escaping changes it."""
    return f"Canary{kind.capitalize()}{secrets.token_hex(9)}"


def png(drawn: bytes, text: str) -> bytes:
    """A PNG with a comment in it: bytes that a search can recognise."""
    comment = b"Comment\x00" + text.encode()
    chunk = struct.pack(">I", len(comment)) + b"tEXt" + comment + struct.pack(">I", zlib.crc32(b"tEXt" + comment))
    after_header = 8 + 25
    return drawn[:after_header] + chunk + drawn[after_header:]


def needles(canary: str) -> set[bytes]:
    """All forms in which a word is looked for, in small letters."""
    raw = canary.encode()
    forms = {raw, raw.hex().encode(), quote(canary, safe="").encode()}
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + raw)
        forms.add(whole[4 if shift else 0 : len(whole) // 4 * 4 - 4])
    return {form.lower() for form in forms}


def search(blobs: Iterable[Blob], canaries: dict[str, str]) -> dict[str, set[str]]:
    """In which places each canary (by its name) was found; names that were found nowhere have an empty set."""
    wanted = {name: needles(canary) for name, canary in canaries.items()}
    found: dict[str, set[str]] = {name: set() for name in canaries}
    for place, blob in blobs:
        small = blob.lower()
        for name, forms in wanted.items():
            if any(form in small for form in forms):
                found[name].add(place)
    return found


# -- the places -------------------------------------------------------------------------------------------------------


def columns(database_url: str) -> Iterator[Blob]:
    """Every value of every column of every table: `row TABLE.COLUMN`."""
    query = (
        "SELECT table_schema, table_name, column_name FROM information_schema.columns JOIN information_schema.tables "
        "USING (table_schema, table_name) WHERE table_type = 'BASE TABLE' "
        "AND table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2, 3"
    )
    with psycopg.connect(database_url, autocommit=True) as connection:
        for schema, table, column in connection.execute(query).fetchall():
            values = connection.execute(f'SELECT "{column}"::text FROM "{schema}"."{table}"'.encode()).fetchall()
            yield f"row {table}.{column}", "\n".join(value for (value,) in values if value is not None).encode()
        spoken = connection.execute("SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid()").fetchall()
        yield "statements in pg_stat_activity", "\n".join(said or "" for (said,) in spoken).encode()


def server_folder(database_url: str) -> Path | None:
    """Where a PostgreSQL of ours keeps its data, with its log beside it; None when it is somebody else's."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        found = connection.execute("SHOW data_directory").fetchone()
    folder = Path(found[0]) if found else None
    return folder if folder is not None and (folder.parent / "log").is_file() else None


def heap(database_url: str) -> Iterator[Blob]:
    """The files of this database once dead rows were vacuumed away and all pages written. The WAL is not looked at."""
    folder = server_folder(database_url)
    if folder is None:
        return
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("VACUUM FULL")
        connection.execute("CHECKPOINT")
        found = connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
    assert found is not None
    yield from files(folder / "base" / str(found[0]), "PostgreSQL's files")


def files(root: Path, place: str) -> Iterator[Blob]:
    """Every file below `root`, its path included; gzip is unpacked."""
    for base, _folders, names in os.walk(root):
        for name in names:
            path = Path(base, name)
            try:
                data = path.read_bytes()
            except OSError:  # gone while we walk, or a socket
                continue
            plain = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
            yield place, str(path.relative_to(root)).encode() + b"\n" + plain


def logs(database_url: str, *folders: Path) -> Iterator[Blob]:
    """Every log: of our processes, of the control plane, of the nodes and their pods, of PostgreSQL."""
    for folder in folders:
        for path in folder.rglob("*.log"):
            yield f"log {'pod' if 'pods' in path.parts else path.stem}", path.read_bytes()
    if (server := server_folder(database_url)) is not None:
        yield "log postgres", (server.parent / "log").read_bytes()


def processes() -> Iterator[Blob]:
    """The command lines of all processes of this machine."""
    for process in psutil.process_iter(["cmdline"]):
        yield "command lines", "\0".join(process.info["cmdline"] or []).encode()


def valkey(url: str) -> Iterator[Blob]:
    """All keys of all databases, with what they hold."""
    base = url.rsplit("/", 1)[0]
    with redis.Redis.from_url(base + "/0") as server:
        numbers = [name.removeprefix("db") for name in server.info("keyspace")]
    for number in numbers:
        with redis.Redis.from_url(f"{base}/{number}") as client:
            for key in client.scan_iter():
                yield "Valkey: a key", key
                yield "Valkey: a value", _held(client, key)


def _held(client: redis.Redis, key: bytes) -> bytes:
    kind = client.type(key).decode()
    read: dict[str, Any] = {
        "string": client.get,
        "hash": client.hgetall,
        "list": lambda k: client.lrange(k, 0, -1),
        "set": client.smembers,
        "zset": lambda k: client.zrange(k, 0, -1, withscores=True),
        "stream": client.xrange,
    }
    return repr(read[kind](key)).encode() if kind in read else b""


class Overheard:
    """Everything that anybody says to a Valkey while the block lasts: published, set, asked."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url, socket_timeout=None)
        self._said: list[bytes] = []
        self._over = threading.Event()
        self._listening = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Overheard:
        self._monitor = self._client.monitor().__enter__()
        self._listening.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._client.ping()  # one more command, for the monitor to hear and to end
        self._listening.join(10)
        self._client.close()

    def blobs(self) -> Iterator[Blob]:
        yield "Valkey: a command", b"\n".join(self._said)

    @property
    def published(self) -> int:
        """How many messages were published."""
        return sum(b"publish" in said.lower()[:10] for said in self._said)

    def _listen(self) -> None:
        for said in self._monitor.listen():
            self._said.append(str(said["command"]).encode())
            if self._over.is_set():
                return


def objects_of(cluster: ThrowawayCluster, namespace: str) -> Iterator[Blob]:
    """Every object of a namespace as the API server shows it, Secrets decoded: `object KIND`."""
    listable = cluster.kubectl("api-resources", "--verbs=list", "--namespaced", "-o", "name").split()
    answer = json.loads(cluster.kubectl("-n", namespace, "get", ",".join(sorted(listable)), "-o", "json"))
    for item in answer["items"]:
        labels = json.dumps([item["metadata"].get("labels"), item["metadata"].get("annotations")])
        yield "labels and annotations", labels.encode()
        for value in (item.get("data") or {}).values() if item["kind"] == "Secret" else ():
            yield "object Secret", base64.b64decode(value)
        yield f"object {item['kind']}", json.dumps(item, ensure_ascii=False).encode()


def etcd(cluster: ThrowawayCluster) -> Iterator[Blob]:
    """Every live key of etcd, asked of itself: `etcd KIND`."""
    everything = base64.b64encode(b"\0").decode()
    for pair in _ask_etcd(cluster, "kv/range", {"key": everything, "range_end": everything}).get("kvs", []):
        key = base64.b64decode(pair["key"])
        kind = key.decode(errors="replace").split("/")[2:3]
        yield f"etcd {kind[0] if kind else '?'}", key + b"\n" + base64.b64decode(pair.get("value", ""))


def etcd_files(cluster: ThrowawayCluster) -> Iterator[Blob]:
    """etcd's own file once its history was compacted and its pages were written anew. Its WAL is not looked at."""
    everything = base64.b64encode(b"\0").decode()
    now = _ask_etcd(cluster, "kv/range", {"key": everything, "limit": "1"})["header"]["revision"]
    _ask_etcd(cluster, "kv/compaction", {"revision": now, "physical": True})
    _ask_etcd(cluster, "maintenance/defragment", {})
    yield "etcd's file", (cluster.home / "etcd" / "member" / "snap" / "db").read_bytes()


def _ask_etcd(cluster: ThrowawayCluster, what: str, body: dict[str, Any]) -> dict[str, Any]:
    pki = cluster.home / "pki"
    trust = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    trust.load_cert_chain(str(pki / "etcd-client.crt"), str(pki / "etcd-client.key"))
    with httpx.Client(verify=trust, trust_env=False, timeout=60) as client:
        answer = client.post(f"https://127.0.0.1:{cluster.ports.etcd}/v3/{what}", json=body)
    answer.raise_for_status()
    told: dict[str, Any] = answer.json()
    return told
