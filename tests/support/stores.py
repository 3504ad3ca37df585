"""All stores over one database, and a short way to the state that a test begins with."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from drishtiksha.database.admission import Admission, Caps
from drishtiksha.database.events import Events
from drishtiksha.database.media import MediaStore, NewMedia
from drishtiksha.database.outbox import Outbox
from drishtiksha.database.results import Results
from drishtiksha.database.runs import FrozenModel, Runs
from drishtiksha.database.session import Database, new_id
from drishtiksha.database.users import Users
from drishtiksha.domain.media import ImageFacts, MediaType, Probe
from drishtiksha.protocol import AttemptResult
from drishtiksha.settings import sqlalchemy_url

PROBE = Probe("image/png", MediaType.IMAGE, False, image=ImageFacts(640, 480, "PNG", "RGB", False))
CAPS = Caps(total=100, per_user=100, per_model=100, of_model={})


@dataclass
class Stores:
    """All stores over one database."""

    database: Database
    users: Users
    media: MediaStore
    runs: Runs
    admission: Admission
    results: Results
    events: Events
    outbox: Outbox

    async def user(self, name: str = "ada") -> uuid.UUID:
        email = f"{name}-{uuid.uuid4().hex[:8]}@example.org"
        made = await self.users.create(email=email, password_hash="x", first_name=name, last_name="L")
        return made.id

    async def upload(self, user_id: uuid.UUID) -> NewMedia:
        new = NewMedia(new_id(), new_id(), user_id, "a.png", None, f"images/{uuid.uuid4()}.png", 10, "ab" * 32, PROBE)
        await self.media.accept(new)
        return new

    async def frozen(self, user_id: uuid.UUID, *models: str, budget: int = 3) -> NewMedia:
        new = await self.upload(user_id)
        chosen = [FrozenModel(m, "1.0", "service:main", "service", budget) for m in models]
        await self.runs.freeze(new.run_id, chosen)
        return new

    async def start(self, run_id: uuid.UUID, caps: Caps = CAPS) -> dict[str, uuid.UUID]:
        seen = await self.runs.snapshot(run_id)
        assert seen is not None
        deadlines = {a.model: 60.0 for a in seen.analyses}
        return dict((await self.admission.start_attempts(run_id, caps, deadlines)).started)

    async def status(self, run_id: uuid.UUID) -> str:
        seen = await self.runs.snapshot(run_id)
        assert seen is not None
        return seen.status


def open_stores(database_url: str, *, statement_timeout: float = 15.0) -> Stores:
    """Stores over this database; close `.database` in the end."""
    database = Database(sqlalchemy_url(database_url), pool_size=20, statement_timeout=statement_timeout)
    kinds = (Users, MediaStore, Runs, Admission, Results, Events, Outbox)
    return Stores(database, *(kind(database) for kind in kinds))  # type: ignore[arg-type]


def result(model: str, **more: object) -> AttemptResult:
    """A plain answer of a model: nothing found."""
    base = {"protocol": 1, "model": model, "prediction": "INCONCLUSIVE", "confidence": 0.5, "finding": "NONE"}
    return AttemptResult.model_validate({**base, **more})
