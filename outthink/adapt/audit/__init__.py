"""What may go wrong with a method on a given model and data before it is deployed: the pitfalls of [31], tried one by one.

    for finding in audit(net, Tent(), domains, clean=clean, source=source, seed=0):
        print(finding.verdict, finding.check, finding.said)

Every check compares the method with the model as it was, on the same samples. The rule is stated once (`judged`): a loss is `unsafe` when its 95%
interval is above 0, `safe` when it ends below `TOLERATED`, and `unknown` otherwise, which more samples may settle.
"""

from outthink.adapt.audit.driver import audit, deployable, from_json, to_json
from outthink.adapt.audit.finding import TOLERATED, Finding, Point, judged

__all__ = ["TOLERATED", "Finding", "Point", "audit", "deployable", "from_json", "judged", "to_json"]
