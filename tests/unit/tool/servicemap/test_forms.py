"""The forms of a service map: the same for the same sources, complete, and safe whatever the sources hold."""

import json
import re
from html.parser import HTMLParser
from io import StringIO
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastness.tool.findings import Report, reports
from fastness.tool.project import Project, Service
from fastness.tool.servicemap import document, mermaid, page, svg, text
from fastness.tool.servicemap.layout import arranged
from fastness.tool.servicemap.survey import survey

FORMS = {"text": text.write, "json": document.write, "mermaid": mermaid.write, "svg": svg.write, "html": page.write}
HOSTILE = "</style><script>alert(1)</script><img src=x onerror=alert(1)>\"']]>\x1b[2J\x00\n--> x"


def _service(endpoints: int, *, files: int = 1, path: str = "/items") -> Project:
    """A project whose endpoints call an upstream and read files, spread over some files."""
    sources = {"app/main.py": b"from fastapi import FastAPI\napp = FastAPI()\n"}
    for number in range(files):
        lines = ["import httpx", "from app.main import app", "def read(): return open('x')"]
        for one in range(endpoints // files):
            url = json.dumps(f"{path}/{number}/{one}")
            lines.append(f"@app.get({url})\ndef endpoint_{one}():\n    read()\n    httpx.get('https://h{one % 3}.example.org')")
        sources[f"app/api/routes{number}.py"] = "\n".join(lines).encode()
    return Project(sources)


def _written(form: str, project: Project) -> str:
    out = StringIO()
    FORMS[form](survey(Service(project), name="shop"), out)
    return out.getvalue()


class _Tags(HTMLParser):
    def __init__(self, written: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(written)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("endpoints", [0, 5, 60])
def test_the_same_sources_give_the_same_bytes(form: str, endpoints: int) -> None:
    """Two runs differ in nothing; a map without entries is written too."""
    once, again = (_written(form, _service(endpoints, files=max(endpoints // 10, 1))) for _ in range(2))
    assert once == again
    assert once


@pytest.mark.parametrize("form", ["text", "json", "mermaid", "svg", "html"])
def test_small_maps_show_every_endpoint(form: str) -> None:
    """Each endpoint and each resource stands in each form."""
    written = _written(form, _service(5))
    for number in range(5):
        assert f"/items/0/{number}" in written
    for name in ("h0.example.org", "h1.example.org", "local files"):
        assert name in written


def test_large_maps_show_groups_first() -> None:
    """With 500 endpoints the picture has a box for each router; each endpoint stands below, in what can be opened."""
    project = _service(500, files=20)
    picture = ElementTree.fromstring(_written("svg", project))
    boxes = list(picture.iter("{http://www.w3.org/2000/svg}g"))
    assert len(boxes) == 20 + 4
    written = _Tags(_written("html", project))
    assert written.tags.count("details") == 20
    assert written.tags.count("svg") == 21
    assert all(f"GET /items/{number // 25}/{number % 25}" in written.text for number in range(500))


def test_very_many_routers_are_grouped_by_directory() -> None:
    """A picture of a hundred routers in one directory has one box for the directory."""
    picture = ElementTree.fromstring(_written("svg", _service(100, files=100)))
    assert "/items (100)" in "".join(picture.itertext())


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_nothing_from_a_project_becomes_markup(hostile: str) -> None:
    """Paths of endpoints are text in every form: no tag, no syntax, nothing that a terminal would act upon."""
    project = _service(3, path=f"/{HOSTILE}{hostile}")
    for form in ("svg", "html"):
        written = _Tags(_written(form, project))
        assert not {"script", "img", "iframe", "a", "link"} & set(written.tags)
        assert not [name for name, _ in written.attributes if name.startswith("on") or name in {"src", "href"}]
    ElementTree.fromstring(_written("svg", project))
    assert "\x1b" not in _written("text", project)
    for line in _written("mermaid", project).splitlines():
        assert re.fullmatch(r'(flowchart LR|  end|  \w+ --> \w+| *(subgraph )?\w+\W{1,2}"[^"<>\[\]`]*"\W{1,2})', line), line


def test_hostile_names_in_the_report_of_check() -> None:
    """The page of `fastness check` holds the same map, and nothing of it is markup."""
    out = StringIO()
    reports.write(Report([]), form="html", project=_service(2, path=f"/{HOSTILE}"), out=out)
    written = _Tags(out.getvalue())
    assert "svg" in written.tags
    assert not {"script", "img"} & set(written.tags)
    assert "<script>alert(1)" in written.text


@given(st.integers(1, 30), st.integers(1, 12), st.randoms(use_true_random=False))
def test_boxes_do_not_overlap(entries: int, others: int, random: object) -> None:
    """Every box has a place of its own, inside of the picture, whatever leads to what."""
    first = [f"e{number}" for number in range(entries)]
    ways = [
        [one, *(f"c{random.randrange(others)}" for _ in range(random.randrange(4))), f"r{random.randrange(others)}"]  # type: ignore[attr-defined]
        for one in first
    ]
    ways = [list(dict.fromkeys(way)) for way in ways]
    labels = {box: str(box) for way in ways for box in way}
    layout = arranged({"group": first}, ways, labels)
    assert set(layout.spots) == set(labels)
    columns: dict[float, list[float]] = {}
    for spot in layout.spots.values():
        assert 0 <= spot.x <= spot.x + spot.width <= layout.width
        assert 0 < spot.y < layout.height
        columns.setdefault(spot.x, []).append(spot.y)
    for column in columns.values():
        assert all(below - above > 20 for above, below in pairwise(sorted(column)))
