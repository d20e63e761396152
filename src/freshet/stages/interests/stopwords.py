"""Words that say nothing about an item."""

from __future__ import annotations

_ENGLISH = """
a about above across after again against all almost along already also although always am among an
and another any anyone anything are around as at away back be became because been before behind
being below between both but by came can cannot cant come comes could did didnt do does doesnt doing
done dont down during each either else enough etc even ever every everyone everything few finally
first for from further get gets getting give gives go goes going gone got had has hasnt have havent
having he her here hers herself him himself his how however i if ill im in instead into is isnt it
its itself ive just keep know last least less let lets like liked ll made make makes making many may
maybe me might more most much must my myself neither never new next no nobody nor not nothing now of
off often on once one only onto or other others our ours out over own per perhaps please put quite
rather re really recently s said same see seem seems seen several shall she should since so some
someone something soon still such sure t take takes than that thats the their theirs them themselves
then there theres these they theyre thing things this those though three through thus to together
too took toward towards two under unless until up upon us use used uses using ve very via want wants
was wasnt way we well were what whatever when where whether which while who whole whom whose why
will with within without wont would yes yet you youd youll your youre yours yourself youve
"""

_NUMBERING = "ii iii iv vi part parts vol volume"

# Titles keep their language, so the commonest function words of some neighbours are listed as well; where
# a whole catalogue is in one other language, their high document frequency takes care of them.
_NEIGHBOURS = """
al als auf aus avec bei con da dal dans das de degli dei del della delle den der des di die dos du
ein eine el em en es est et för für het il ist la las le les lo los met mit na ne nel och ou para
por pour que sein sin sur um un una une uno van vom von zu zum zur
"""

STOP = frozenset(f"{_ENGLISH} {_NUMBERING} {_NEIGHBOURS}".split())
