"""Forged tokens, by the ten thousand: none is taken, and none is answered with anything but a refusal."""

from __future__ import annotations

import base64
import json
import random
import time
import uuid
from datetime import UTC, datetime

import jwt
import pytest

from drishtiksha_api.problems import Problem
from drishtiksha_api.tokens import Claims, Tokens

SECRET = "s" * 40
TOKENS = Tokens(SECRET, 3600)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=.+/ \x00é"


def minted() -> str:
    now = datetime.now(UTC)
    return TOKENS.mint(
        user_id=uuid.uuid4(), email="a@b.c", role="USER", generation=0, session_id=uuid.uuid4(), now=now
    )  # fmt: skip


def read(token: str) -> Claims | str:
    """What the token proves, or the code of the refusal. Any other error is a bug."""
    try:
        return TOKENS.read(token)
    except Problem as problem:
        return problem.code if problem.status == 401 else f"status {problem.status}"


def mutated(token: str, dice: random.Random) -> str:
    """One to three edits: a letter changed, dropped, put in; a part swapped, doubled, left out."""
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(token) + 1)
        parts = token.split(".")
        match dice.randrange(6):
            case 0 | 1:
                token = token[:at] + dice.choice(LETTERS) + token[at + 1 :]
            case 2:
                token = token[:at] + token[at + 1 :]
            case 3:
                token = token[:at] + dice.choice(LETTERS) + token[at:]
            case 4:
                dice.shuffle(parts)
                token = ".".join(parts)
            case _:
                token = ".".join(parts[:-1] if dice.random() < 0.5 else [*parts, parts[-1]])
    return token


def tried(count: int, seed: int) -> None:
    dice, good = random.Random(seed), minted()
    proven = read(good)
    assert isinstance(proven, Claims)
    refused = 0
    for _ in range(count):
        answer = read(mutated(good, dice))
        assert answer in ("TOKEN_INVALID", "TOKEN_EXPIRED") or answer == proven  # other letters for the same bits
        refused += answer != proven
    assert refused > count * 0.9


def test_twenty_thousand_mutated_tokens_prove_nothing() -> None:
    tried(20_000, seed=1)


@pytest.mark.soak
def test_half_a_million_mutated_tokens_prove_nothing() -> None:
    tried(500_000, seed=int(time.time()))


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_claims_that_we_did_not_sign_prove_nothing_whatever_the_header_says() -> None:
    claims = jwt.decode(minted(), options={"verify_signature": False})
    for algorithm in ("none", "None", "NONE", "HS384", "HS512", "RS256", "ES256", "PS256", "EdDSA", "", None, 7, {}):
        for signature in ("", "x", encoded("signature")):
            for extra in ({}, {"jwk": {"kty": "oct", "k": "AA"}}, {"kid": "../../dev/null"}, {"crit": ["exp"]}):
                header = {"typ": "JWT", "alg": algorithm, **extra}
                assert read(f"{encoded(header)}.{encoded(claims)}.{signature}") == "TOKEN_INVALID"


def test_claims_of_a_wrong_kind_prove_nothing_though_they_are_signed() -> None:
    claims = jwt.decode(minted(), options={"verify_signature": False})
    odd: list[object] = [None, "", "x", -1, 1.5, True, [], {}, "9" * 400, float("inf"), "\x00"]
    for name in ("sub", "userId", "gen", "exp", "jti", "iss", "aud"):
        for value in odd:
            forged = {**claims, name: value}
            signed = jwt.api_jws.encode(json.dumps(forged).encode(), SECRET, "HS256")
            answer = read(signed)
            assert answer in ("TOKEN_INVALID", "TOKEN_EXPIRED"), (name, value, answer)
