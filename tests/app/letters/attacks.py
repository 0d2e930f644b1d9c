"""Templates that want time, memory, the stack or the objects of the process; each with what must come of it.

Run as a program it renders all of them in a process with little memory, and tells what came of each.
"""

from __future__ import annotations

import json
import resource
import sys

from app.errors import InvalidRequest
from app.letters.templating import Part, Patterns
from app.letters.values import pack

MEMORY_BYTES = 1024 * 1024 * 1024
"""Address space of the process that renders them, most of which are libraries and stacks."""
CPU_S = 120
MANY = 100_000
VALUES: dict[str, object] = {
    "text": "x" * 50_000,
    "rows": [f"row{number}" for number in range(10_000)],
    "nested": [list(range(100))] * 100,
    "order": {"id": 1, "tag": "<b>"},
    "n": 5,
}
INVALID, FAILED, MISSING = "invalid_template", "template_failed", "missing_variable"


def _loop(body: str) -> str:
    return f"{{% for row in rows %}}{body}{{% endfor %}}"


ATTACKS: dict[str, tuple[str, str]] = {
    # Time.
    "long range": ("{% for i in range(1000000000) %}x{% endfor %}", INVALID),
    "loops in loops": (_loop(_loop(_loop("x"))), FAILED),
    "search in a list": (_loop("{% if 'zz' in rows %}{% endif %}"), FAILED),
    "search in a text": (_loop("{% if 'zz' in text %}{% endif %}"), FAILED),
    "comparison of lists": (_loop("{% if rows == rows %}{% endif %}"), FAILED),
    "sorting in a loop": (_loop("{% if rows|sort %}{% endif %}"), FAILED),
    "replacing in a loop": (_loop("{% if text|replace('z', 'y') %}{% endif %}"), FAILED),
    "escaping in a loop": (_loop("{% if text|e|e|e %}{% endif %}"), FAILED),
    "slices in a loop": (_loop("{% if text[1:] %}{% endif %}"), FAILED),
    "dates in a loop": (_loop("{{ '2030-01-31'|date('" + "%A" * 50 + "') }}"), FAILED),
    "sums in a loop": (_loop("{{ n|times(2)|plus(3) }}"), FAILED),
    "much that is missing": (
        _loop("{{ n }}") + "".join(f"{{{{ v{n} }}}}" for n in range(1000)),
        MISSING,
    ),
    "power": ("{{ 9 ** 9999999 }}", INVALID),
    "recursion of a macro": ("{% macro m(a) %}{{ m(a) }}{% endmacro %}{{ m(1) }}", INVALID),
    "recursion of a loop": ("{% for a in rows recursive %}{{ loop(rows) }}{% endfor %}", INVALID),
    # Memory.
    "repeated text": ("{{ 'x' * 1000000000 }}", INVALID),
    "repeated list": ("{{ (rows * 10000)|join }}", INVALID),
    "list of lists": ("{% set a = [rows, rows] %}{% set a = [a, a] %}{{ a }}", INVALID),
    "doubled text": ("{% set text = text ~ text %}" * 40 + "{{ text }}", FAILED),
    "added text": ("{% set text = text + text %}" * 40 + "{{ text }}", INVALID),
    "added lists": ("{% set rows = rows + rows %}" * 30 + "{{ rows }}", INVALID),
    "added signs": ("{% set rows = rows -+ rows %}" * 30 + "{{ rows }}", INVALID),
    "joined lists": ("{% set rows = rows ~ rows %}" * 30 + "{{ rows }}", FAILED),
    "list in a slice": ("{{ rows[rows:rows] }}", FAILED),
    "list of all items": ("{{ nested|items|items }}", FAILED),
    "list written": ("{{ rows }}", FAILED),
    "list as a text": ("{{ rows|upper }}", ""),
    "list as an argument": ("{{ n|date(rows) }}", FAILED),
    "squared text": ("{{ text|replace('x', text)|replace('x', text) }}", FAILED),
    "text between all letters": ("{{ text|replace('', text) }}", FAILED),
    "join of much": ("{{ rows|join(text) }}", FAILED),
    "captured text": ("{% set a %}{{ a }}{{ a }}{% endset %}" * 40, INVALID),
    "much output": (_loop("{{ text }}"), FAILED),
    "much literal output": (_loop("y" * 50_000), FAILED),
    "escaped output": (_loop("{{ '" + "<" * 5_000 + "' }}"), FAILED),
    "wide format": ("{{ '%1000000000d'|format(5) }}", INVALID),
    "wide format of a method": ("{{ '{:1000000000}'.format(5) }}", INVALID),
    "wide date": ("{{ '2030-01-31'|date('%1000000000d') }}", ""),
    "wide indent": ("{{ order|tojson(indent=1000000000) }}", INVALID),
    "long cut": ("{{ text|truncate(1000000000000) }}", ""),
    "giant product": ("{{ '9e17'|times('9e17')|times(9) }}", FAILED),
    "giant exponent": ("{{ '1e999999999'|times(2) }}", FAILED),
    "giant integer": ("{{ " + "9" * 10_000 + " }}", INVALID),
    "giant rounding": ("{{ 5.5|round(99999999999) }}", FAILED),
    "smallest integer": ("{{ (-9223372036854775807 - 1) // -1 }}{{ 5 % -1 }}", ""),
    "step backwards": ("{{ text[::-9223372036854775807]|length }}", ""),
    # The stack of the parser.
    "nested ifs": ("{% if n %}" * MANY + "{% endif %}" * MANY, INVALID),
    "nested loops": ("{% for n in rows %}" * 10_000, INVALID),
    "chain of elif": ("{% if n %}" + "{% elif n %}" * 10_000 + "{% endif %}", INVALID),
    "parentheses": ("{{ " + "(" * MANY + "n" + ")" * MANY + " }}", INVALID),
    "sum": ("{{ n" + "+n" * MANY + " }}", INVALID),
    "filters": ("{{ n" + "|e" * MANY + " }}", INVALID),
    "negations": ("{{ " + "not " * 50_000 + "n }}", INVALID),
    "signs": ("{{ " + "-" * MANY + "n }}", INVALID),
    "attributes": ("{{ n" + ".a" * MANY + " }}", INVALID),
    "subscripts": ("{{ n" + "[0]" * 50_000 + " }}", INVALID),
    "conditions": ("{{ n" + " if n else n" * 20_000 + " }}", INVALID),
    "lists": ("{{ " + "[" * MANY + "]" * MANY + " }}", INVALID),
    "comparisons": ("{{ 1" + "<2" * MANY + " }}", INVALID),
    "long source": ("x" * 300_000, INVALID),
    "open tags": ("{{" * MANY, INVALID),
    "open comments": ("{#" * MANY, INVALID),
    "open quotes": ("{{ '" + "\\'" * MANY, INVALID),
    "just deep enough": ("{% if n %}" * 50 + "{{ n" + "|e" * 90 + " }}" + "{% endif %}" * 50, ""),
    # The objects of the process.
    "class of a text": ("{{ text.__class__.__mro__ }}", MISSING),
    "class of an object": ("{{ order.__class__ }}", MISSING),
    "class by subscript": ("{{ order['__class__']['__base__'] }}", MISSING),
    "class by filter": ("{{ order|attr('__class__') }}", INVALID),
    "class by map": ("{{ rows|map(attribute='__class__') }}", INVALID),
    "method": ("{{ order.clear() }}", INVALID),
    "method by subscript": ("{{ order['clear']() }}", INVALID),
    "method by name": ("{% set f = rows.append %}{{ f(1) }}", INVALID),
    "method alone": ("{{ rows.append }}", MISSING),
    "method in a loop": ("{% for a in [1] %}{{ order.update }}{% endfor %}", MISSING),
    "method by sorting": ("{{ nested|sort(attribute='append')|join(attribute='clear') }}", ""),
    "globals of the engine": ("{{ debug }}{{ dict }}{{ namespace }}", MISSING),
    "call of the engine": ("{{ debug() }}", INVALID),
    "inclusion": ("{% include '/etc/passwd' %}", INVALID),
    "import": ("{% import 'os' as os %}", INVALID),
    "inheritance": ("{% extends 'a' %}", INVALID),
    "escaping off": ("{% autoescape false %}{{ order.tag }}{% endautoescape %}", INVALID),
    "statement": ("{% do order.clear() %}", INVALID),
    "hidden in raw": ("{% raw %}{% endraw %}{{ order.clear() }}{% raw %}{% endraw %}", INVALID),
    "hidden in a comment": ("{# {{ #}{{ order.clear() }}{# }} #}", INVALID),
    "hidden in quotes": ("{{ '}}' ~ order.clear() ~ \"{{\" }}", INVALID),
    "hidden behind a quote": ("{{ '\\'' ~ order.clear() }}", INVALID),
    "loop as a value": (_loop("{{ loop }}"), FAILED),
}
"""What is tried, and the code it is refused with; "" where it does nothing bad and is rendered."""


def outcome(source: str) -> str:
    """Return the code that the template is refused with, or "" where it is rendered."""
    try:
        Patterns().fill({Part.HTML: source}, pack(VALUES))
    except InvalidRequest as error:
        return error.fields[0].code
    return ""


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    for name, (source, _) in ATTACKS.items():
        sys.stdout.write(json.dumps([name, outcome(source)]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
