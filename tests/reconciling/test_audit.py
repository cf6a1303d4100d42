from datetime import UTC, datetime, timedelta

import kopf
import pytest

from pslgs_operator.gvk import JOBS
from pslgs_operator.informer import STALE_AFTER, Listing, WatchHealth, merged, tune
from pslgs_operator.store import ObjectKey, Store
from reconciling.objects import an_object

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WHERE = ObjectKey("default", "cifar-server")


@pytest.fixture
def watch():
    return WatchHealth(Store(JOBS, lambda _: None), complete_at=BEGIN)


def listed(version: str, **objects: str) -> Listing:
    return Listing(
        version, {ObjectKey("default", name.replace("_", "-")): each for name, each in objects.items()}
    )


def test_a_watch_that_tells_everything_is_well(watch):
    watch.cache.put(an_object(version="5"))
    assert watch.compare(listed("9", cifar_server="5"), BEGIN + MINUTE) == []
    assert watch.age(BEGIN + MINUTE) == timedelta(0)
    assert not watch.is_stale()


@pytest.mark.parametrize("told", [None, "5"], ids=["object never told", "change never told"])
def test_a_watch_that_falls_silent_is_found_deaf(watch, told):
    if told:
        watch.cache.put(an_object(version=told))
    for minute in (1, 2):
        watch.compare(listed("9", cifar_server="6"), BEGIN + minute * MINUTE)
    assert not watch.is_stale()
    late = BEGIN + MINUTE + STALE_AFTER
    watch.compare(listed("9", cifar_server="6"), late)
    assert watch.is_stale()
    assert watch.age(late) == late - BEGIN
    watch.cache.put(an_object(version="6"))
    assert not watch.is_stale()


def test_a_watch_that_is_a_moment_late_is_not_deaf(watch):
    watch.compare(listed("9", cifar_server="6"), BEGIN + MINUTE)
    watch.cache.put(an_object(version="6"))
    watch.compare(listed("9", cifar_server="6"), BEGIN + MINUTE + STALE_AFTER)
    assert not watch.is_stale()


def test_an_object_that_changes_all_the_time_is_no_debt_for_ever(watch):
    for minute in range(1, 10):
        watch.cache.put(an_object(version=str(10 * minute - 1)))
        watch.compare(listed("999", cifar_server=str(10 * minute)), BEGIN + minute * MINUTE)
        assert not watch.is_stale()
        assert watch.age(BEGIN + minute * MINUTE) == MINUTE


def test_an_object_that_came_and_went_between_two_audits_is_no_debt(watch):
    watch.compare(listed("9", cifar_server="6"), BEGIN + MINUTE)
    watch.compare(listed("12"), BEGIN + MINUTE + STALE_AFTER)
    assert not watch.is_stale()


def test_an_object_that_is_reported_late_and_then_deleted_is_no_debt(watch):
    watch.compare(listed("9", cifar_server="6"), BEGIN + MINUTE)
    watch.cache.put(an_object(version="6"))
    watch.cache.drop(WHERE)
    assert not watch.is_stale()
    watch.compare(listed("12"), BEGIN + MINUTE + STALE_AFTER)
    assert not watch.is_stale()


def test_what_was_deleted_while_nobody_watched_is_forgotten(watch):
    watch.cache.put(an_object(version="5"))
    (change,) = watch.compare(listed("9"), BEGIN)
    assert change.key == WHERE
    assert not watch.cache.all()


def test_what_was_made_after_the_listing_is_kept(watch):
    watch.cache.put(an_object(version="10"))
    assert watch.compare(listed("9"), BEGIN) == []
    assert WHERE in watch.cache.all()


def test_listings_of_several_namespaces_are_as_old_as_the_oldest():
    both = merged([listed("100", a="1"), listed("99", b="2")])
    assert both.version == "99"
    assert {key.name for key in both.objects} == {"a", "b"}


def test_a_watch_that_falls_silent_is_given_up_within_two_minutes_but_not_between_two_bookmarks():
    settings = kopf.OperatorSettings()
    tune(settings, ())
    assert 60 < settings.watching.inactivity_timeout <= 120
