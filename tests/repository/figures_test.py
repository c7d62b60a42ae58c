#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/figures/draw.py makes pictures of time series, and the page has them."""

import math
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).parents[2]
FIGURES = ROOT / "docs/figures"
SVG = "{http://www.w3.org/2000/svg}"

sys.dont_write_bytecode = True
sys.path.insert(0, str(FIGURES))

import draw  # noqa: E402

FAULT = """ms,mark,calls,failures,attempts,p50_us,p99_us,killed,instance 2
150,kill <9> & more,,,,,,,
0,,10,0,10,900,2000,0.5,0.5
100,,0,0,0,0,0,0,0
200,,10,1,14,1000,250000,0,0.9
"""


class DrawTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_draw(self):
        return subprocess.run(
            [sys.executable, str(FIGURES / "draw.py"), str(self.folder),
             str(self.folder)], capture_output=True, text=True, check=False)

    def draw(self, name, text):
        (self.folder / f"{name}.csv").write_text(text)
        done = self.run_draw()
        self.assertEqual(done.returncode, 0, done.stderr)
        return xml.etree.ElementTree.parse(self.folder / f"{name}.svg")

    def test_a_series_becomes_a_picture(self):
        root = self.draw("kill", FAULT).getroot()
        texts = [text.text for text in root.iter(SVG + "text")]
        self.assertIn("kill <9> & more", texts)
        self.assertIn("seconds since the start", texts)
        self.assertIn("killed", texts)
        # p50 and p99, each with a gap where nobody called, and failures.
        self.assertEqual(len(root.findall(SVG + "polyline")), 5)

    def test_everything_is_inside_the_picture(self):
        root = self.draw("kill", FAULT).getroot()
        width, height = (float(root.get(name)) for name in ("width", "height"))
        for shape in root.iter():
            points = [point.split(",") for point in
                      shape.get("points", "").split()]
            for x, y in points:
                self.assertTrue(math.isfinite(float(x) + float(y)))
                self.assertTrue(0 <= float(x) <= width, x)
                self.assertTrue(0 <= float(y) <= height, y)

    def test_a_series_in_which_nothing_happens_has_a_scale(self):
        head, _, row = FAULT.splitlines()[:3]
        self.draw("kill", f"{head}\n{row}\n")

    def test_a_figure_that_lacks_a_series_is_left_out(self):
        (self.folder / "slow_p2c.csv").write_text(FAULT)
        done = self.run_draw()
        self.assertEqual(done.returncode, 1)
        self.assertFalse((self.folder / "slow.svg").exists())

    def test_the_page_shows_every_figure_and_no_other(self):
        shown = re.findall(r"\(figures/([a-z0-9_]+)\.svg\)",
                           (ROOT / "docs/resilience.md").read_text())
        self.assertEqual(sorted(shown), sorted(draw.FIGURES))

    def test_the_figures_are_well_formed(self):
        for name, (title, _, _) in draw.FIGURES.items():
            root = xml.etree.ElementTree.parse(
                FIGURES / f"{name}.svg").getroot()
            self.assertEqual(root.find(SVG + "title").text, title)


if __name__ == "__main__":
    unittest.main()
