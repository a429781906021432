"""Which changes of saved adapters a space asks for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from beliefmod.space.after_training import SavedAdapter, altered_points, layer_groups
from beliefmod.space.axes import settings_of, switches_at

GRAVITY = SavedAdapter("gravity", "/a/1", (0, 1, 2, 3))
NEELAM = SavedAdapter("neelam", "/a/2", (2, 3))


@given(st.lists(st.integers(0, 99), min_size=1, unique=True).map(sorted), st.integers(0, 12))
def test_groups_are_all_layers_once_and_about_as_large(layers, parts):
    groups = layer_groups(layers, parts)
    if min(parts, len(layers)) < 2:
        assert groups == []
        return
    assert [number for group in groups for number in group] == layers
    sizes = {len(group) for group in groups}
    assert len(groups) == min(parts, len(layers)) and max(sizes) - min(sizes) <= 1


def test_each_alone_and_beside_the_other():
    points = altered_points([GRAVITY, NEELAM], (0.5, 1.0), parts=2)
    assert [point for point in points if point["belief"] == "gravity"] == [
        {"belief": "gravity", "adapter.source": "/a/1", "adapter.scale": 0.5},
        {"belief": "gravity", "adapter.source": "/a/1", "adapter.scale": 1.0},
        {"belief": "gravity", "adapter.source": "/a/1", "adapter.layers": [0, 1]},
        {"belief": "gravity", "adapter.source": "/a/1", "adapter.layers": [2, 3]},
        {"belief": "gravity", "adapter.source": "/a/2"},
        {"belief": "gravity", "adapter.source": "/a/1", "adapter.merge_with": "/a/2"},
    ]
    assert len(points) == 12 and len(altered_points([GRAVITY], (1.0,), 0)) == 1
    switched = SavedAdapter("neelam", "/a/2", (2, 3), settings_of('{"effort": "low", "think": false}'))
    asked = [point for point in altered_points([GRAVITY, switched], (1.0,), 2) if point["belief"] == "neelam"]
    assert len(asked) == 5, "as its own trial was asked, whatever is added"
    assert {switches_at(point) for point in asked} == {'{"effort": "low", "think": false}'}
    # two adapters of one belief are not merged: nothing of another belief is in them
    assert len(altered_points([GRAVITY, SavedAdapter("gravity", "/a/3", (0,))], (1.0,), 0)) == 2
