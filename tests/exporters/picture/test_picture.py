"""Lineage pictures: what is shown, what is folded, and that no name can break out of its label."""

from __future__ import annotations

import io
import os
import re
import struct
from xml.etree import ElementTree as ET

import networkx as nx
import pygraphviz
import pytest

from lineagelog.domain.errors import UnknownFormatError
from lineagelog.exporters.picture import render, to_dot
from lineagelog.exporters.picture.drawing import shorten
from lineagelog.exporters.picture.folding import FOLD_ABOVE
from lineagelog.exporters.picture.link import web_url
from lineagelog.projections.lineage import ArtifactNode, Edge, Graph, RunNode

AT = "2026-11-21T03:22:44.540332Z"
LATER = "2026-11-21T03:22:56.140332Z"
HOSTILE = [
    'a"b', "<b>&amp;</b>", "back\\slash", "\\n\\l", "x]; evil [label=1", "日本語 🧬", "line\nbreak", "\x1b[31m", "--> }", "%s ? {",
    "</TABLE>",
    "\\N \\G", "&lt;", "end", 'click n0 href "javascript:x()"', "%%{init: {}}%%", "]]>", "<script>document.title='hit'</script>",
]  # fmt: skip


def artifact(name: str, key: str | None = None, *, suffix: str = ".csv") -> ArtifactNode:
    return ArtifactNode(name, f"uid{name}", key or f"{name}.csv", None, suffix, None, None, 48_213, None, AT, "ada", 1)


def run(name: str, key: str = "clean.py", status: str = "finished") -> RunNode:
    end = None if status == "started" else LATER
    return RunNode(name, f"uid{name}", None, status, AT, end, "t", "ut", key, "script", None, "bob", 1)


def graph(artifacts: list[ArtifactNode], runs: list[RunNode], edges: list[tuple[str, str, str]], subject: str) -> Graph:
    built = tuple(Edge(r, a, kind, "input", AT, None, 1, n) for n, (r, a, kind) in enumerate(edges))
    return Graph((subject,), {node.id: node for node in artifacts}, {node.id: node for node in runs}, built)


def texts(drawn: bytes) -> str:
    return "\n".join(
        "".join(element.itertext()) for element in ET.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")
    )


@pytest.fixture
def small() -> Graph:
    return graph(
        [artifact("a1", "raw.csv"), artifact("a2", "clean.csv")],
        [
            run("r1"),
            run("r2", "broken.py", "failed"),
            run("r3", "halted.py", "aborted"),
            run("r4", "going.py", "started"),
        ],
        [
            ("r1", "a1", "used"),
            ("r1", "a2", "generated"),
            ("r2", "a1", "used"),
            ("r3", "a1", "used"),
            ("r4", "a2", "seen"),
        ],
        "a2",
    )


def test_a_picture_shows_keys_types_users_times_and_states(small: Graph) -> None:
    shown = texts(render(small, "svg"))
    for text in (
        "raw.csv",
        "clean.py",
        "script",
        "48.2 kB",
        "ada · 2026-11-21 03:22",
        "11.6 s",
        "failed",
        "aborted",
        "not ended",
    ):
        assert text in shown
    assert shown.count("subject") == 1
    assert "not ended" not in texts(render(graph([artifact("a1")], [run("r1")], [("r1", "a1", "used")], "a1")))


def test_arrows_follow_the_data_and_seen_again_is_dashed(small: Graph) -> None:
    drawn = pygraphviz.AGraph(string=to_dot(small))
    labels = {node: re.sub(r"<[^>]*>", " ", node.attr["label"]).split()[0] for node in drawn.nodes()}
    arrows = {(labels[a], labels[b]): drawn.get_edge(a, b).attr["style"] for a, b in drawn.edges()}
    assert set(arrows) == {
        ("raw.csv", "clean.py"), ("clean.py", "clean.csv"), ("raw.csv", "broken.py"), ("raw.csv", "halted.py"),
        ("going.py", "clean.csv"),
    }  # fmt: skip
    assert [ends for ends, style in arrows.items() if style == "dashed"] == [("going.py", "clean.csv")]
    shapes = {labels[node]: (node.attr["shape"], node.attr["fillcolor"]) for node in drawn.nodes()}
    assert (
        len({shapes[name] for name in ("raw.csv", "clean.csv", "clean.py", "broken.py", "halted.py", "going.py")}) == 6
    )
    assert shapes["raw.csv"][0] == shapes["clean.csv"][0] != shapes["clean.py"][0]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_breaks_out_of_its_label(name: str) -> None:
    drawn = render(graph([artifact("a1", name)], [run("r1", name)], [("r1", "a1", "used")], "a1"), "svg")
    shown = texts(drawn).replace("\xa0", " ")
    visible = re.sub(r"[\x00-\x1f]", " ", name)
    assert shown.count(visible.strip()) >= 2
    assert len(pygraphviz.AGraph(string=to_dot(graph([artifact("a1", name)], [], [], "a1"))).nodes()) == 1
    assert b"\x1b" not in drawn
    tips = [
        anchor.get("{http://www.w3.org/1999/xlink}title", "")
        for anchor in ET.fromstring(drawn).iter("{http://www.w3.org/2000/svg}a")
    ]
    assert sum(tip.startswith(re.sub(r"[\x00-\x09\x0b-\x1f]", " ", name)) for tip in tips) == 2


def test_many_alike_artifacts_become_one_counted_node() -> None:
    few, many = FOLD_ABOVE, 1000
    artifacts = [artifact(f"a{n}") for n in range(many)] + [
        artifact("model", "model.pkl", suffix=".pkl"),
        artifact("figure"),
    ]
    edges = [("r1", node.id, "generated") for node in artifacts] + [("r2", f"a{n}", "used") for n in range(many)]
    dot = to_dot(graph(artifacts, [run("r1"), run("r2")], edges, "a7"))
    assert "999 artifacts" in dot
    assert len(pygraphviz.AGraph(string=dot).nodes()) == 6  # the fold, subject, model, figure, both runs
    dot = to_dot(graph(artifacts[:few], [run("r1")], edges[:few], "r1"))
    assert "artifacts" not in dot.replace("artifact  ", "")
    assert len(pygraphviz.AGraph(string=dot).nodes()) == few + 1


def test_a_failed_run_is_not_folded_among_finished_ones() -> None:
    runs = [run(f"r{n}") for n in range(40)] + [run("bad", "broken.py", "failed")]
    dot = to_dot(graph([artifact("a1")], runs, [(node.id, "a1", "used") for node in runs], "a1"))
    assert "40 runs" in dot
    assert "broken.py" in dot


def test_every_format_is_what_it_says(small: Graph) -> None:
    png = render(small, "png")
    assert png.startswith(b"\x89PNG\r\n")
    width, height = struct.unpack(">II", png[16:24])
    assert width > 600
    assert height > 200
    assert render(small, "pdf").startswith(b"%PDF-")
    assert ET.fromstring(render(small, "svg")).tag == "{http://www.w3.org/2000/svg}svg"
    assert render(small, "dot") == to_dot(small).encode()
    assert to_dot(small) == to_dot(small)
    with pytest.raises(UnknownFormatError, match="svg, png, pdf, dot, html, mmd, graphml"):
        render(small, "gif")  # type: ignore[arg-type]
    assert render(graph([artifact("a1")], [], [], "a1")).startswith(b"<?xml")


def test_a_long_chain_runs_downward_and_a_short_one_to_the_right(small: Graph) -> None:
    assert "rankdir=LR" in to_dot(small)
    artifacts = [artifact(f"a{n}") for n in range(10)]
    runs = [run(f"r{n}") for n in range(9)]
    edges = [(f"r{n}", f"a{n + m}", ("used", "generated")[m]) for n in range(9) for m in range(2)]
    assert "rankdir=TB" in to_dot(graph(artifacts, runs, edges, "a5"))
    assert "rankdir=LR" in to_dot(graph(artifacts[:5], runs[:4], edges[:8], "a3"))
    assert "rankdir=" in to_dot(graph(artifacts[:1], runs[:1], [("r0", "a0", "used"), ("r0", "a0", "seen")], "a0"))


def test_a_long_key_loses_its_middle() -> None:
    key = "studies/2026/" + "very-long-name-" * 10 + "station_7.csv"
    assert shorten(key, 30).startswith("studies/")
    assert shorten(key, 30).endswith("station_7.csv")
    assert len(shorten(key, 30)) == 30
    assert shorten("short.csv") == "short.csv"


def test_what_the_layout_engine_says_of_fonts_is_not_shown_and_the_rest_is(
    small: Graph, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = pygraphviz.AGraph.draw

    def noisy(self: object, *arguments: object, **options: object) -> object:
        os.write(2, b'Fontconfig warning: "fonts.conf": unknown element\nsomething else\n')
        return draw(self, *arguments, **options)

    monkeypatch.setattr(pygraphviz.AGraph, "draw", noisy)
    assert render(small).startswith(b"<?xml")
    assert capfd.readouterr().err == "something else\n"


def test_mermaid_folds_like_the_other_pictures_and_counts_links() -> None:
    inputs = [artifact(f"a{n:03}") for n in range(500)]
    text = render(
        graph(
            [*inputs, artifact("out", "out.csv")],
            [run("r1")],
            [*(("r1", node.id, "used") for node in inputs), ("r1", "out", "generated")],
            "out",
        ),
        "mmd",
    ).decode()
    assert text.startswith("flowchart LR\n")
    assert '  n0("500 artifacts")\n' in text
    assert '  n0 -->|"500"| n2\n' in text
    assert "  n2 --> n1\n" in text
    assert "  class n1,l_subject subject\n" in text
    assert '    l_artifact("artifact") ~~~ l_subject("subject") ~~~ l_run[["run"]]\n' in text
    assert text.count("\n") < 20


def test_mermaid_never_gets_more_than_it_takes() -> None:
    artifacts = [artifact(f"a{n}", f"{'k' * 30}{n}.csv") for n in range(900)]
    runs = [run(f"r{n}", f"{n}.py") for n in range(1, 900)]
    edges = [(f"r{n}", f"a{n}", "generated") for n in range(1, 900)]
    edges += [(f"r{n}", f"a{m}", "used") for n in range(1, 900) for m in {n // 2, n // 3, n * 2 // 3, n - 1}]
    text = render(graph(artifacts, runs, edges, "a899"), "mmd").decode()
    assert len(text) <= 50_000
    assert text.count("-->") <= 500
    assert "artifacts and runs left out" in text


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_breaks_out_of_a_mermaid_label(name: str) -> None:
    text = render(graph([artifact("a1", name)], [run("r1", name)], [("r1", "a1", "used")], "a1"), "mmd").decode()
    labels = re.findall(r'^  n\d(?:\("([^"()<>\[\]]+)"\)|\[\["([^"()<>\[\]]+)"\]\])$', text, re.MULTILINE)
    assert len(labels) == 2
    assert "  n0 --> n1\n" in text


def test_mermaid_tells_states_apart_and_saved_again(small: Graph) -> None:
    text = render(small, "mmd").decode()
    for look in ("failed_run", "aborted_run", "run_not_ended", "artifact", "subject"):
        assert f"  classDef {look} fill:#" in text
    assert re.search(r"  n\d -\.-> n\d\n", text)
    assert "same content saved again" in text


@pytest.mark.parametrize("name", HOSTILE)
def test_graphml_holds_every_node_and_edge_with_its_attributes(name: str) -> None:
    inputs = [artifact(f"a{n}", name) for n in range(FOLD_ABOVE + 5)]
    drawn = render(graph(inputs, [run("r1")], [("r1", node.id, "used") for node in inputs], "a0"), "graphml")
    read = nx.read_graphml(io.BytesIO(drawn), force_multigraph=True)
    assert (read.number_of_nodes(), read.number_of_edges()) == (len(inputs) + 1, len(inputs))
    assert read.nodes["uida0"]["key"] == name.replace("\x1b", "\ufffd")
    assert read.nodes["uida0"]["subject"] is True
    assert read.nodes["uidr1"]["transform_key"] == "clean.py"
    assert {kind for _, _, kind in read.edges(data="kind")} == {"used"}


def test_a_box_leads_to_the_web_and_nowhere_else() -> None:
    places = {
        "https://data.org/a.csv": "https://data.org/a.csv",
        "http://data.org/?a=1&amp;b=2": "http://data.org/?a=1&amp;b=2",
        "HTTPS://data.org/'x'": "HTTPS://data.org/%27x%27",
        'https://data.org/é<>"': "https://data.org/%C3%A9%3C%3E%22",
        "javascript:alert(1)": None,
        "java\nscript:alert(1)": None,
        " https://data.org": None,
        "data:text/html,x": None,
        "file:///etc/passwd": None,
        "https:/no-host": None,
        "https://ada:secret@data.org/": None,
        "https://data.org\\@other.org/": None,
        "//data.org/x": None,
        "https://[broken": None,
        "": None,
    }
    for place, expected in places.items():
        assert web_url(place) == expected, place
        node = artifact("a1")._replace(url=place)
        code = run("r1")._replace(reference="job-7", transform_reference=place)
        drawing = graph([node], [code], [("r1", "a1", "used")], "a1")
        links = [
            anchor.get("{http://www.w3.org/1999/xlink}href")
            for anchor in ET.fromstring(render(drawing)).iter("{http://www.w3.org/2000/svg}a")
            if "{http://www.w3.org/1999/xlink}href" in anchor.attrib
        ]
        assert links == ([expected] * 2 if expected else []), place
        assert render(drawing, "mmd").decode().count("  click n") == (2 if expected else 0)


def test_tips_tell_the_uid_hash_times_and_user() -> None:
    drawn = render(graph([artifact("a1")._replace(hash="0f" * 32)], [run("r1")], [("r1", "a1", "used")], "a1"))
    boxes = ET.fromstring(drawn).findall(".//{*}g[@class='node']//{*}a")
    tips = [anchor.get("{http://www.w3.org/1999/xlink}title", "") for anchor in boxes]
    assert "uid uida1\nSHA-256 " + "0f" * 32 + "\nrecorded 2026-11-21 03:22 by ada" in tips[0]
    assert "run uidr1" in tips[1]
    assert "started 2026-11-21 03:22 by bob\nended 2026-11-21 03:22\ntook 11.6 s" in tips[1]


def test_a_role_stands_beside_its_arrow() -> None:
    edges = (
        Edge("r1", "a1", "used", "training", AT, None, 1, 1),
        Edge("r1", "a2", "generated", "output", AT, None, 1, 2),
    )
    nodes = {name: artifact(name) for name in ("a1", "a2")}
    drawn = pygraphviz.AGraph(string=to_dot(Graph(("a1",), nodes, {"r1": run("r1")}, edges)))
    labels = [re.sub("[<>]", "", edge.attr["label"] or "").strip() for edge in drawn.edges()]
    assert sorted(labels) == ["", "training"]


def test_versions_without_a_tag_are_told_apart_and_a_run_names_the_one_it_is_part_of() -> None:
    old, new, only = (artifact(name, "m.csv") for name in ("a1", "a2", "a3"))
    old, new = old._replace(is_latest=False), new._replace(version_number=1)
    shown = texts(render(graph([old, new, only], [run("r1")._replace(within="main.py")], [], "r1")))
    assert shown.count("version 1") == shown.count("version 2") == 1
    assert "within main.py" in shown
