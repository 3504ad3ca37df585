"""Names, labels, the object as it is created, and a status that is equal when its facts are equal."""

from __future__ import annotations

import datetime as dt
import re

from hypothesis import given
from hypothesis import strategies as st

from drishtiksha import resources as r

RUN = "0198f1c2-7d1b-7aa0-8000-00000000002a"
NOW = dt.datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=dt.UTC)
SPEC = r.AnalysisSpec(RUN, "0198f1c2-7d1b-7aa0-8000-00000000002b", "VIDEO", True)


def status(**changes: object) -> r.AnalysisStatus:
    facts: dict[str, object] = {
        "phase": "PROCESSING",
        "summary": "0/1",
        "conditions": (r.Condition("Complete", "False", "Working", "1 model works."),),
        "models": (r.ModelStatus("A", "PROCESSING", 1, "ma-x-a1"),),
    }
    return r.AnalysisStatus(**(facts | changes))  # type: ignore[arg-type]


def test_a_name_is_a_function_of_the_whole_run_id() -> None:
    assert r.resource_name(RUN) == f"ma-{RUN}"
    assert r.run_of(f"ma-{RUN}") == RUN
    name = r.job_name(RUN, "FACE-TEMPORAL-V1", 3)
    assert name.startswith("ma-0198f1c27d1b7aa0800000000000002a-")
    assert name.endswith("-a3")
    assert len(name) <= 50


def test_foreign_names_stand_for_no_run() -> None:
    for name in ("ma-", "x", f"ma-{RUN}x", f"MA-{RUN}", f"ma-{RUN.upper()}", RUN):
        assert r.run_of(name) is None


def test_another_incarnation_has_another_secret() -> None:
    assert r.secret_name(RUN, "aaaaaaaa-0000-0000-0000-000000000000") != r.secret_name(
        RUN, "bbbbbbbb-0000-0000-0000-000000000000"
    )


@given(st.text(max_size=90))
def test_every_text_becomes_a_value_that_a_label_can_hold(text: str) -> None:
    value = r.label_value(text)
    assert len(value) <= 63
    assert value == "" or re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", value)


def test_the_object_is_created_with_its_finalizer_and_names_nobody() -> None:
    created = r.media_analysis(SPEC, 2, "drishtiksha")
    assert created["metadata"]["finalizers"] == ["drishtiksha.io/run"]
    assert created["metadata"]["labels"]["drishtiksha.io/run-number"] == "2"
    assert created["spec"] == {"runId": RUN, "mediaId": SPEC.media_id, "mediaType": "VIDEO", "hasAudio": True}


def test_chosen_models_stand_in_the_spec() -> None:
    spec = r.AnalysisSpec(RUN, SPEC.media_id, "IMAGE", False, ("B", "A"))
    assert spec.to_object()["models"] == ["B", "A"]


def test_equal_facts_give_an_equal_status_at_any_later_time() -> None:
    first = r.status_object(status(), generation=1, previous=None, now=NOW)
    later = r.status_object(status(), generation=1, previous=first, now=NOW + dt.timedelta(hours=1))
    assert later == first


def test_a_changed_condition_has_a_new_transition_time_and_others_keep_theirs() -> None:
    kept = r.Condition("Accepted", "True", "RunFound", "The platform knows this run.")
    first = r.status_object(
        status(conditions=(kept, r.Condition("Complete", "False", "Working", "."))),
        generation=1,
        previous=None,
        now=NOW,
    )
    done = status(conditions=(kept, r.Condition("Complete", "True", "Analyzed", "All 1 models answered.")))
    second = r.status_object(done, generation=1, previous=first, now=NOW + dt.timedelta(minutes=1))
    assert [c["lastTransitionTime"] for c in second["conditions"]] == ["2026-05-01T12:00:00Z", "2026-05-01T12:01:00Z"]


def test_a_long_message_is_cut_to_what_the_schema_takes() -> None:
    long = status(models=(r.ModelStatus("A", "FAILED", 1, None, None, "BAD_MEDIA", "x" * 5000),))
    written = r.status_object(long, generation=1, previous=None, now=NOW)
    assert len(written["models"][0]["message"]) == r.MAX_MESSAGE
