"""The page in a real browser: scripts run, filters filter, hostile text stays text."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from report import page
from report.samples import OtherCompletion, Samples, ShownSample, Span, cut

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


def dom(path: Path, profile: Path, fragment: str = "") -> str:
    """The document after its script ran."""
    command = [str(CHROMIUM), *FLAGS.split(), f"--user-data-dir={profile}", "--dump-dom", f"{path.as_uri()}#{fragment}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.fixture
def report(tmp_path: Path) -> Path:
    hostile = "<img src=x onerror=\"document.title='owned'\"></script><script>document.title='owned'</script>"
    text = f"<|im_start|>think\nIt is $\\frac{{1}}{{2}}$. Wait {hostile}"
    forced = cut(text, [(text.index("Wait"), text.index("Wait") + 4)])
    samples = [
        ShownSample(f"p{i}", f"step {i}", f"Question {i} {hostile}", forced, golds=["\\frac{1}{2}"],
               answer="7" if i else None, verdict=[True, False, None][i % 3],
               tags=["truncated"] if i == 4 else [], reason=hostile,
               scores={"correctness": None if i == 2 else 1.0}, facts={"advantage": 0.1 * i}, prompt=hostile)
        for i in range(6)
    ]  # fmt: skip
    samples.append(ShownSample("empty", "step 9", "", [Span("text", "")]))
    page.write(tmp_path / "report.html", "Run", [Samples(samples, "rollouts.jsonl", "Rollouts", "step")])
    return tmp_path / "report.html"


def test_browser_renders_samples(report: Path, tmp_path: Path) -> None:
    shown = dom(report, tmp_path / "profile")
    assert "<title>Run</title>" in shown  # no hostile text ran
    assert "<img" not in re.sub(r'<script type="application/json".*?</script>', "", shown, flags=re.DOTALL)
    assert shown.count('role="option"') == 7
    assert "<mfrac>" in shown
    assert '<span class="token">&lt;|im_start|&gt;</span>' in shown
    assert re.search('<span class="span-forced"[^>]*>Wait</span>', shown)


def test_filters_keep_only_matching_samples(report: Path, tmp_path: Path) -> None:
    shown = dom(report, tmp_path / "profile", "tag=wrong&tag=truncated")
    assert shown.count('role="option"') == 1
    assert "1 of 7" in shown
    assert "<h3>p4</h3>" in shown


def test_link_opens_its_sample(report: Path, tmp_path: Path) -> None:
    assert "<h3>p3</h3>" in dom(report, tmp_path / "profile", "sample=3")


def test_two_runs_stand_side_by_side(tmp_path: Path) -> None:
    other = OtherCompletion("base", [Span("answer", "beforehand")], None, False)
    shown = ShownSample("p", "g", "?", [Span("answer", "afterwards")], verdict=True, tags=["gained"], other=other)
    page.write(tmp_path / "report.html", "Run", [Samples([shown], "samples.jsonl")])
    document = dom(tmp_path / "report.html", tmp_path / "profile")
    beside = re.search('<div class="beside">.*?</div></div></div>', document, re.DOTALL)
    assert beside
    assert re.findall("(base|this run|beforehand|afterwards)", beside[0]) == [
        "base",
        "beforehand",
        "this run",
        "afterwards",
    ]
    assert "gained 1" in document
