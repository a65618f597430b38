"""What a kernel keeps of its outputs, compared with what nbclient, which runs it, makes of the same messages."""

from __future__ import annotations

import json
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from lineagelog.adapters.outputs import MAX_OUTPUT_BYTES

LISTEN = """
from lineagelog.adapters.outputs import Outputs
kept = Outputs(get_ipython(), 1)
print("heard")
"""
CELLS = (
    "import sys\nprint('one')\nprint('two', file=sys.stderr)\nprint('three')\n7",
    "x = 1",
    "from IPython.display import clear_output, display\nprint('gone')\nclear_output()\nprint('here')",
    "print('gone')\nclear_output(wait=True)\nprint('instead')",
    "shown = display({'text/plain': 'before', 'text/html': '<b>before</b>'}, raw=True, display_id=True)",
    "shown.update({'text/plain': 'after'}, raw=True)",
    "display({'image/png': b'\\x89PNG'}, raw=True)\n1 / 0",
    "%%bash\necho from bash",
    "!echo from a program",
    "import threading\nlater = threading.Thread(target=print, args=('from a thread',))\nlater.start()\nlater.join()",
)
TELL = "import json\ntold = kept.by_count()\nkept.close()\nprint(json.dumps(told))"


@pytest.fixture(scope="module")
def executed() -> list[Any]:
    """The cells as nbclient leaves them."""
    cells = [nbformat.v4.new_code_cell(source) for source in (LISTEN, *CELLS, TELL)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=60, allow_errors=True).execute()
    return list(notebook.cells)


def joined(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write outputs with the parts of a stream in one."""
    found: list[dict[str, Any]] = []
    for output in outputs:
        plain = json.loads(json.dumps(output))
        if plain["output_type"] == "stream":
            plain["text"] = "".join(plain["text"])
            if found and found[-1].get("name") == plain["name"]:
                found[-1]["text"] += plain["text"]
                continue
        found.append(plain)
    return found


def test_a_kernel_keeps_what_a_front_end_keeps(executed: list[Any]) -> None:
    told = {int(count): outputs for count, outputs in json.loads(executed[-1].outputs[0].text).items()}
    for number, cell in enumerate(executed[:-1], 1):
        assert joined(told[number]) == joined(cell.outputs), cell.source
    assert told[3] == []
    assert joined(told[6])[0]["data"] == {"text/plain": "after"}


def test_output_without_end_is_cut_and_says_so() -> None:
    class Session:
        def send(self, message: dict[str, Any]) -> dict[str, Any]:
            return message

    class Shell:
        class kernel:
            session = Session()

        def get_parent(self) -> dict[str, Any]:
            return {"header": {"msg_id": "a"}}

    from lineagelog.adapters.outputs import Outputs

    kept = Outputs(Shell(), 1)
    for text in ("x" * (MAX_OUTPUT_BYTES - 100), "y" * 1000, "z"):
        content = {"name": "stdout", "text": text}
        sent = {"header": {"msg_type": "stream"}, "parent_header": {"msg_id": "a"}, "content": content}
        Shell.kernel.session.send(sent)
    (stream,) = kept.by_count()[1]
    assert [part[:9] for part in stream["text"]] == ["xxxxxxxxx", "(left out"]
