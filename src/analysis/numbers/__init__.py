"""Where the numbers of a text come from: tokens, facts of the sources, the trace between."""

from analysis.numbers.facts import Fact, facts_of
from analysis.numbers.origins import Origins
from analysis.numbers.tokens import Token, split
from analysis.numbers.trace import Traced, trace
from analysis.numbers.watch import Printed, watch

__all__ = ["Fact", "Origins", "Printed", "Token", "Traced", "facts_of", "split", "trace", "watch"]
