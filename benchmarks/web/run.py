"""Is the web app light, and does it keep up?

Real Chromium before a server of its own process whose model is paced (``serve.py``). First load,
first paint against a static page of the same weight, gaps between updates of a 4,000-token answer
at 100 tokens a second, memory over 200 messages, and what a streamed token costs the server in the
app and in the plain API. Exits with an error where a budget is missed. See README.md.
"""

from __future__ import annotations

import argparse
import gzip
import http.server
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import httpx2
import psutil
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from ondol import __version__

HERE = Path(__file__).parent
LOADS = 15
TOKENS = 4_000
MESSAGES = 200
BUDGETS = {
    "first_load_kb": 70.0,
    "first_paint_over_static_ms": 150.0,
    "update_gap_p95_ms": 50.0,
    "heap_growth_mb": 1.0,
    "cpu_ratio": 1.10,
}
WATCH = """() => {
  window.gaps = []; window.last = 0;
  const seen = () => {
    const now = performance.now();
    if (window.last) gaps.push(now - window.last);
    window.last = now;
  };
  const watch = { childList: true, subtree: true, characterData: true };
  const observer = new MutationObserver(() => requestAnimationFrame(seen));
  observer.observe(document.querySelector("main"), watch);
}"""

# What this machine leaves of 60 frames a second to a page that does nothing.
FRAMES = """() => new Promise((done) => {
  const gaps = [];
  let last = performance.now();
  const next = (now) => {
    gaps.push(now - last);
    last = now;
    if (gaps.length < 400) requestAnimationFrame(next);
    else done(gaps);
  };
  requestAnimationFrame(next);
})"""
READY = """
new MutationObserver(() => {
  if (!window.ready && document.querySelector("main textarea")) window.ready = performance.now();
}).observe(document, { childList: true, subtree: true });"""


@contextmanager
def server() -> Iterator[tuple[str, psutil.Process]]:
    """A paced server: its address and its process."""
    with tempfile.TemporaryDirectory(prefix="ondol-web-home-") as home:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "serve.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "ONDOL_HOME": home, "ONDOL_LANGUAGE": "en"},
        )
        assert process.stdout is not None and process.stdin is not None
        try:
            yield process.stdout.readline().strip(), psutil.Process(process.pid)
        finally:
            process.stdin.close()
            process.wait(30)


@contextmanager
def visit(browser: Browser, **how: Any) -> Iterator[Page]:
    """A page in a browser that has seen nothing before."""
    context: BrowserContext = browser.new_context(viewport={"width": 1280, "height": 800}, **how)
    yield context.new_page()
    context.close()


def until(page: Page, expression: str, timeout_seconds: float, every_ms: int = 200) -> None:
    """Ask from outside: the page's content policy forbids what Playwright would do inside."""
    deadline = time.monotonic() + timeout_seconds
    while not page.evaluate(expression):
        if time.monotonic() > deadline:
            raise TimeoutError(expression)
        page.wait_for_timeout(every_ms)


# What is loaded first


def first_load(browser: Browser, url: str) -> dict[str, Any]:
    """Bytes on the wire until the chat page has all it asks for, without the service worker, which
    comes after."""
    with visit(browser, service_workers="block") as page:
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        paths: dict[str, str] = {}
        sizes: dict[str, float] = {}
        session.on(
            "Network.requestWillBeSent",
            lambda e: paths.update({e["requestId"]: e["request"]["url"]}),
        )
        session.on(
            "Network.loadingFinished",
            lambda e: sizes.update({e["requestId"]: e["encodedDataLength"]}),
        )
        page.goto(f"{url}/#/chat")
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(500)
    by_path = {paths[one].removeprefix(url): size for one, size in sizes.items() if one in paths}
    static = {path: size for path, size in by_path.items() if not path.startswith("/ondol/")}
    bodies = 0
    with httpx2.Client(
        base_url=url, headers={"Accept": "text/html", "Accept-Encoding": "gzip"}
    ) as client:
        for path in static:
            told = client.get(path or "/")
            size = told.headers.get("content-length")
            bodies += int(size) if size else len(told.content)
    largest = sorted(static.items(), key=lambda item: -item[1])[:8]
    return {
        "requests": len(static),
        "gzip_kb": round(bodies / 1024, 1),
        "with_headers_kb": round(sum(static.values()) / 1024, 1),
        "api_kb": round(sum(by_path.values()) / 1024 - sum(static.values()) / 1024, 1),
        "largest_kb": {path: round(size / 1024, 1) for path, size in largest},
    }


def paint_ms(browser: Browser, url: str) -> float:
    """Milliseconds to the first contentful paint."""
    with visit(browser, service_workers="block") as page:
        page.goto(url)
        until(page, "performance.getEntriesByName('first-contentful-paint').length > 0", 30, 50)
        return float(
            page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        )


def ready_ms(browser: Browser, url: str) -> float:
    """Milliseconds until a message can be typed."""
    with visit(browser, service_workers="block") as page:
        page.add_init_script(READY)
        page.goto(f"{url}/#/chat")
        until(page, "window.ready > 0", 60, 20)
        return float(page.evaluate("window.ready"))


@contextmanager
def static_page(gzip_bytes: int) -> Iterator[str]:
    """A page of text that weighs as much, compressed, and needs nothing else."""
    chooser = random.Random(0)
    text = "".join(chooser.choices("abcdefghij ", k=int(gzip_bytes * 2.3)))
    content = gzip.compress(f"<!doctype html><title>x</title><p>{text}</p>".encode(), 9)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            """Quiet."""

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{found.server_address[1]}/"
    found.shutdown()


def first_paint(browser: Browser, url: str, gzip_kb: float, loads: int) -> dict[str, Any]:
    """In turns, so that a busy machine is busy for both."""
    ours: list[float] = []
    theirs: list[float] = []
    with static_page(int(gzip_kb * 1024)) as other:
        for address in (url, other):
            paint_ms(browser, address)
        for _ in range(loads):
            ours.append(paint_ms(browser, f"{url}/#/chat"))
            theirs.append(paint_ms(browser, other))
    ready = statistics.median(ready_ms(browser, url) for _ in range(max(1, loads // 3)))
    app, static = statistics.median(ours), statistics.median(theirs)
    found = {"app_ms": round(app), "static_ms": round(static), "over_ms": round(app - static)}
    return found | {"can_type_ms": round(ready)}


# A long answer


def conversation(url: str) -> str:
    made = httpx2.post(f"{url}/ondol/v1/conversations", json={"mode": "chat"}, timeout=60).json()
    return str((made.get("conversation") or made)["id"])


def ask(page: Page, text: str) -> None:
    box = page.get_by_role("textbox").last
    box.fill(text)
    box.press("Enter")


def long_answer(
    browser: Browser, url: str, process: psutil.Process, tokens: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Gaps between updates that were drawn, and what the server worked for a token; then the same
    answer by the plain API."""
    talk = conversation(url)
    with visit(browser) as page:
        page.goto(f"{url}/#/chat/{talk}")
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(3000)
        frames = sorted(page.evaluate(FRAMES))
        session = page.context.new_cdp_session(page)
        session.send("Performance.setTimeDomain", {"timeDomain": "threadTicks"})
        session.send("Performance.enable")
        page.evaluate(WATCH)
        worked = main_thread_seconds(session)
        before = cpu(process)
        start = time.perf_counter()
        ask(page, f"Tell me slowly about {tokens} stones.")
        # Asking whether it has ended would cost the server: the page itself tells.
        ended = "performance.now() - window.last > 2000 && window.gaps.length > 20"
        until(page, ended, tokens / 100 + 60, 500)
        seconds = time.perf_counter() - start - 2
        app = (cpu(process) - before) / tokens
        worked = main_thread_seconds(session) - worked
        gaps = sorted(page.evaluate("gaps"))[:-1]
    plain = plain_api(url, process, tokens)
    places = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    drawn = {f"{name}_ms": round(gaps[int(len(gaps) * share)], 1) for name, share in places.items()}
    drawn |= {"max_ms": round(gaps[-1]), "updates": len(gaps), "seconds": round(seconds, 1)}
    drawn["page_cpu_seconds"] = round(worked, 1)
    drawn["frames_of_an_idle_page_p95_ms"] = round(frames[int(len(frames) * 0.95)], 1)
    cost = {
        "app_us_per_token": round(app * 1e6),
        "plain_us_per_token": round(plain * 1e6),
        "ratio": round(app / plain, 3),
    }
    return drawn, cost


def main_thread_seconds(session: Any) -> float:
    """CPU that the page's main thread has used."""
    found = session.send("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in found if one["name"] == "TaskDuration"))


def plain_api(url: str, process: psutil.Process, tokens: int) -> float:
    """CPU seconds of the server for a token of the same answer by ``/v1/chat/completions``."""
    body = {
        "model": "smollm2:135m",
        "stream": True,
        "max_tokens": tokens + 1,
        "messages": [{"role": "user", "content": f"Tell me slowly about {tokens} stones."}],
    }
    before = cpu(process)
    with httpx2.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=None) as told:
        for _ in told.iter_raw():
            pass
    return (cpu(process) - before) / tokens


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


# Many messages


def heap(browser: Browser, url: str, messages: int) -> dict[str, Any]:
    """Megabytes of JavaScript in use after so many messages, after a collection."""
    talk = conversation(url)
    found: dict[int, float] = {}
    with visit(browser) as page:
        session = page.context.new_cdp_session(page)
        page.goto(f"{url}/#/chat/{talk}")
        page.wait_for_load_state("networkidle")
        for number in range(2, messages + 1, 2):
            ask(page, f"Tell me about 60 stones, time {number}.")
            answered = (
                f"fetch('/ondol/v1/conversations/{talk}').then((told) => told.json()).then("
                "({ conversation, messages }) => !conversation.running"
                f" && messages.length >= {number})"
            )
            until(page, answered, 30, 50)
            if number in (20, messages // 2, messages):
                page.wait_for_timeout(1500)
                session.send("HeapProfiler.collectGarbage")
                used = session.send("Runtime.getHeapUsage")["usedSize"]
                found[number] = round(used / 2**20, 2)
    growth = found[messages] - found[messages // 2]
    return {"mb_after": found, "growth_second_half_mb": round(growth, 2)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", type=int, default=LOADS)
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    given = parser.parse_args()
    place = os.environ.get("ONDOL_TEST_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright, server() as (url, process):
        browser = playwright.chromium.launch(executable_path=place, args=["--no-sandbox"])
        load = os.getloadavg()[0]
        loaded = first_load(browser, url)
        paint = first_paint(browser, url, loaded["gzip_kb"], given.loads)
        drawn, cost = long_answer(browser, url, process, given.tokens)
        memory = heap(browser, url, given.messages)
        chromium = browser.version
        browser.close()
    measured = {
        "first_load_kb": loaded["gzip_kb"],
        "first_paint_over_static_ms": paint["over_ms"],
        "update_gap_p95_ms": drawn["p95_ms"],
        "heap_growth_mb": memory["growth_second_half_mb"],
        "cpu_ratio": cost["ratio"],
    }
    missed = {name: value for name, value in measured.items() if value > BUDGETS[name]}
    results = {
        "date": date.today().isoformat(),
        "ondol": __version__,
        "chromium": chromium,
        "cores": os.cpu_count(),
        "load_before_and_after": [round(load, 1), round(os.getloadavg()[0], 1)],
        "budgets": BUDGETS,
        "measured": measured,
        "missed": missed,
        "first_load": loaded,
        "first_paint": paint,
        "long_answer": drawn | {"tokens": given.tokens},
        "server_cpu": cost,
        "heap": memory | {"messages": given.messages},
    }
    given.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
