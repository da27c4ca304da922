from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from mtljobs.settings.training import Training


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "give iterations or epochs, received neither"),
        ({"iterations": 3, "epochs": 1}, "give iterations or epochs, received both"),
        (
            {"iterations": 3, "batch": 8, "accumulate": 3},
            "a batch of 8 has no 3 equal parts: make batch a multiple of accumulate",
        ),
        ({"iterations": 3, "keep": "best"}, 'keep = "best" needs validate_every'),
    ],
)
def test_what_does_not_fit_together_is_refused_in_words(fields, words):
    with pytest.raises(ValidationError) as caught:
        Training(**fields)
    assert words in str(caught.value)


@pytest.mark.parametrize("scales", [(), (0.9,), (1.0, 4.1)])
def test_scales_zoom_in_by_a_reasonable_amount(scales):
    with pytest.raises(ValidationError):
        Training(iterations=1, scales=scales)


def test_schema_says_that_one_length_must_be_there():
    schema = TypeAdapter(Training).json_schema()
    assert schema["oneOf"] == [{"required": ["iterations"]}, {"required": ["epochs"]}]


class TestOver:
    def test_epochs_are_whole_batches(self):
        # 10 images in batches of 4: two steps an epoch, two images left out of each.
        assert Training(epochs=3, batch=4).over(10) == Training(iterations=6, batch=4)

    def test_decay_and_validation_count_in_what_the_length_does(self):
        by_epochs = Training(epochs=6, batch=4, decay_every=2, validate_every=1)
        assert by_epochs.over(10) == Training(
            iterations=12, batch=4, decay_every=4, validate_every=2
        )
        by_iterations = Training(iterations=6, batch=4, decay_every=2, validate_every=1)
        assert by_iterations.over(10) == by_iterations
