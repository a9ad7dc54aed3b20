"""The live page: files that a gateway serves as they are, without a build step.

``index.html`` and ``app.css`` are the page, the modules ``*.js`` its parts, ``vendor`` what others wrote,
with its licence. Nothing is fetched from anywhere else.
"""

from __future__ import annotations

from importlib import resources

__all__ = ["FILES", "content"]

FILES: dict[str, str] = {
    "index.html": "text/html; charset=utf-8",
    "app.css": "text/css; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "bus.js": "text/javascript; charset=utf-8",
    "dom.js": "text/javascript; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "charts.js": "text/javascript; charset=utf-8",
    "tables.js": "text/javascript; charset=utf-8",
    "log.js": "text/javascript; charset=utf-8",
    "publish.js": "text/javascript; charset=utf-8",
    "vendor/uPlot.js": "text/javascript; charset=utf-8",
    "vendor/uPlot.css": "text/css; charset=utf-8",
    "vendor/uPlot.LICENSE": "text/plain; charset=utf-8",
}
"""All files by name, with their media types. Nothing else of the package is served."""


def content(name: str) -> bytes:
    """Return one of `FILES`. Raises KeyError if it is none."""
    if name not in FILES:
        raise KeyError(name)
    return resources.files("clacks.web").joinpath(name).read_bytes()
