"""A gate's result for machines and reviewers: JUnit XML and GitHub-flavoured Markdown.

Knows those formats. Does not judge anything; says as well that nothing could be judged.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from asr_adapt.scoring.gate import Check, GateResult

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def junit_xml(result: GateResult) -> str:
    """One test case per check; failed ones carry the worst rows."""
    failed = sum(not check.passed for check in result.checks)
    suite = ElementTree.Element(
        "testsuite", name="asr-adapt gate", tests=str(len(result.checks)), failures=str(failed), errors="0"
    )
    for check in result.checks:
        name = f"{check.group}: {check.rule}"
        case = ElementTree.SubElement(suite, "testcase", classname="asr_adapt.gate", name=_clean(name))
        if not check.passed:
            failure = ElementTree.SubElement(case, "failure", message=_clean(headline(check, result.metric)))
            failure.text = _clean("\n".join(worst_lines(check)))
    for note in result.notes:
        ElementTree.SubElement(suite, "system-out").text = _clean(note)
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def refusal_junit(reason: str) -> str:
    """A suite of one test that ended in an error: nothing could be judged, for ``reason``."""
    suite = ElementTree.Element("testsuite", name="asr-adapt gate", tests="1", failures="0", errors="1")
    case = ElementTree.SubElement(suite, "testcase", classname="asr_adapt.gate", name="nothing was judged")
    ElementTree.SubElement(case, "error", message=_clean(reason))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def refusal_markdown(reason: str) -> str:
    """A heading that says that nothing was judged, and why."""
    return f"### Error rate gate: nothing was judged ⚠️\n\n{_cell(reason)}\n"


def _clean(text: str) -> str:
    return _CONTROL.sub("\ufffd", text)


def headline(check: Check, metric: str = "wer") -> str:
    """One sentence about a check, percentages labelled."""
    now = f"{100 * check.value:.2f} %"
    if check.kind == "gap":
        return f"{check.group}: {100 * check.value:.2f} points apart ({check.rule})"
    if check.baseline is None:
        return f"{check.group}: {metric.upper()} {now} ({check.rule})"
    change = 100 * (check.value - check.baseline)
    return (
        f"{check.group}: {metric.upper()} {100 * check.baseline:.2f} % → {now} "
        f"({change:+.2f} points, p = {check.p:.3g}, {check.rule})"
    )


def worst_lines(check: Check) -> list[str]:
    """The worst rows of a failed check, three lines each."""
    lines = []
    for row in check.worst:
        lines.append(f"{row.id}: {row.errors_before} → {row.errors} errors")
        lines.append(f"  said:  {row.reference}")
        lines.append(f"  heard: {row.hypothesis}")
    return lines


def markdown(result: GateResult) -> str:
    """A heading, a table of all checks, worst rows folded away, notes."""
    outcome = "passed ✅" if result.passed else "failed ❌"
    lines = [
        f"### {result.metric.upper()} gate {outcome}",
        "",
        "| group | baseline | now | change | p | rule | |",
    ]
    lines.append("|---|---:|---:|---:|---:|---|---|")
    for check in sorted(result.checks, key=lambda check: check.passed):
        lines.append(_markdown_row(check))
    for check in result.checks:
        if check.worst:
            lines += ["", f"<details><summary>{_cell(check.group)}: rows that lost most</summary>", "", "```"]
            lines += [line.replace("```", "ʼʼʼ") for line in worst_lines(check)]
            lines += ["```", "</details>"]
    lines += ["", *(f"- {_cell(note)}" for note in result.notes)]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_row(check: Check) -> str:
    before = "–" if check.baseline is None else f"{100 * check.baseline:.2f} %"
    change = "–" if check.baseline is None else f"{100 * (check.value - check.baseline):+.2f}"
    p = "–" if check.p is None else f"{check.p:.3f}"
    mark = "✅" if check.passed else "❌"
    cells = (_cell(check.group), before, f"{100 * check.value:.2f} %", change, p, _cell(check.rule), mark)
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
