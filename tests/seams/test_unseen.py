"""Every call that leaves a process goes through a seam that the faults are planted in: read off the source, in no time."""

from __future__ import annotations

from seam_faults import objects, unseen

from drishtiksha.objects.local import LocalObjects


def test_nothing_leaves_a_process_but_through_a_seam() -> None:
    """A new library, process or engine needs a wrapper before it is listed."""
    assert unseen.leaving().keys() == unseen.DOORS.keys()
    assert unseen.past_transaction() == unseen.ENGINE
    assert unseen.choke("core/drishtiksha/kube.py", "request") == ["Kube._once"]
    assert unseen.choke("core/drishtiksha/kube.py", "_once") == ["Kube._send"]
    assert unseen.choke("core/drishtiksha/objects/local.py", "to_thread") == ["_translated"]
    assert unseen.choke("core/drishtiksha/bus.py", "from_url") == ["Bus.__init__", "Bus.listen"]
    changed = {name for name in objects.verbs() if getattr(objects.SeamObjects, name) is getattr(LocalObjects, name)}
    assert changed == set()
