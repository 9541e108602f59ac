"""What a warning is about, in a line."""

from __future__ import annotations

from schemas.base import Name
from schemas.warning import Evidence, Warning, WarningState  # noqa: A004 - the field's own word

_SPANS_ZH, _SPANS_EN = ("秒", "分钟", "小时", "天"), ("s", "min", "h", "d")


def what(warning: Warning) -> Name:
    """Return the sensor or place, the rule and, while it is open, what was measured."""
    value = _value(warning.evidence) if warning.state is WarningState.OPEN else ("", "")
    return Name(
        zh=f"{warning.sensor_name.zh} {warning.rule_name.zh} {value[0]}".strip()[:256],
        en=f"{warning.sensor_name.en}, {warning.rule_name.en} {value[1]}".strip()[:256],
    )


def _value(evidence: Evidence) -> tuple[str, str]:
    """Return what was measured, in both languages."""
    count = f"{evidence.value:g}"
    match evidence.measure:
        case "absence":
            return f"静默 {span(evidence.value, _SPANS_ZH)}", f"silent for {span(evidence.value, _SPANS_EN)}"
        case "agreement":
            return f"{count} 个传感器", f"{count} sensors"
        case "exceedances":
            return f"当日 {count} 次", f"{count} times that day"
    plain = count if evidence.unit == "1" else f"{count} {evidence.unit}"
    return plain, plain


def span(seconds: float, words: tuple[str, ...]) -> str:
    """Return a length of time in its two greatest units, as far as the second is not 0."""
    sizes = (1, 60, 3_600, 86_400)
    whole = int(seconds)
    at = max((at for at, size in enumerate(sizes) if whole >= size), default=0)
    great, rest = divmod(whole, sizes[at])
    less = rest // sizes[at - 1] if at else 0
    return f"{great} {words[at]}" + (f" {less} {words[at - 1]}" if less else "")
