"""The recorded outputs beside those of a rerun: which pipelines are equal, and what differs first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tailor.reproduction.record import Code, Output

#: Of packages with other versions, so many are named.
_NAMED = 5


@dataclass(frozen=True)
class Comparison:
    """The outputs of a version, and the hashes of the same outputs in a rerun."""

    recorded: Sequence[Output]
    """In the order of the pipelines."""
    rerun: Mapping[tuple[str, str], str]
    """Hash by node and output; what the rerun did not make is missing."""

    @classmethod
    def of(cls, recorded: Sequence[Output], rerun: Sequence[Output]) -> "Comparison":
        """Put the outputs of a version beside those of a rerun."""
        return cls(recorded, {(output.node, output.name): output.digest for output in rerun})

    def different(self) -> list[Output]:
        """Return the recorded outputs that came out otherwise, or not at all, in the order of the pipelines."""
        return [output for output in self.recorded if self.rerun.get((output.node, output.name)) != output.digest]

    def first_difference(self) -> str:
        """Name the first node that came out otherwise, and its outputs that did; empty where all are equal.

        All that this node reads is equal, unless it reads what no run keeps.
        """
        different = self.different()
        if not different:
            return ""
        node = different[0].node
        return f"{node} ({', '.join(output.name for output in different if output.node == node)})"

    def lines(self) -> Iterator[str]:
        """Yield one line per pipeline."""
        different = set(self.different())
        for pipeline in dict.fromkeys(_pipeline(output) for output in self.recorded):
            outputs = [output for output in self.recorded if _pipeline(output) == pipeline]
            changed = [output.name for output in outputs if output in different]
            count = f"{len(outputs)} output{'s' if len(outputs) > 1 else ''}"
            if changed:
                yield f"{pipeline}: {len(changed)} of {count} differ ({', '.join(changed)})"
            else:
                yield f"{pipeline}: equal ({count})"


def figure_lines(recorded: Mapping[str, float], rerun: Mapping[str, float], version: str) -> list[str]:
    """Write figures side by side, and how far they are apart at most.

    Args:
        recorded: headline figures of the version, by name; others may be among them.
        rerun: those of the rerun.
        version: its number.
    """
    names = [name for name in rerun if name in recorded]
    if not names:
        return ["The run of this version holds no headline figures to compare."]
    width = max(map(len, ["figure", *names]))
    rows = [f"{name:<{width}}  {recorded[name]:>12.8f}  {rerun[name]:>12.8f}" for name in names]
    largest = max(abs(recorded[name] - rerun[name]) for name in names)
    head = f"{'figure':<{width}}  {f'version {version}':>12}  {'rerun':>12}"
    return [head, *rows, f"Largest difference of these figures: {largest:.3g}"]


def different_figures(recorded: Mapping[str, float], rerun: Mapping[str, float]) -> list[str]:
    """Return the names of the figures that the version has too, and that are not the same number."""
    return [name for name, value in rerun.items() if name in recorded and recorded[name] != value]


def code_warnings(recorded: Code, here: Code) -> list[str]:
    """Say in which code and packages the rerun differs from the version; the rerun is made all the same."""
    return [*_of_the_commit(recorded, here), *_of_packages(recorded.packages, here.packages)]


def _of_the_commit(recorded: Code, here: Code) -> Iterator[str]:
    if recorded.git_dirty:
        yield f"The version was made with changes on top of commit {recorded.git_commit} that were not committed."
    if recorded.git_commit != here.git_commit:
        yield (
            f"The version was made by commit {recorded.git_commit}, this is {here.git_commit}: "
            f"`git checkout {recorded.git_commit}` for the same code."
        )
    elif here.git_dirty:
        yield f"This working tree has changes on top of commit {here.git_commit}: `git stash` for the same code."
    elif recorded.source != here.source and not recorded.git_dirty:
        yield "The code of Tailor here is not the code that the version was made by."
    if recorded.tailor_version != here.tailor_version:
        yield f"The version was made by Tailor {recorded.tailor_version}, this is {here.tailor_version}."


def _of_packages(recorded: Mapping[str, str], here: Mapping[str, str]) -> Iterator[str]:
    changed = [
        f"{name} {old} (here {here.get(name, 'none')})" for name, old in recorded.items() if here.get(name) != old
    ]
    if changed:
        more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
        named = ", ".join(changed[:_NAMED]) + more
        yield f"The version was made with {named}: `pip install -r requirements.lock` of its commit for the same."


def _pipeline(output: Output) -> str:
    return output.node.partition(".")[0]
