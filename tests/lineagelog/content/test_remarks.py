"""What is pointed out about a record that has just been saved."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

import lineagelog as ln
from lineagelog.store import Store

Frame = Callable[..., pd.DataFrame]


def test_a_tag_that_an_earlier_version_has_is_pointed_out_in_each_registry(
    store: Store, frame: Frame, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = [ln.Artifact(frame(n), key=f"{n}.parquet", run=False).save() for n in (1, 2)]
    families = {
        "code": [lambda n=n: ln.Transform("clean.py", version="1.0", source_code=f"print({n})").save() for n in (1, 2)],
        "holds": [lambda table=table: ln.Collection(table, key="all", version="1.0").save() for table in tables],
        "content": [
            lambda n=n: ln.Artifact(frame(n), key="t.parquet", version="1.0", run=False).save() for n in (3, 4)
        ],
    }
    for word, (first, second) in families.items():
        capsys.readouterr()
        one = first()
        assert "version tag" not in capsys.readouterr().err
        two = second()
        said = capsys.readouterr().err
        assert f"the version tag '1.0' is that of {one.uid} too" in said
        assert word in said
        assert one.uid != two.uid
        second()
        assert "version tag" not in capsys.readouterr().err, "what is there already is not told again"
