"""The section in which a reader looks at one item at a time; `browser/` brings it to life."""

from __future__ import annotations

from mtljobs.report.exploring import Exploration
from mtljobs.report.markup import Markup, element, join

_CONTROLS = Markup("""\
<p id="explorer-without-script" class="note">This part needs a script, which has not run.
Everything else on this page stands without it.</p>
<div id="explorer-controls" hidden>
<div class="choices">
<label>Experiment <select id="explorer-experiment"></select></label>
<label>Task <select id="explorer-task"></select></label>
<label>Group <select id="explorer-group"></select></label>
<label>Image <select id="explorer-image"></select></label>
<label>Sparsity <select id="explorer-sparsity"></select></label>
<label>Seed <select id="explorer-seed"></select></label>
</div>
<div id="explorer-work">
<div class="pair">
<figure><canvas id="explorer-picture" role="img" aria-label="The image with what is left of it \
and its saliency map"></canvas>
<figcaption><span class="scale" aria-hidden="true"></span>
<label><input type="checkbox" id="explorer-with-map" checked> map, 0 to its own maximum</label>
</figcaption></figure>
<figure><svg id="explorer-chart" viewBox="0 0 520 330" role="img" aria-label="Score at each step, \
as a share of the clean score; the number is below"></svg>
<figcaption class="legend"><span class="chosen">this item</span>
<span class="other">at other sparsities</span> <span class="mean">mean of all items</span>
</figcaption></figure>
</div>
<div class="slide"><label for="explorer-step">Parts removed</label>
<input type="range" id="explorer-step" min="0" max="1" value="0" step="1">
<span id="explorer-count"></span></div>
</div>
<p id="explorer-said" role="status"></p>
<h3>The same item at every sparsity</h3>
<div id="explorer-strip" class="strip"></div>
<p id="explorer-unseen" class="note" hidden>The store keeps no picture of this image: grey stands
for it.</p>
<p id="explorer-unmoved" class="note" hidden>This measure does not remove superpixels, so the
picture stays as it is while the curve goes on.</p>
</div>""")


def explorer(exploration: Exploration) -> Markup:
    """The explorer with its data, and what it holds of the run."""
    held = "; ".join(f"{name}: {count}" for name, count in exploration.held.items())
    return join(
        [
            element(
                "p",
                "One image and one group of one network. The curve is the score while parts of "
                "the image go, the most salient first; the dashed one is the mean over all items "
                "of this task and sparsity, read at equal shares of the steps.",
            ),
            _CONTROLS,
            element(
                "p",
                "Removed superpixels are filled as in the run, with numbers taken from the picture "
                "in this page, which is a JPEG; the one removed last is outlined. Maps are shown "
                "at 72 x 96 positions at most, curves to one part in 65,534 of the range of their "
                "task and image.",
                attributes={"class": "note"},
            ),
            element(
                "p",
                f"Held here, so that the page stays below 20 MB: {held}. Images come in the order "
                "of the store, 16 at most, those with a picture if it keeps any; those of the "
                "first seed go before those of the next, as far as there is room. Groups without "
                "a curve at any sparsity are left out.",
                attributes={"class": "note"},
            ),
            element(
                "script",
                Markup(exploration.data),
                attributes={"type": "application/json", "id": "explorer-data"},
            ),
        ],
        "\n",
    )
