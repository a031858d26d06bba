"""Lists that a registry cuts without a `Link`: no name is lost, and few questions are asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import parse_qs, urlsplit

import pytest

from bundler.errors import BundlerError, NetworkError
from bundler.oci.reference import RegistryName, RepositoryName
from tests.builders import a_module
from tests.doubles import ALWAYS, FakeClock, LoopbackServer, MemoryRegistry, Reply, Seen, hang_up
from tests.flows import PATIENT, registries_for

Respond = Callable[[Seen], Reply]

DISTRIBUTION = {"Docker-Distribution-Api-Version": "registry/2.0"}

EVERYBODY = pytest.mark.parametrize("headers", [{}, DISTRIBUTION], ids=["any", "distribution"])


def numbered(count: int) -> list[str]:
    """So many tags, in their order."""
    return [f"1.{number:04}.0" for number in range(count)]


def page_of(names: list[str], request: Seen, most: int, *, obeys_n: bool = False) -> list[str]:
    """Return at most so many of the names after `last`."""
    query = parse_qs(urlsplit(request.target).query)
    rest = [name for name in names if name > query.get("last", [""])[0]]
    return rest[: min(most, int(query["n"][0])) if obeys_n else most]


def tag_list(tags: list[str], headers: Mapping[str, str]) -> Reply:
    """A page of a list."""
    return Reply(200, headers, json.dumps({"name": "app", "tags": tags}).encode())


def cut_at(most: int, tags: list[str], headers: Mapping[str, str], *, obeys_n: bool = False) -> Respond:
    """Answer with at most so many tags after `last`, and without a Link."""
    return lambda request: tag_list(page_of(tags, request, most, obeys_n=obeys_n), headers)


def tags_and_requests(respond: Respond, clock: FakeClock, page_size: int = 1000) -> tuple[list[str], int]:
    """Return the tags that are found in a list, and the number of requests."""
    with LoopbackServer(respond) as server:
        limits = PATIENT._replace(page_size=page_size)
        source = registries_for(clock, limits=limits).source(RepositoryName(f"{server.host}/app"))
        return list(source.tags().tags), len(server.seen)


def lists_of(
    repositories: Mapping[str, Respond], clock: FakeClock, jobs: int = 1
) -> tuple[dict[str, list[str]], int]:
    """Return the tags of all repositories of one host, and the number of requests; one after the other."""

    def respond(request: Seen) -> Reply:
        return repositories[request.path.split("/")[2]](request)

    with LoopbackServer(respond) as server, ThreadPoolExecutor(jobs) as pool:
        known = registries_for(clock, limits=PATIENT)

        def tags(name: str) -> list[str]:
            return list(known.source(RepositoryName(f"{server.host}/{name}")).tags().tags)

        return dict(zip(repositories, pool.map(tags, repositories), strict=True)), len(server.seen)


@EVERYBODY
@pytest.mark.parametrize("length", [1, 2, 3, 7, 16, 20, 25, 30, 37, 99, 100, 250, 999, 1000])
def test_no_tag_is_lost_wherever_a_list_is_cut(
    length: int, headers: dict[str, str], clock: FakeClock
) -> None:
    tags = numbered(2 * length + 1)
    # Three pages, and one request more, which brings nothing.
    assert tags_and_requests(cut_at(length, tags, headers), clock) == (tags, 4)


@EVERYBODY
@pytest.mark.parametrize("obeys_n", [True, False])
@pytest.mark.parametrize("page_size", [2, 3, 4])
def test_no_tag_is_lost_whether_n_is_obeyed_or_not(
    page_size: int, obeys_n: bool, headers: dict[str, str], clock: FakeClock
) -> None:
    tags = numbered(7)
    respond = cut_at(3, tags, headers, obeys_n=obeys_n)
    assert tags_and_requests(respond, clock, page_size)[0] == tags


@EVERYBODY
@pytest.mark.parametrize("jobs", [1, 8])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 30, 99])
def test_no_tag_of_several_lists_is_lost(
    length: int, jobs: int, headers: dict[str, str], clock: FakeClock
) -> None:
    counts = [1, length, length + 1, 2, 0, 2 * length, 3 * length - 1]
    expected = {f"app{number}": numbered(count) for number, count in enumerate(counts)}
    answers = {name: cut_at(length, tags, headers) for name, tags in expected.items()}
    assert lists_of(answers, clock, jobs)[0] == expected


def test_what_cut_one_list_is_asked_on_for_every_list(clock: FakeClock) -> None:
    long, short = numbered(11), ["1", "2", "3"]
    answers = {"long": cut_at(10, long, DISTRIBUTION), "short": cut_at(2, short, DISTRIBUTION)}
    assert lists_of(answers, clock) == ({"long": long, "short": short}, 3 + 3)


@pytest.mark.parametrize("jobs", [1, 8])
@pytest.mark.parametrize("status", [200, 400])
def test_what_does_not_understand_is_asked_once_for_all(status: int, jobs: int, clock: FakeClock) -> None:
    """Distribution 2 repeats the list; others refuse."""
    expected = {f"app{number}": numbered(1 + number % 7) for number in range(20)}

    def respond(tags: list[str], request: Seen) -> Reply:
        return tag_list(tags, DISTRIBUTION) if status == 200 or "last=" not in request.target else Reply(400)

    answers = {name: partial(respond, tags) for name, tags in expected.items()}
    assert lists_of(answers, clock, jobs) == (expected, 20 + 1)


def test_what_is_shorter_than_a_whole_list_was_not_cut(clock: FakeClock) -> None:
    counts, asked_on = [3, 2, 0, 5, 3, 4, 1], [3, 5]
    answers = {
        f"app{number}": cut_at(99, numbered(count), DISTRIBUTION) for number, count in enumerate(counts)
    }
    assert lists_of(answers, clock)[1] == len(counts) + len(asked_on)


@pytest.mark.parametrize("length", [1, 2, 7, 30, 99])
def test_a_list_as_long_as_a_whole_one_may_be_cut_there(length: int, clock: FakeClock) -> None:
    expected = {"whole": numbered(length), "longer": numbered(length + 1)}
    answers = {name: cut_at(length, tags, DISTRIBUTION) for name, tags in expected.items()}
    assert lists_of(answers, clock)[0] == expected


@pytest.mark.parametrize("length", [1, 3, 7, 10, 16, 25, 32, 50, 64, 100, 1000])
def test_no_length_at_which_many_lists_end_is_believed(length: int, clock: FakeClock) -> None:
    """Short lists are frequent, and a retention policy may keep as many tags as a page has."""
    expected = {f"app{number}": numbered(length + (number == 4)) for number in range(5)}
    answers = {name: cut_at(length, tags, DISTRIBUTION) for name, tags in expected.items()}
    assert lists_of(answers, clock)[0] == expected


@pytest.mark.parametrize("jobs", [1, 8])
def test_two_whole_lists_of_a_length_do_for_all_others(jobs: int, clock: FakeClock) -> None:
    answers = {f"app{number}": cut_at(99, numbered(20), DISTRIBUTION) for number in range(20)}
    assert lists_of(answers, clock, jobs)[1] == 20 + 2


def test_a_registry_that_sent_a_link_needs_no_question(clock: FakeClock) -> None:
    first = tag_list(["1.0.0"], {"Link": '</v2/app/tags/list?page=2>; rel="next"', **DISTRIBUTION})
    last = tag_list(["1.1.0"], DISTRIBUTION)
    answers = {
        "app": lambda request: last if "page=2" in request.target else first,
        "other": cut_at(99, numbered(40), DISTRIBUTION),
    }
    assert lists_of(answers, clock) == ({"app": ["1.0.0", "1.1.0"], "other": numbered(40)}, 2 + 1)


@EVERYBODY
@pytest.mark.parametrize(("count", "requests"), [(0, 1), (1, 2), (3, 2), (40, 2), (1000, 2), (1500, 2)])
@pytest.mark.parametrize("understands_last", [True, False])
def test_a_list_that_is_whole_costs_one_request_more_at_most(
    count: int, requests: int, understands_last: bool, headers: dict[str, str], clock: FakeClock
) -> None:
    whole = cut_at(count, tags := numbered(count), headers)
    respond = whole if understands_last else (lambda seen: whole(seen._replace(target="/")))
    assert tags_and_requests(respond, clock) == (tags, requests)


@EVERYBODY
@pytest.mark.parametrize("status", [400, 404, 405, 501])
def test_a_list_is_whole_where_going_on_is_refused(
    status: int, headers: dict[str, str], clock: FakeClock
) -> None:
    whole = cut_at(9, numbered(2), headers)
    answers = dict.fromkeys(
        ("app", "other"), lambda seen: Reply(status) if "last=" in seen.target else whole(seen)
    )
    # One that should send Link is believed from then on.
    requests = 3 if headers else 4
    assert lists_of(answers, clock) == (dict.fromkeys(answers, numbered(2)), requests)


@pytest.mark.parametrize("answer", [Reply(401), Reply(403), Reply(500), Reply(200, {}, b"<html>")])
def test_distributions_family_is_believed_whatever_it_answers(answer: Reply, clock: FakeClock) -> None:
    """It should send `Link`: a question that it fails at is no reason to fail with it."""
    whole = cut_at(9, numbered(2), DISTRIBUTION)
    found = tags_and_requests(lambda seen: answer if "last=" in seen.target else whole(seen), clock)
    assert found[0] == numbered(2)


@pytest.mark.parametrize("answer", [Reply(403), Reply(500), Reply(200, {}, b"<html>")])
def test_what_was_found_to_cut_lists_is_not_believed_so(answer: Reply, clock: FakeClock) -> None:
    cut = cut_at(2, numbered(5), DISTRIBUTION)
    with pytest.raises(BundlerError, match="tags"):
        tags_and_requests(lambda seen: answer if "last=1.0002" in seen.target else cut(seen), clock)


def test_a_question_without_an_answer_is_an_error(clock: FakeClock) -> None:
    with MemoryRegistry({"app": a_module("1.0.0")}) as server:
        server.on("GET", "last=", hang_up, times=ALWAYS)
        with pytest.raises(NetworkError, match="after 6 attempts"):
            registries_for(clock, limits=PATIENT).source(server.repository("app")).tags()


@EVERYBODY
def test_pages_that_go_round_in_a_circle_end(headers: dict[str, str], clock: FakeClock) -> None:
    circle = "abcdabcd"

    def respond(request: Seen) -> Reply:
        start = circle.find(parse_qs(urlsplit(request.target).query).get("last", ["-"])[0]) + 1
        return tag_list(list(circle[start : start + 2]), headers)

    assert tags_and_requests(respond, clock) == (["a", "b", "c", "d"], 3)


@EVERYBODY
def test_no_tag_is_lost_where_the_end_starts_anew(headers: dict[str, str], clock: FakeClock) -> None:
    def cut(tags: list[str], request: Seen) -> Reply:
        return tag_list(page_of(tags, request, 3) or tags[:3], headers)

    expected = {"whole": numbered(3), "short": numbered(2), "cut": numbered(8)}
    answers = {name: partial(cut, tags) for name, tags in expected.items()}
    assert lists_of(answers, clock)[0] == expected


@EVERYBODY
def test_no_tag_is_lost_where_pages_have_as_many_bytes(headers: dict[str, str], clock: FakeClock) -> None:
    """The second page is shorter than the first, and not the last."""
    tags = ["a1", "a2", "a3", "b" * 100, "c1", "c2"]

    def cut(request: Seen) -> Reply:
        rest = page_of(tags, request, len(tags))
        return tag_list(
            [tag for number, tag in enumerate(rest) if len("".join(rest[: number + 1])) < 104], headers
        )

    assert tags_and_requests(cut, clock)[0] == tags


def test_a_list_with_links_costs_no_request_more(clock: FakeClock) -> None:
    first = Reply(200, {"Link": '</v2/app/tags/list?page=2>; rel="next"'}, b'{"tags": ["1.0.0", "1.1.0"]}')
    second = Reply(200, {}, b'{"tags": ["1.2.0"]}')
    found = tags_and_requests(lambda seen: second if "page=2" in seen.target else first, clock)
    assert found == (["1.0.0", "1.1.0", "1.2.0"], 2)


@EVERYBODY
@pytest.mark.parametrize("length", [1, 2, 3, 7, 30, 99])
def test_no_repository_is_lost_wherever_a_catalog_is_cut(
    length: int, headers: dict[str, str], clock: FakeClock
) -> None:
    names = [f"app{number:03}" for number in range(2 * length + 1)]

    def respond(request: Seen) -> Reply:
        return Reply(200, headers, json.dumps({"repositories": page_of(names, request, length)}).encode())

    with LoopbackServer(respond) as server:
        found = registries_for(clock, limits=PATIENT).catalog(RegistryName(server.host))
        assert ([name.path for name in found], len(server.seen)) == (names, 4)
