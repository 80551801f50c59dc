"""The suites of asv: one module a subject.

`time_*` and `peakmem_*` are for people, `track_*` for the gate: they count what does not depend on
the machine's mood. A class has `SMALL`: the attributes with which the tests run it.
"""
