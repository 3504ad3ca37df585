"""Every check by its stable name: the invariant it belongs to, and what it claims in one sentence.

A check that `heals` compares places that are not written in one transaction, or waits for somebody's next look: what it
finds counts only when it is still there at a second look. The others must hold in every single snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong. `subject`: what kind of thing and its id or name; `text`: one sentence."""

    check: Check
    kind: str
    subject: str
    text: str
    ids: dict[str, str] = field(default_factory=dict, compare=False)
    """The things above it: run, media, user."""

    @property
    def key(self) -> tuple[str, str, str]:
        """The same violation in another look has the same key."""
        return (self.check.name, self.kind, self.subject)


@dataclass(frozen=True)
class Check:
    """One question. `asks`: postgres, kubernetes or objects, whichever has to answer besides Postgres."""

    name: str
    invariant: str
    claim: str
    asks: str = "postgres"
    heals: bool = False

    def broken(self, kind: str, subject: object, text: str, **ids: object) -> Violation:
        """This check's violation by one subject."""
        return Violation(self, kind, str(subject), text, {name: str(value) for name, value in ids.items()})


# -- the database itself ----------------------------------------------------------------------------------------------
SCHEMA = Check("schema", "I20", "The schema is at the revision that this program knows.")
GUARDS = Check(
    "guards", "I4 I5 I6 I7 I8 I11", "The triggers by which the database itself refuses are there and enabled."
)

# -- media and runs ---------------------------------------------------------------------------------------------------
MEDIA_METADATA = Check("media-metadata", "I1", "An accepted media has the metadata row of its type.")
MEDIA_LATEST = Check("media-latest-run", "I7", "A media has the number and the status of its latest run.")
RUN_NUMBERS = Check(
    "run-numbers", "I8", "A media's runs are numbered from 1 without gaps, and only the last may be live."
)
TOMBSTONE_BLANK = Check(
    "tombstone-blank", "I10", "A deleted media keeps no name, description, checksum or words of a person."
)
TOMBSTONE_WISH = Check(
    "tombstone-wish", "I10", "A deleted media has a wish for its erasure, and no other media has one."
)
TOMBSTONE_FENCED = Check("tombstone-fenced", "I10 I11", "No attempt of a deleted media may write.")
TOMBSTONE_AGE = Check("tombstone-age", "I10", "A deleted media is erased within minutes.", heals=True)
RUN_STATUS = Check("run-status", "I7", "A run's status is the function of its analyses, and never ahead of it.")
RUN_CONCLUDED = Check("run-concluded", "I7", "A run whose analyses have all ended is concluded.", heals=True)
RUN_COMPLETE = Check("run-complete", "I5", "All analyses of a terminal run are terminal.")
RUN_REASON = Check("run-reason", "I19", "A run has the reason that its analyses say, and none while it is not final.")
RUN_VERDICT = Check("run-verdict", "I7", "A run's verdict is the function of its completed analyses.")
RUN_SETTLES = Check("run-settles", "I1", "No run stays unfinished beyond its age limit.", heals=True)
FROZEN_SET = Check("frozen-set", "I4", "The expected models were inserted once, with the freeze, before any attempt.")

# -- analyses and attempts --------------------------------------------------------------------------------------------
ANALYSIS_ID = Check(
    "analysis-id", "I4", "An analysis' id is the function of run and model, and its media is the run's."
)
RESULT_ONLY_COMPLETED = Check("result-only-completed", "I5", "Only a COMPLETED analysis has a result, and it has one.")
RESULT_OF_CURRENT = Check("result-of-current", "I5 I11", "A result came from the current attempt, and only from it.")
FAILURE_CLASS = Check(
    "failure-class", "I19", "Every failure of an analysis or attempt has one class, and no success has."
)
FAILURE_RECORDED = Check("failure-recorded", "I19", "Every failed attempt has its record.")
ATTEMPT_NUMBERS = Check("attempt-numbers", "I6", "Attempts are numbered from 1 to the current one, within the budget.")
ATTEMPT_ID = Check("attempt-id", "I6", "An attempt's id is the function of analysis and number.")
ONE_IN_FLIGHT = Check("one-in-flight", "I6", "An analysis has one attempt in flight at most.")
PLACES = Check(
    "places", "I15", "No more attempts are in flight than there are places, in all and per user.", heals=True
)
ATTEMPT_FENCED = Check("attempt-fenced", "I11", "Only the current attempt of an unfinished analysis may write.")
NEXT_STEP = Check("next-step", "I12", "An unfinished analysis whose attempt has failed has the time of the next one.")
ATTEMPT_TIMES = Check("attempt-times", "I7", "Times of analyses and attempts fit their states.")
ATTEMPT_DEADLINE = Check("attempt-deadline", "I12", "No attempt runs on beyond its deadline.", heals=True)
ARTIFACT_OWNER = Check(
    "artifact-owner", "I5 I18", "A listed artifact belongs to the attempt that handed in the result."
)

# -- events -----------------------------------------------------------------------------------------------------------
EVENT_NUMBERS = Check("event-numbers", "I9", "A user's events are numbered without gaps up to the counter.")
EVENT_OWNER = Check("event-owner", "I17", "Events about a media belong to its owner.")
EVENTS_OF_RUN = Check("events-of-run", "I9", "Each change of a run was told once, in order, as it was.")
EVENTS_BARE = Check(
    "events-bare", "I10", "Events of a deleted media say nothing but that, and those of others never do."
)

# -- the outbox -------------------------------------------------------------------------------------------------------
WISH_DUE = Check("wish-due", "I12", "A wish that is due is taken up.", heals=True)
WISH_AGE = Check("wish-age", "I1", "A wish is carried out or given up within a day.", heals=True)
WISH_REJECTED = Check("wish-rejected", "I1", "A run whose resource the cluster refused is concluded.", heals=True)
WISH_SUBJECT = Check("wish-subject", "I10 I12", "No wish outlives what it is about.", heals=True)

# -- Kubernetes -------------------------------------------------------------------------------------------------------
RUN_RESOURCE = Check(
    "run-resource", "I3", "A live run has a resource, or a wish for one.", asks="kubernetes", heals=True
)
RESOURCE_RUN = Check("resource-run", "I3 I10", "A resource has a run, and names it.", asks="kubernetes", heals=True)
RESOURCE_SAYS = Check(
    "resource-says", "I7", "A terminal run's resource says what its rows say, and no other is ahead.",
    asks="kubernetes", heals=True,
)  # fmt: skip
RESOURCE_FINALIZER = Check(
    "resource-finalizer", "I3", "A live run's resource carries the finalizer, a terminal one's does not.",
    asks="kubernetes", heals=True,
)  # fmt: skip
RESOURCE_TTL = Check("resource-ttl", "I15", "Finished resources go after their time.", asks="kubernetes", heals=True)
JOB_ATTEMPT = Check("job-attempt", "I6", "A Job has an attempt, and carries its ids.", asks="kubernetes", heals=True)
JOB_ONLY = Check(
    "job-only", "I6", "An attempt has one Job at most, the one written down.", asks="kubernetes", heals=True
)
JOB_OWNER = Check("job-owner", "I6", "A Job's owner is its run's resource.", asks="kubernetes", heals=True)
JOB_GONE = Check("job-gone", "I12", "An attempt in flight has its Job.", asks="kubernetes", heals=True)
JOB_END = Check("job-end", "I12", "The end of a Job is noted.", asks="kubernetes", heals=True)
JOB_FENCED = Check("job-fenced", "I10 I11", "The Job of a fenced attempt is ended.", asks="kubernetes", heals=True)

# -- the object store -------------------------------------------------------------------------------------------------
MEDIA_BYTES = Check("media-bytes", "I1", "The bytes of every media are there, whole.", asks="objects", heals=True)
ARTIFACT_BYTES = Check(
    "artifact-bytes", "I5", "The bytes of every artifact are there, whole.", asks="objects", heals=True
)
BYTES_PLACE = Check("bytes-place", "I17", "No row points into another media's bytes.", asks="objects")
BYTES_SHA256 = Check("bytes-sha256", "I1", "Stored bytes have the sha256 of their row (--deep).", asks="objects")
ORPHAN_BYTES = Check("orphan-bytes", "I2 I10", "Bytes that no row needs are reclaimed.", asks="objects", heals=True)

CHECKS: tuple[Check, ...] = tuple(found for found in list(globals().values()) if isinstance(found, Check))
"""All of them, in the order of this file."""
