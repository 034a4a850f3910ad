"""Lines for ``--set`` that our parser and Helm's must read alike: pinned in tests/unit, compared in tests/chart."""

from typing import Any

GOOD: dict[str, Any] = {
    "a=b": {"a": "b"},
    "a=": {"a": ""},
    "a=1,b=-5,c=0": {"a": 1, "b": -5, "c": 0},
    "a=007,b=1.5,c=1e3": {"a": "007", "b": "1.5", "c": "1e3"},
    "a=9223372036854775807,b=9223372036854775808": {"a": 9223372036854775807, "b": "9223372036854775808"},
    "a=true,b=FALSE,c=yes": {"a": True, "b": False, "c": "yes"},
    "a.b.c=x,a.d=y": {"a": {"b": {"c": "x"}, "d": "y"}},
    "a={x,y,1}": {"a": ["x", "y", 1]},
    "a={}": {"a": [""]},
    "a={x},b=y": {"a": ["x"], "b": "y"},
    "a[0]=x,a[2]=z": {"a": ["x", None, "z"]},
    "a[0].b=x,a[0].c=y": {"a": [{"b": "x", "c": "y"}]},
    "a[1][0]=x": {"a": [None, ["x"]]},
    r"a\.b=x": {"a.b": "x"},
    r"a=x\,y": {"a": "x,y"},
    r"a=x\\y": {"a": "x\\y"},
    "a=b=c": {"a": "b=c"},
    "a= x ": {"a": " x "},
    "a=x,": {"a": "x"},
    "a=pä§$word": {"a": "pä§$word"},
    "a[0].b=": {"a": []},
    "a={x}y=z": {"a": ["x"], "y": "z"},
    "": {},
}
"""Line -> what it sets."""

BAD = ("a", "a,b=c", "a.b", "a[x]=y", "a[-1]=y", "a={x", "a=1,a.b=2", "a=1,a[0]=2", "a[0]x=y", "a[70000]=x", "a..b")
"""Lines that are refused."""
